//! Everything that reads bytes from outside, fed with what nobody should send: arbitrary bytes, and sound input that
//! was damaged. None of it may panic, or take more memory than a stated multiple of what was sent.
//!
//! A binary of its own, since its allocator counts.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod allocator;
#[expect(dead_code, reason = "no program is run here that would have to reach it")]
#[path = "../support/backend.rs"]
mod backend;
mod bodies;
mod documents;
mod headers;
mod inputs;
mod requests;
