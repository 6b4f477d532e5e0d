//! The end of a file that is not in a part yet: bytes collected in pooled segments.

use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::store::Payload;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use crc_fast::Digest;
use std::sync::Arc;

/// Bytes waiting to become a part, with their checksum, taken while they are hot in the processor's cache.
pub struct Tail {
    pool: Arc<Pool>,
    segments: Vec<Segment>,
    len: u64,
    crc: Digest,
}

impl Tail {
    /// An empty tail that takes its memory from `pool`.
    #[must_use]
    pub fn new(pool: Arc<Pool>) -> Self {
        Self { pool, segments: Vec::new(), len: 0, crc: Digest::new(CrcAlgorithm::Crc64Nvme) }
    }

    /// Bytes in it.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes up to `room` of `bytes`, as far as memory is free, and says how many.
    pub fn fill(&mut self, bytes: &[u8], room: u64) -> usize {
        let wanted = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        let mut taken = 0;
        while taken < wanted {
            if self.segments.last().is_none_or(|last| last.room() == 0) {
                let Some(segment) = self.pool.try_take() else { break };
                self.segments.push(segment);
            }
            let last = self.segments.last_mut().expect("one was pushed if there was none");
            let filled = last.fill(&bytes[taken..wanted]);
            self.crc.update(&bytes[taken..taken + filled]);
            taken += filled;
        }
        self.len += taken as u64;
        taken
    }

    /// Adds memory that was waited for, unless there is room by now.
    pub fn add_segment_if_full(&mut self, segment: Segment) {
        if self.segments.last().is_none_or(|last| last.room() == 0) {
            self.segments.push(segment);
        }
    }

    /// A copy of `len` bytes from `at` on, both within the tail.
    #[must_use]
    pub fn copy_out(&self, at: u64, len: usize) -> Bytes {
        let mut skip = usize::try_from(at).expect("a tail fits in memory");
        let mut out = Vec::with_capacity(len);
        for segment in &self.segments {
            let filled = segment.filled();
            let from = skip.min(filled.len());
            let to = filled.len().min(from + len - out.len());
            out.extend_from_slice(&filled[from..to]);
            skip -= from;
        }
        Bytes::from(out)
    }

    /// Empties it, for somebody else to hold its bytes.
    #[must_use]
    pub fn take_segments(&mut self) -> Vec<Segment> {
        self.crc = Digest::new(CrcAlgorithm::Crc64Nvme);
        self.len = 0;
        std::mem::take(&mut self.segments)
    }

    /// Empties it into a payload that is ready to be sent.
    #[must_use]
    pub fn cut(&mut self) -> Payload {
        let crc = std::mem::replace(&mut self.crc, Digest::new(CrcAlgorithm::Crc64Nvme));
        self.len = 0;
        let pieces = self.segments.drain(..).map(Segment::into_moving).filter(|piece| !piece.is_empty()).collect();
        Payload { pieces, crc64nvme: Some(crc.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let pool = Pool::with_segments(64, 8);
        let mut tail = Tail::new(pool);
        assert_eq!(tail.fill(b"hello, ", 100), 7);
        assert_eq!(tail.fill(b"fire brigade", 100), 12);
        assert_eq!(tail.copy_out(5, 6), &b", fire"[..]);
        let payload = tail.cut();
        assert_eq!(payload.pieces.concat(), b"hello, fire brigade");
        assert_eq!(payload.crc64nvme, Some(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, b"hello, fire brigade")));
        assert!(tail.is_empty());
    }

    #[test]
    fn room_and_memory_limit_what_is_taken() {
        let pool = Pool::with_segments(16, 8);
        let mut tail = Tail::new(pool);
        assert_eq!(tail.fill(b"0123456789", 3), 3, "room in the part");
        assert_eq!(tail.fill(b"0123456789abcdef", 100), 13, "memory of the pool");
    }
}
