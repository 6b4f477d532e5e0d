//! Real FUSE mounts of the bundled backend, used by real programs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "seeds are told, so that a failure can be repeated")]

mod attributes;
#[path = "../support/backend.rs"]
mod backend;
mod bounded;
mod budgets;
mod cache;
mod command_line;
mod crash;
mod descriptors;
mod dialects;
mod differential;
#[path = "../support/exposition.rs"]
mod exposition;
mod faults;
mod files;
mod headers;
mod journal;
mod metrics;
#[path = "../support/mounted.rs"]
mod mounted;
mod names;
mod outage;
mod patches;
#[path = "../support/program.rs"]
mod program;
mod programs;
mod security;
mod seeds;
#[path = "../support/speech.rs"]
mod speech;
mod status;
mod takeover;
#[path = "../support/terminal.rs"]
mod terminal;
mod two_mounts;
