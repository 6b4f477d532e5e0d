//! What was learnt from the bucket and may be used again: validated by what the bucket shows, never by time alone.
//!
//! [`metadata`] is in memory and ends with the mount; [`blocks`] are on local disk and outlive it.

pub mod blocks;
pub mod metadata;
