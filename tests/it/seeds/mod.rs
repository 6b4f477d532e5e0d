//! The pages from which this program began, one test for each of their statements that can be checked.

mod client;
pub mod server;
