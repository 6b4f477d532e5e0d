//! What the planner of a reader decides, read by read.

use brigade::reader::plan::Plan;
use criterion::Criterion;
use criterion::Throughput;
use std::hint::black_box;

const OBJECT_BYTES: u64 = 1 << 30;
/// Bytes that the kernel asks for at a time when it reads ahead.
const READ_BYTES: u64 = 128 << 10;
const ROOM_BYTES: u64 = 64 << 20;
const JUMPS: u64 = 1000;

/// A gibibyte from its beginning to its end, and reads here and there.
pub fn planner(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("planner");
    group.throughput(Throughput::Elements(OBJECT_BYTES / READ_BYTES));
    group.bench_function("1 GiB forward", |bencher| {
        bencher.iter(|| {
            let mut plan = Plan::new(OBJECT_BYTES);
            (0..OBJECT_BYTES / READ_BYTES).map(|at| fetched(&mut plan, at * READ_BYTES, READ_BYTES)).sum::<usize>()
        });
    });
    group.throughput(Throughput::Elements(JUMPS));
    group.bench_function("jumps", |bencher| {
        bencher.iter(|| {
            let mut plan = Plan::new(OBJECT_BYTES);
            // A step that is odd meets every block once before it meets one again.
            let place = |at: u64| at.wrapping_mul(104_729) * 4096 % OBJECT_BYTES;
            (0..JUMPS).map(|at| fetched(&mut plan, place(at), 4096)).sum::<usize>()
        });
    });
    group.finish();
}

fn fetched(plan: &mut Plan, offset: u64, len: u64) -> usize {
    black_box(plan.read(offset, len, ROOM_BYTES)).fetch.len()
}
