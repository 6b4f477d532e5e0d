//! Bytes written to a file become one object.
//!
//! What is written from its beginning to its end goes out while it is written: [`upload`] decides (pure), [`stream`]
//! drives, [`perform`] performs; [`tail`] collects bytes into parts, of which some are [`retained`] so that they can still be
//! changed. What is changed here and there is a [`patch`]: an
//! [`overlay`] of runs (pure), of which [`plan`] makes parts (pure) when it is committed, and [`publish`] an object. A
//! [`draft`] is either; [`schedule`] says how large parts are.
//! What memory cannot hold of a patch goes to local [`disk`] or to hidden objects ([`staging`]).
//! Nothing here knows of inodes or names: a writer is given a key when it commits.

pub mod disk;
pub mod draft;
pub mod overlay;
pub mod patch;
pub mod perform;
pub mod plan;
pub mod publish;
pub mod retained;
pub mod schedule;
pub mod staging;
pub mod stream;
pub mod tail;
pub mod upload;
