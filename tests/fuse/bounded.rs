//! Many programs at once: what the process that serves the mount takes of the machine has bounds, and nobody waits for ever.

use crate::files::Seen;
use crate::files::noise;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::sync::Barrier;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: usize = 1 << 20;

const WRITERS: usize = 100;
const READERS: usize = 100;
/// Files that are read, each by some of the readers.
const READ_FILES: usize = 25;
const FILE_BYTES: usize = 3 * MIB;

/// Bytes of `--memory-limit`.
const MEMORY_LIMIT: u64 = 64 << 20;
/// Bytes of files that are shorter than a part go out with `close` only. When they fill the limit, more is granted, as nobody
/// could go on else: to one writer at a time, and to some more on a machine that is too busy to let that one go on at once
/// (docs/architecture.md, "Memory").
/// With a journal, some are read back from it to be stored meanwhile.
const BEYOND: u64 = 20 * FILE_BYTES as u64;
/// Bytes beside file contents: for each program that reads the buffers of a connection and an answer on its way to the kernel,
/// and what stacks, tables and the allocator take.
const MEMORY_BESIDE: u64 = READERS as u64 * (1 << 20) + (32 << 20);
/// Descriptors: a connection for each file that is stored or read, a data file for each that is sealed, and some more.
const DESCRIPTORS_MAX: u64 = 2 * (WRITERS + READERS) as u64 + 64;
/// Threads: those that serve, and those of the runtime for work that blocks, which are 512 at most.
const THREADS_MAX: u64 = 512 + 16;

/// What a process takes.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    memory: u64,
    descriptors: u64,
    threads: u64,
}

impl Taken {
    fn of(process: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        // Who may not look at the descriptors is told the size of their table.
        let seen = fs::read_dir(format!("/proc/{process}/fd")).map(|all| all.count() as u64);
        Self {
            memory: number("VmRSS:") * KIB,
            descriptors: seen.unwrap_or_else(|_| number("FDSize:")),
            threads: number("Threads:"),
        }
    }

    fn or_more(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
            threads: self.threads.max(other.threads),
        }
    }
}

#[test]
fn a_hundred_writers_and_readers_keep_a_mount_within_its_bounds() {
    keeps_its_bounds(&[]);
}

#[test]
fn a_hundred_writers_and_readers_keep_a_mount_with_a_journal_within_its_bounds() {
    keeps_its_bounds(&["--durability", "journal"]);
}

fn keeps_its_bounds(durability: &[&str]) {
    let limit = MEMORY_LIMIT.to_string();
    let seen = Seen::new(&[&["--memory-limit", &limit, "--part-size", "5MiB"], durability].concat());
    let stored = |nth: usize| noise(FILE_BYTES, nth as u64);
    let new = |nth: usize| noise(FILE_BYTES + nth, 1000 + nth as u64);
    for nth in 0..READ_FILES {
        seen.put(&format!("stored{nth}"), &stored(nth));
    }
    let worker = seen.mounted.worker();
    let start = Taken::of(worker);
    let (all, is_done) = (Barrier::new(WRITERS + READERS), AtomicBool::new(false));
    let most = thread::scope(|scope| {
        let sampler = scope.spawn(|| {
            let mut most = start;
            while !is_done.load(Ordering::Relaxed) {
                most = most.or_more(Taken::of(worker));
                thread::park_timeout(Duration::from_millis(5));
            }
            most
        });
        let write = |nth: usize| {
            let mut file = File::create(seen.mounted.join(&format!("new{nth}"))).unwrap();
            all.wait();
            for piece in new(nth).chunks(100_000) {
                file.write_all(piece).unwrap();
            }
            file.sync_all().unwrap();
        };
        let read = |nth: usize| {
            let mut file = File::open(seen.mounted.join(&format!("stored{}", nth % READ_FILES))).unwrap();
            all.wait();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert!(bytes == stored(nth % READ_FILES), "reader {nth}");
        };
        let writers: Vec<_> = (0..WRITERS).map(|nth| scope.spawn(move || write(nth))).collect();
        let readers: Vec<_> = (0..READERS).map(|nth| scope.spawn(move || read(nth))).collect();
        let ended: Vec<_> = writers.into_iter().chain(readers).map(thread::ScopedJoinHandle::join).collect();
        is_done.store(true, Ordering::Relaxed);
        let most = sampler.join().unwrap();
        assert!(ended.iter().all(Result::is_ok), "all of them end well");
        most
    });
    println!("{durability:?}: {start:?} at the start, {most:?} at most");
    assert!(most.memory - start.memory <= MEMORY_LIMIT + BEYOND + MEMORY_BESIDE, "{start:?}, {most:?}");
    assert!(most.descriptors <= DESCRIPTORS_MAX, "{most:?}");
    assert!(most.threads <= THREADS_MAX, "{most:?}");
    let seen = seen.mounted_after_unmount();
    for nth in 0..WRITERS {
        assert!(seen.bytes(&format!("new{nth}")).unwrap() == new(nth), "new{nth}");
    }
    assert_eq!(seen.journal_files(), [""; 0]);
    seen.mounted_uploads_are_gone();
}
