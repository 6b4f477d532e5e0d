//! Integration tests that need no FUSE: the store conformance suite, the backend's protocol, the command line.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "only mounts outlive their backend")]
#[path = "../support/backend.rs"]
mod backend;
mod cli;
mod conformance;
mod faults;
#[path = "../support/program.rs"]
mod program;
mod protocol;
mod seeds;
#[path = "../support/speech.rs"]
mod speech;
