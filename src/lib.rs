//! Brigade mounts object-storage buckets as directories.
//!
//! The modules are the layers, in the order in which a request travels. Imports go only downward; `tests/tidy.rs`
//! keeps it so. `docs/architecture.md` walks through them.

pub mod base;
pub mod http;
pub mod server;
pub mod store;
pub mod wire;
