//! Makes a mount out of the layers and ends it: the only place where all of them meet.
//!
//! [`daemon`] runs it, [`stack`] builds it, [`shutdown`] decides how it ends. Nothing here prints or reads the
//! environment; that is `cli`.

pub mod background;
pub mod certificates;
pub mod check;
pub mod control;
pub mod daemon;
pub mod examine;
pub mod holders;
pub mod mountpoint;
pub mod plan;
pub mod reach;
pub mod shutdown;
pub mod source;
pub mod stack;
pub mod table;
pub mod uploads;
