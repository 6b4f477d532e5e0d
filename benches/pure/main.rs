//! What the pure parts cost by themselves: `cargo bench` measures them, `cargo bench -- signing` some of them.
//!
//! How long whole jobs take on a mount is measured elsewhere, by `tests/bench/run`.

mod reading;
mod wire;
mod writing;

use criterion::Criterion;
use criterion::criterion_group;
use criterion::criterion_main;
use std::time::Duration;

/// Runs so long at a time that all of it takes a minute or two.
fn brief() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

criterion_group! {
    name = pure;
    config = brief();
    targets = wire::signing, wire::listing, reading::planner,
        writing::assembly, writing::checksums, writing::upload, writing::commit
}
criterion_main!(pure);
