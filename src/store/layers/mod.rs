//! Decorators: stores that add one thing to another store. They are stacked where the mount is put together.

pub mod noted;
pub mod removals;
pub mod retry;
pub mod trace;
