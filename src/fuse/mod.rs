//! Speaks FUSE and decides nothing: requests of the kernel become calls of [`crate::vfs`], answers go back.

pub mod answer;
pub mod attr;
pub mod connection;
pub mod errno;
pub mod gate;
mod negotiate;
pub mod observe;
mod ops;
mod pool;
pub mod session;
pub mod xattr;

pub use connection::Connection;
pub use gate::Gate;
pub use observe::Counters;
pub use pool::Deadline;
pub use session::Begin;
pub use session::Options;
pub use session::Session;
