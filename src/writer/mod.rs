//! Bytes written to a file become one object.
//!
//! [`upload`] decides (pure), [`stream`] drives, [`perform`] performs; [`schedule`] says how large parts are, [`tail`] collects bytes into them.
//! Nothing here knows of inodes or names: a writer is given a key when it commits.

pub mod perform;
pub mod schedule;
pub mod stream;
pub mod tail;
pub mod upload;
