//! Parts of a stream that can be changed although they have been handed over: the first one, where formats have their
//! headers, and the latest one. Pure but for the pool.
//!
//! The pool keeps the bytes until somebody needs the memory. Once they are changed nobody else has them, so they are held
//! until they go out again.

use crate::base::pool::Kept;
use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::store::PartNumber;
use crate::store::Payload;
use std::ops::Range;
use std::sync::Arc;

/// The number of a part, and the bytes that it has instead of those that were handed over.
pub type Changed = (PartNumber, Payload);

/// What a stream can still change of its parts.
pub struct Retained {
    pool: Arc<Pool>,
    /// The first one and the latest one, as soon as these are two.
    parts: Vec<Part>,
    /// Memory that was waited for.
    spare: Option<Segment>,
    /// Whether a change waits for memory.
    starved: bool,
}

struct Part {
    number: PartNumber,
    range: Range<u64>,
    held: Held,
}

// INVARIANT: all segments of a part but its last one are full.
enum Held {
    /// By the pool, until memory is short.
    Kept(Kept),
    /// Here: they are not what was handed over.
    Changed(Vec<Arc<Segment>>),
}

impl Retained {
    /// Nothing yet.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, parts: Vec::new(), spare: None, starved: false }
    }

    /// A part that begins at `start` has been handed over. The one before it can be changed no more, unless it is the
    /// first; it is answered if it must be sent again.
    #[must_use]
    pub fn add(&mut self, number: PartNumber, start: u64, segments: Vec<Arc<Segment>>) -> Option<Changed> {
        let before = if self.parts.len() > 1 { self.parts.pop() } else { None };
        let len: usize = segments.iter().map(|segment| segment.filled().len()).sum();
        let held = Held::Kept(self.pool.keep(segments));
        self.parts.push(Part { number, range: start..start + len as u64, held });
        before.and_then(|part| match part.held {
            Held::Kept(_) => None,
            Held::Changed(segments) => Some((part.number, payload(&segments))),
        })
    }

    /// Whether the byte at this offset of the file can be changed.
    #[must_use]
    pub fn holds(&self, at: u64) -> bool {
        self.parts.iter().filter(|part| part.range.contains(&at)).any(|part| match &part.held {
            Held::Kept(kept) => kept.is_there(),
            Held::Changed(_) => true,
        })
    }

    /// Replaces bytes from an offset of the file on, as many as the part there has and memory is free for; says how many.
    /// `None`: they can be changed no more.
    pub fn overwrite(&mut self, at: u64, bytes: &[u8]) -> Option<usize> {
        let part = self.parts.iter_mut().find(|part| part.range.contains(&at))?;
        if let Held::Kept(kept) = &part.held {
            part.held = Held::Changed(kept.claim()?);
        }
        let Held::Changed(segments) = &mut part.held else { return None };
        let wanted = bytes.len().min(in_memory(part.range.end - at));
        let (mut within, mut taken) = (in_memory(at - part.range.start), 0);
        while taken < wanted {
            let (index, from) = (within / self.pool.segment_bytes(), within % self.pool.segment_bytes());
            let Some(segment) = own(&mut segments[index], &mut self.spare, &self.pool) else {
                self.starved = true;
                break;
            };
            let len = (wanted - taken).min(segment.filled().len() - from);
            segment.overwrite(from, &bytes[taken..taken + len]);
            within += len;
            taken += len;
        }
        Some(taken)
    }

    /// Adds bytes from an offset on to `out`, as many as the part there has but none behind `end`; says how many. `None`:
    /// they are not here.
    pub fn copy_out(&self, at: u64, end: u64, out: &mut Vec<u8>) -> Option<u64> {
        let part = self.parts.iter().find(|part| part.range.contains(&at))?;
        let kept;
        let segments = match &part.held {
            Held::Kept(held) => {
                kept = held.segments()?;
                &kept
            }
            Held::Changed(segments) => segments,
        };
        let end = end.min(part.range.end);
        let mut skip = in_memory(at - part.range.start);
        let mut left = in_memory(end - at);
        for segment in segments {
            let filled = segment.filled();
            let from = skip.min(filled.len());
            let to = filled.len().min(from + left);
            out.extend_from_slice(&filled[from..to]);
            skip -= from;
            left -= to - from;
        }
        Some(end - at)
    }

    /// Bytes of parts that must be sent again.
    #[must_use]
    pub fn changed_bytes(&self) -> u64 {
        let changed = self.parts.iter().filter(|part| matches!(part.held, Held::Changed(_)));
        changed.map(|part| part.range.end - part.range.start).sum()
    }

    /// What must be sent again; after that the pool keeps it.
    #[must_use]
    pub fn take_changed(&mut self) -> Vec<Changed> {
        let mut changed = Vec::new();
        for part in &mut self.parts {
            if let Held::Changed(segments) = &mut part.held {
                let segments = std::mem::take(segments);
                changed.push((part.number, payload(&segments)));
                part.held = Held::Kept(self.pool.keep(segments));
            }
        }
        changed
    }

    /// Takes memory for a change, if one has found none.
    pub fn add_spare(&mut self, segment: Segment) {
        if std::mem::take(&mut self.starved) {
            self.spare = Some(segment);
        }
    }

    /// Holds nothing any more.
    pub fn clear(&mut self) {
        self.parts.clear();
        self.spare = None;
    }
}

/// The segment, to be changed: a copy of it while it is being sent.
fn own<'a>(held: &'a mut Arc<Segment>, spare: &mut Option<Segment>, pool: &Arc<Pool>) -> Option<&'a mut Segment> {
    if Arc::get_mut(held).is_none() {
        let mut copy = spare.take().or_else(|| pool.try_take())?;
        copy.fill(held.filled());
        *held = Arc::new(copy);
    }
    Arc::get_mut(held)
}

fn payload(segments: &[Arc<Segment>]) -> Payload {
    Payload { pieces: segments.iter().map(Segment::lend).collect(), crc64nvme: None }
}

fn in_memory(len: u64) -> usize {
    usize::try_from(len).expect("a part that is held fits in memory")
}

#[cfg(test)]
mod tests;
