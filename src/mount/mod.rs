//! Makes a mount out of the layers and ends it: the only place where all of them meet.
//!
//! [`supervisor`] keeps it, [`daemon`] serves it, [`stack`] builds it, [`shutdown`] decides how it ends, and
//! [`observatory`] looks at it. Nothing here prints or reads the
//! environment; that is `cli`.

pub mod background;
pub mod certificates;
pub mod check;
pub mod control;
pub mod daemon;
pub mod examine;
pub mod handover;
pub mod holders;
pub mod inquiry;
pub mod journal;
pub mod link;
pub mod metrics;
pub mod mountpoint;
pub mod observatory;
pub mod plan;
pub mod prices;
pub mod reach;
pub mod restarts;
pub mod serving;
pub mod shutdown;
pub mod signals;
pub mod source;
pub mod stack;
pub mod status;
pub mod supervisor;
pub mod table;
pub mod uploads;
pub mod worker;
