//! Brigade mounts object-storage buckets as directories.
//!
//! The modules are the layers, in the order in which a request travels. Imports go only downward; `tests/tidy.rs`
//! keeps it so. `docs/architecture.md` walks through them.

pub mod base;
pub mod cache;
pub mod cli;
pub mod fuse;
pub mod http;
pub mod journal;
pub mod mount;
pub mod reader;
pub mod server;
pub mod store;
pub mod vfs;
pub mod wire;
pub mod writer;
