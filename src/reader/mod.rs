//! Ranges of one version of an object, ahead of need.
//!
//! [`plan`] decides what to fetch and what to forget (pure); [`chunk`] holds what arrives; [`stream`] performs, and `fetch` brings a
//! range, from local disk or from the store. A stream is
//! pinned to one ETag: another version is an error, never a mix.

pub mod chunk;
mod fetch;
pub mod plan;
pub mod stream;
