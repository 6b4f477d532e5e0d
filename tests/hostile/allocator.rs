//! The system's allocator with a count for each thread, to see what a parser takes.

use proptest::test_runner::TestCaseError;
use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;

/// Bytes that a parser may take whatever it is given: messages of errors, tables of constants.
const SLACK_BYTES: usize = 64 << 10;

#[global_allocator]
static COUNTING: Counting = Counting;

thread_local! {
    // Signed: what was taken before the count began may be given back during it.
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: isize) {
    // Fails when the thread is ending, and nobody counts then.
    let _ = HELD.try_with(|held| {
        held.set(held.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

fn signed(layout: Layout) -> isize {
    isize::try_from(layout.size()).expect("no layout is larger")
}

// SAFETY: every call goes to the system's allocator with the same arguments; counting allocates nothing. Growing is left
// to the default, which takes the new block before it gives back the old one: the most that it may need.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout));
        // SAFETY: what the caller promises is what the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(-signed(layout));
        // SAFETY: the block came from `alloc` above, which is the system's.
        unsafe { System.dealloc(block, layout) }
    }
}

/// The most bytes that `run` holds at once on this thread, beyond what is held when it begins.
pub fn peak(run: impl FnOnce()) -> usize {
    HELD.set(0);
    PEAK.set(0);
    run();
    PEAK.get().unsigned_abs()
}

/// Runs a parser; fails when it takes more than `factor` bytes for each byte of its input.
pub fn bounded<T>(
    what: &str,
    input_bytes: usize,
    factor: usize,
    parse: impl FnOnce() -> T,
) -> Result<T, TestCaseError> {
    let mut parsed = None;
    let peak = peak(|| parsed = Some(parse()));
    let most = factor * input_bytes + SLACK_BYTES;
    if peak > most {
        let message = format!("{what}: {peak} bytes for {input_bytes}, which is more than {factor} for each");
        return Err(TestCaseError::fail(message));
    }
    Ok(parsed.expect("it has run"))
}

#[test]
fn the_count_sees_what_is_held_and_what_is_moved() {
    let twice = peak(|| drop((vec![0u8; 1000], vec![0u8; 500])));
    assert_eq!(twice, 1500);
    let after = peak(|| {
        drop(vec![0u8; 1000]);
        drop(vec![0u8; 500]);
    });
    assert_eq!(after, 1000);
    let grown = peak(|| {
        let mut vec: Vec<u8> = Vec::with_capacity(100);
        vec.resize(100, 1);
        vec.reserve_exact(200);
    });
    assert_eq!(grown, 400, "both blocks while the bytes move");
    let refused = bounded("a parser", 1, 1, || vec![0u8; SLACK_BYTES + 2]);
    assert!(refused.is_err());
}
