//! A version of a file as runs over what the bucket has: bytes in memory and on local disk, zeros, ranges of
//! objects. Pure but for the pool.
//!
//! Writes that hit bytes in memory replace them in place, so a page that is written a thousand times is held once. What
//! becomes of the runs at a commit is [`plan`](crate::writer::plan)'s affair.

mod sealed;
mod spilled;

pub use sealed::Snapshot;
pub use spilled::Taken;

use crate::base::pool::Client;
use crate::base::pool::ClientId;
use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::writer::disk::Extent;
use crate::writer::stream::Base;
use bytes::Bytes;
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// What a run consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes in a segment, from an offset in it on.
    Memory {
        /// Which segment.
        segment: usize,
        /// Where in it the run begins.
        at: usize,
    },
    /// Nothing but zeros.
    Zeros,
    /// Bytes of an object, from an offset in it on.
    Object {
        /// Which object.
        source: usize,
        /// Where in it the run begins.
        at: u64,
    },
    /// Bytes on local disk, from an offset in an extent on.
    Disk {
        /// Which extent.
        extent: usize,
        /// Where in it the run begins.
        at: u64,
    },
}

/// A piece of a file, as somebody who wants its bytes gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The bytes themselves.
    Bytes(Bytes),
    /// So many zeros.
    Zeros(u64),
    /// To be read from this range of an object.
    Object(Base, Range<u64>),
    /// To be read from this range of an extent.
    Disk(Arc<Extent>, Range<u64>),
}

enum Held {
    /// Still written to.
    Open(Segment),
    /// Shared with requests.
    Shared(Bytes),
    /// Given back.
    Gone,
}

/// One version of a file that is not in the bucket yet.
pub struct Overlay {
    client: Client,
    size: u64,
    /// By where they begin.
    runs: BTreeMap<u64, (u64, Content)>,
    segments: Vec<Held>,
    /// How many of the segments are not gone.
    held: usize,
    sources: Vec<Base>,
    /// Those of the sources that are there for this file only.
    staged: BTreeSet<usize>,
    /// `None` once no run refers to it.
    extents: Vec<Option<Arc<Extent>>>,
}

// INVARIANT: the runs cover `0..size` without gaps, and none is empty.

impl Content {
    /// The content of the same run without its first `skip` bytes.
    fn skip(self, skip: u64) -> Self {
        match self {
            Self::Memory { segment, at } => Self::Memory { segment, at: at + in_memory(skip) },
            Self::Zeros => Self::Zeros,
            Self::Object { source, at } => Self::Object { source, at: at + skip },
            Self::Disk { extent, at } => Self::Disk { extent, at: at + skip },
        }
    }
}

/// A length within a segment.
fn in_memory(len: u64) -> usize {
    usize::try_from(len).expect("a run in memory fits in memory")
}

impl Overlay {
    /// An empty file that takes its memory from `pool`.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        let (runs, segments, sources, staged, extents) = Default::default();
        Self { client: pool.client(), size: 0, runs, segments, held: 0, sources, staged, extents }
    }

    /// A file that is the object so far.
    #[must_use]
    pub fn over(pool: Arc<Pool>, base: Base) -> Self {
        let mut overlay = Self::new(pool);
        let size = base.size;
        overlay.put_object(0, base, 0..size);
        overlay
    }

    /// Adds filled segments at the end of the file.
    pub fn append_segments(&mut self, segments: Vec<Segment>) {
        for segment in segments {
            let len = segment.filled().len() as u64;
            let content = Content::Memory { segment: self.segments.len(), at: 0 };
            self.add_segment(segment);
            self.put(self.size, len, content);
        }
    }

    /// Bytes of the file.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Who waits for its memory.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client.id()
    }

    /// Bytes of memory that it holds.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        (self.held * self.client.pool().segment_bytes()) as u64
    }

    /// Bytes of the file that only this host has.
    #[must_use]
    pub fn dirty_bytes(&self) -> u64 {
        let here = |content: &Content| matches!(content, Content::Memory { .. } | Content::Disk { .. });
        self.runs.values().filter(|(_, content)| here(content)).map(|(len, _)| len).sum()
    }

    /// Whether some of its bytes are those of objects in the bucket that others see.
    #[must_use]
    pub fn has_objects(&self) -> bool {
        let visible =
            |content: &Content| matches!(content, Content::Object { source, .. } if !self.staged.contains(source));
        self.runs.values().any(|(_, content)| visible(content))
    }

    /// The objects that runs may refer to.
    #[must_use]
    pub fn sources(&self) -> &[Base] {
        &self.sources
    }

    /// All runs, in the order of the file.
    pub fn runs(&self) -> impl Iterator<Item = (Range<u64>, Content)> + '_ {
        self.runs.iter().map(|(start, (len, content))| (*start..start + len, *content))
    }

    /// Takes bytes at any offset, as many as memory is free for below `memory_bytes_max`, and says how many. A gap before
    /// them becomes zeros.
    pub fn write(&mut self, offset: u64, bytes: &[u8], memory_bytes_max: u64) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let (at, left) = (offset + taken as u64, &bytes[taken..]);
            let (len, held) = self.memory_at(at);
            let left = &left[..usize::try_from(len).unwrap_or(usize::MAX).min(left.len())];
            taken += match held {
                Some((segment, within)) => {
                    self.open(segment).overwrite(within, left);
                    left.len()
                }
                None => match self.allocate(left, memory_bytes_max) {
                    Some((filled, content)) => {
                        self.put(at, filled as u64, content);
                        filled
                    }
                    None => break,
                },
            };
        }
        taken
    }

    /// Adds memory that was waited for.
    pub fn add_segment(&mut self, segment: Segment) {
        self.segments.push(Held::Open(segment));
        self.held += 1;
    }

    /// How many runs it consists of.
    #[must_use]
    pub fn fragments(&self) -> usize {
        self.runs.len()
    }

    /// Makes the file so long: longer with zeros, shorter by cutting it off.
    pub fn truncate(&mut self, size: u64) {
        if size > self.size {
            self.put(self.size, size - self.size, Content::Zeros);
            return;
        }
        self.cut(size);
        drop(self.runs.split_off(&size));
        self.size = size;
        if size == 0 {
            self.segments.iter_mut().for_each(|held| *held = Held::Gone);
            self.held = 0;
            self.extents.clear();
        }
    }

    /// Makes a range zeros; the file grows if the range ends behind it.
    pub fn zero(&mut self, range: Range<u64>) {
        if range.start < range.end {
            self.put(range.start, range.end - range.start, Content::Zeros);
        }
    }

    /// Puts bytes of an object at `offset`.
    pub fn put_object(&mut self, offset: u64, object: Base, from: Range<u64>) {
        if from.start >= from.end {
            return;
        }
        let source = self.source(object);
        self.put(offset, from.end - from.start, Content::Object { source, at: from.start });
    }

    fn source(&mut self, object: Base) -> usize {
        let known = self.sources.iter().position(|known| *known == object);
        known.unwrap_or_else(|| {
            self.sources.push(object);
            self.sources.len() - 1
        })
    }

    /// Makes long runs of zeros, of `least` bytes and more, ranges of an object that consists of zeros.
    pub fn fill_holes(&mut self, least: u64, zeros: Base) {
        let bytes = zeros.size;
        let source = self.source(zeros);
        self.staged.insert(source);
        let holes: Vec<_> = self.holes(least).collect();
        for hole in holes {
            let mut at = hole.start;
            while hole.end - at >= least {
                let len = bytes.min(hole.end - at);
                self.put(at, len, Content::Object { source, at: 0 });
                at += len;
            }
        }
    }

    /// Runs of zeros of `least` bytes and more.
    pub fn holes(&self, least: u64) -> impl Iterator<Item = Range<u64>> + '_ {
        let is_hole = move |(range, content): &(Range<u64>, Content)| {
            *content == Content::Zeros && range.end - range.start >= least
        };
        self.runs().filter(is_hole).map(|(range, _)| range)
    }

    /// No write follows: from now on its bytes are shared, not copied.
    pub fn freeze(&mut self) {
        for segment in 0..self.segments.len() {
            if matches!(self.segments[segment], Held::Open(_)) {
                self.share(segment);
            }
        }
    }

    /// The bytes of a segment, which is written to no more.
    fn share(&mut self, segment: usize) -> Bytes {
        let bytes = match std::mem::replace(&mut self.segments[segment], Held::Gone) {
            Held::Open(segment) => segment.into_bytes(),
            Held::Shared(bytes) => bytes,
            Held::Gone => unreachable!("no run refers to memory that was given back"),
        };
        self.segments[segment] = Held::Shared(bytes.clone());
        bytes
    }

    /// The pieces of a range, up to the end of the file.
    #[must_use]
    pub fn pieces(&self, range: Range<u64>) -> Vec<Piece> {
        let end = range.end.min(self.size);
        let (mut pieces, mut at) = (Vec::new(), range.start);
        while at < end {
            let (start, (len, content)) = self.run_at(at);
            let stop = end.min(start + len);
            pieces.push(self.piece(content.skip(at - start), stop - at));
            at = stop;
        }
        pieces
    }

    fn piece(&self, content: Content, len: u64) -> Piece {
        match content {
            Content::Zeros => Piece::Zeros(len),
            Content::Object { source, at } => Piece::Object(self.sources[source].clone(), at..at + len),
            Content::Disk { extent, at } => {
                let extent = self.extents[extent].as_ref().expect("no run refers to an extent that was given back");
                Piece::Disk(Arc::clone(extent), at..at + len)
            }
            Content::Memory { segment, at } => {
                let within = at..at + in_memory(len);
                Piece::Bytes(match &self.segments[segment] {
                    Held::Open(segment) => BytesMut::from(&segment.filled()[within]).freeze(),
                    Held::Shared(bytes) => bytes.slice(within),
                    Held::Gone => unreachable!("no run refers to memory that was given back"),
                })
            }
        }
    }

    /// How far it is from `at` to where memory that can be written to begins or ends, and where in it `at` is, if it is.
    fn memory_at(&self, at: u64) -> (u64, Option<(usize, usize)>) {
        if at < self.size {
            let (start, (len, content)) = self.run_at(at);
            if let Content::Memory { segment, at: within } = content.skip(at - start)
                && self.is_open(segment)
            {
                return (start + len - at, Some((segment, within)));
            }
        }
        let writable = |content: &Content| matches!(content, Content::Memory { segment, .. } if self.is_open(*segment));
        let next = self.runs.range(at..).find(|(_, (_, content))| writable(content));
        (next.map_or(u64::MAX, |(start, _)| start - at), None)
    }

    fn is_open(&self, segment: usize) -> bool {
        matches!(self.segments[segment], Held::Open(_))
    }

    fn run_at(&self, at: u64) -> (u64, (u64, Content)) {
        let (start, run) = self.runs.range(..=at).next_back().expect("runs cover the file");
        (*start, *run)
    }

    fn open(&mut self, segment: usize) -> &mut Segment {
        match &mut self.segments[segment] {
            Held::Open(segment) => segment,
            Held::Shared(_) | Held::Gone => unreachable!("only open segments are asked for"),
        }
    }

    /// Copies some of `bytes` into free memory.
    fn allocate(&mut self, bytes: &[u8], memory_bytes_max: u64) -> Option<(usize, Content)> {
        let room = matches!(self.segments.last(), Some(Held::Open(last)) if last.room() > 0);
        if !room {
            if self.memory_bytes() + self.client.pool().segment_bytes() as u64 > memory_bytes_max {
                return None;
            }
            let segment = self.client.pool().try_take()?;
            self.add_segment(segment);
        }
        let segment = self.segments.len() - 1;
        let last = self.open(segment);
        let at = last.filled().len();
        Some((last.fill(bytes), Content::Memory { segment, at }))
    }

    /// Replaces what is in a range, or extends the file by it.
    fn put(&mut self, start: u64, len: u64, content: Content) {
        if len == 0 {
            return;
        }
        if start > self.size {
            self.put(self.size, start - self.size, Content::Zeros);
        }
        let end = start + len;
        self.cut(start);
        self.cut(end);
        let replaced: Vec<u64> = self.runs.range(start..end).map(|(start, _)| *start).collect();
        for replaced in replaced {
            self.runs.remove(&replaced);
        }
        self.runs.insert(start, (len, content));
        self.size = self.size.max(end);
        self.join(end);
        self.join(start);
    }

    /// Makes a run begin at `at`, if one covers it.
    fn cut(&mut self, at: u64) {
        if at >= self.size {
            return;
        }
        let (start, (len, content)) = self.run_at(at);
        if start < at {
            self.runs.insert(start, (at - start, content));
            self.runs.insert(at, (len - (at - start), content.skip(at - start)));
        }
    }

    /// Makes one run of those that meet at `at`, if one goes on where the other ends.
    fn join(&mut self, at: u64) {
        let Some((len, content)) = self.runs.get(&at).copied() else { return };
        let Some((start, (before, first))) = self.runs.range(..at).next_back().map(|(start, run)| (*start, *run))
        else {
            return;
        };
        // Of runs in memory the offsets are compared, so the sum must not be taken where they cannot be large.
        let goes_on = match (first, content) {
            (Content::Memory { segment, at }, Content::Memory { segment: next, at: next_at }) => {
                segment == next && at as u64 + before == next_at as u64
            }
            (Content::Zeros, Content::Zeros) => true,
            (Content::Object { source, at }, Content::Object { source: next, at: next_at }) => {
                source == next && at + before == next_at
            }
            (Content::Disk { extent, at }, Content::Disk { extent: next, at: next_at }) => {
                extent == next && at + before == next_at
            }
            (Content::Memory { .. } | Content::Zeros | Content::Object { .. } | Content::Disk { .. }, _) => false,
        };
        if goes_on {
            self.runs.remove(&at);
            self.runs.insert(start, (before + len, first));
        }
    }
}

#[cfg(test)]
mod tests;
