//! Which ranges of an object to fetch, and when to forget them. Pure: reads in, ranges out.
//!
//! A reader that goes forward is run ahead of, further with each read; one that jumps gets what it asked for and no more.

use std::ops::Range;
use std::ops::RangeInclusive;

/// Bytes fetched ahead of a first read at the start of a file.
const WINDOW_BYTES_MIN: u64 = 1 << 20;

/// Bytes of one request of a reader that goes forward. Larger ones no longer save time (measured on loopback: 8 and 16 MiB
/// are alike); smaller ones come only where many readers share little memory.
const CHUNK_BYTES: RangeInclusive<u64> = 256 << 10..=8 << 20;

/// How far from the expected place a read still counts as going forward. The kernel's own read-ahead sends requests of
/// up to 1 MiB side by side, and they arrive in any order.
const SLACK_BYTES: u64 = 2 << 20;

/// Bytes kept behind a reader that goes forward, for requests of its read-ahead that come late.
const BEHIND_BYTES: RangeInclusive<u64> = 256 << 10..=SLACK_BYTES;

/// What a read leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Ranges to ask the store for, in the order of need. None overlaps another, or one that is held.
    pub fetch: Vec<Range<u64>>,
    /// Ranges that were fetched earlier and are not needed any more.
    pub forget: Vec<Range<u64>>,
}

/// What is fetched for a read that jumps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// Its bytes.
    Exact,
    /// The blocks that they are in.
    Blocks,
}

/// What is known of one reader of one object.
#[derive(Debug)]
pub struct Plan {
    size: u64,
    /// Ranges begin and end at multiples of so many bytes, where the reader goes forward.
    grain: u64,
    /// Where the furthest read of the current run ended.
    reached: u64,
    /// Bytes to keep ahead of the reader.
    window: u64,
    /// Bytes that may be held ahead of it, as of its last read.
    room: u64,
    /// Ranges that were asked for and not forgotten, in order.
    held: Vec<Range<u64>>,
}

// INVARIANT: the ranges in `held` ascend, are not empty, do not overlap, and end within the object.

impl Plan {
    /// A plan for an object of `size` bytes, of which nothing has been read.
    #[must_use]
    pub fn new(size: u64) -> Self {
        Self::in_blocks(size, 1)
    }

    /// As [`new`](Self::new), with ranges that are whole blocks of `grain` bytes, at most those of the smallest request, as
    /// far as they do not have to fit between others. One that jumps is asked for as it is.
    #[must_use]
    pub fn in_blocks(size: u64, grain: u64) -> Self {
        Self { size, grain, reached: 0, window: 0, room: 0, held: Vec::new() }
    }

    /// Whether a read is a jump.
    #[must_use]
    pub fn jumps(&self, wanted: &Range<u64>) -> bool {
        !self.goes_on(wanted)
    }

    /// Plans a read of `len` bytes at `offset`. `room` is how many bytes may be held ahead of it.
    pub fn read(&mut self, offset: u64, len: u64, room: u64) -> Step {
        self.read_with(offset, len, room, Jump::Exact)
    }

    /// As [`read`](Self::read); if it is a jump, `jump` says what is fetched for it.
    pub fn read_with(&mut self, offset: u64, len: u64, room: u64, jump: Jump) -> Step {
        let wanted = offset.min(self.size)..offset.saturating_add(len).min(self.size);
        if wanted.is_empty() {
            return Step::default();
        }
        let mut step = Step::default();
        self.room = room;
        if self.goes_on(&wanted) {
            self.window = (self.window * 2).max(WINDOW_BYTES_MIN).min(room);
            self.reached = self.reached.max(wanted.end);
            let behind = (room / 8).clamp(*BEHIND_BYTES.start(), *BEHIND_BYTES.end());
            self.forget(&mut step, |range| range.end + behind <= wanted.start);
        } else {
            self.window = 0;
            self.reached = wanted.end;
            self.forget(&mut step, |range| range.end <= wanted.start || range.start >= wanted.end);
        }
        let grain = if self.window == 0 && jump == Jump::Exact { 1 } else { self.grain };
        self.fetch_missing(&mut step, &wanted, grain);
        self.run_ahead(&mut step);
        self.held.sort_by_key(|range| range.start);
        step
    }

    /// A range that was asked for did not come; the next read asks for it again.
    pub fn lost(&mut self, range: &Range<u64>) {
        self.held.retain(|held| held != range);
    }

    fn goes_on(&self, wanted: &Range<u64>) -> bool {
        wanted.start <= self.reached.saturating_add(SLACK_BYTES)
            && self.reached <= wanted.end.saturating_add(SLACK_BYTES)
    }

    fn forget(&mut self, step: &mut Step, unneeded: impl Fn(&Range<u64>) -> bool) {
        step.forget.extend(self.held.extract_if(.., |range| unneeded(range)));
    }

    /// Asks for those bytes of the read itself that are not held.
    fn fetch_missing(&mut self, step: &mut Step, wanted: &Range<u64>, grain: u64) {
        let before = self.held.iter().map(|held| held.end).filter(|&end| end <= wanted.start).max().unwrap_or(0);
        let covered = self.held.iter().any(|held| held.contains(&wanted.start));
        let begin = wanted.start - wanted.start % grain;
        let mut at = if covered { wanted.start } else { begin.max(before) };
        let mut missing = Vec::new();
        for held in self.held.iter().filter(|held| held.start < wanted.end && held.end > wanted.start) {
            if at < held.start {
                missing.push(at..held.start);
            }
            at = held.end;
        }
        if at < wanted.end {
            // The last gap of a reader that goes forward takes along what it will want next.
            let ahead = if self.window == 0 { wanted.end } else { at.saturating_add(self.chunk_bytes()) };
            let next_held = self.held.iter().map(|held| held.start).find(|&start| start > at).unwrap_or(self.size);
            missing.push(at..round_up(ahead.max(wanted.end), grain).min(next_held));
        }
        self.held.extend(missing.iter().cloned());
        step.fetch.append(&mut missing);
    }

    fn run_ahead(&mut self, step: &mut Step) {
        let target = self.reached.saturating_add(self.window).min(self.size);
        let mut frontier = self.held.iter().map(|held| held.end).max().unwrap_or(self.reached).max(self.reached);
        // Small steps to the window's end would be many small requests: wait until half a chunk is due.
        while self.window > 0 && frontier < target {
            let due = target - frontier;
            if due < self.chunk_bytes() / 2 && target < self.size {
                break;
            }
            let end = frontier + self.chunk_bytes();
            let end = Some(end - end % self.grain).filter(|&end| end > frontier).unwrap_or(end);
            let chunk = frontier..end.min(self.size);
            frontier = chunk.end;
            self.held.push(chunk.clone());
            step.fetch.push(chunk);
        }
    }

    fn chunk_bytes(&self) -> u64 {
        let least = WINDOW_BYTES_MIN.min(self.room / 4);
        (self.window / 4).max(least).clamp(*CHUNK_BYTES.start(), *CHUNK_BYTES.end())
    }
}

fn round_up(at: u64, grain: u64) -> u64 {
    at.checked_next_multiple_of(grain).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
