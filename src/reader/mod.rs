//! Ranges of one version of an object, ahead of need.
//!
//! [`plan`] decides what to fetch and what to forget (pure); [`chunk`] holds what arrives; [`stream`] performs. A stream is
//! pinned to one ETag: another version is an error, never a mix.

pub mod chunk;
pub mod plan;
pub mod stream;
