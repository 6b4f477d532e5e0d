//! The end of a file that is not in a part yet: bytes collected in pooled segments.

use crate::base::pool::Client;
use crate::base::pool::ClientId;
use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::store::Payload;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use crc_fast::Digest;
use std::sync::Arc;

/// Bytes waiting to become a part, with their checksum, taken while they are hot in the processor's cache.
pub struct Tail {
    client: Client,
    segments: Vec<Segment>,
    len: u64,
    /// `None` once bytes in the middle are others than those that came.
    crc: Option<Digest>,
}

impl Tail {
    /// An empty tail that takes its memory from `pool`.
    #[must_use]
    pub fn new(pool: &Arc<Pool>) -> Self {
        Self { client: pool.client(), segments: Vec::new(), len: 0, crc: Some(fresh()) }
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
                let Some(segment) = self.client.pool().try_take() else { break };
                self.segments.push(segment);
            }
            let last = self.segments.last_mut().expect("one was pushed if there was none");
            let filled = last.fill(&bytes[taken..wanted]);
            if let Some(crc) = &mut self.crc {
                crc.update(&bytes[taken..taken + filled]);
            }
            taken += filled;
        }
        self.len += taken as u64;
        taken
    }

    /// Replaces bytes from `at` on, all of them within the tail.
    pub fn overwrite(&mut self, at: u64, bytes: &[u8]) {
        let (mut skip, mut left) = (in_memory(at), bytes);
        for segment in &mut self.segments {
            let filled = segment.filled().len();
            let from = skip.min(filled);
            let (now, later) = left.split_at(left.len().min(filled - from));
            segment.overwrite(from, now);
            left = later;
            skip -= from;
        }
        self.crc = None;
    }

    /// Forgets what is behind its first `len` bytes.
    pub fn truncate(&mut self, len: u64) {
        let mut left = in_memory(len);
        for segment in &mut self.segments {
            segment.truncate(left);
            left -= segment.filled().len();
        }
        self.segments.retain(|segment| !segment.filled().is_empty());
        self.len = self.len.min(len);
        self.crc = self.segments.is_empty().then(fresh);
    }

    /// Who waits for its memory.
    #[must_use]
    pub fn client(&self) -> ClientId {
        self.client.id()
    }

    /// Adds memory that was waited for, unless there is room by now; then it is given back.
    pub fn add_segment_if_full(&mut self, segment: Segment) -> Option<Segment> {
        if self.segments.last().is_none_or(|last| last.room() == 0) {
            self.segments.push(segment);
            return None;
        }
        Some(segment)
    }

    /// A copy of `len` bytes from `at` on, both within the tail.
    #[must_use]
    pub fn copy_out(&self, at: u64, len: usize) -> Bytes {
        let mut skip = in_memory(at);
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
        let segments = self.empty();
        self.client.begin_anew();
        segments
    }

    fn empty(&mut self) -> Vec<Segment> {
        self.crc = Some(fresh());
        self.len = 0;
        std::mem::take(&mut self.segments)
    }

    /// Empties it into a payload that is ready to be sent.
    #[must_use]
    pub fn cut(&mut self) -> Payload {
        let crc64nvme = self.checksum();
        let segments = self.empty();
        let pieces = segments.into_iter().map(Segment::into_moving).filter(|piece| !piece.is_empty()).collect();
        // Only now, as its memory is on its way back.
        self.client.begin_anew();
        Payload { pieces, crc64nvme }
    }

    /// As [`cut`](Self::cut), and somebody goes on holding the bytes.
    #[must_use]
    pub fn cut_shared(&mut self) -> (Vec<Arc<Segment>>, Payload) {
        let crc64nvme = self.checksum();
        let segments = self.empty().into_iter().filter(|segment| !segment.filled().is_empty());
        let segments: Vec<_> = segments.map(Arc::new).collect();
        let pieces = segments.iter().map(Segment::lend).collect();
        self.client.begin_anew();
        (segments, Payload { pieces, crc64nvme })
    }

    fn checksum(&mut self) -> Option<u64> {
        self.crc.take().map(|crc| crc.finalize())
    }
}

fn fresh() -> Digest {
    Digest::new(CrcAlgorithm::Crc64Nvme)
}

fn in_memory(len: u64) -> usize {
    usize::try_from(len).expect("a tail fits in memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let pool = Pool::with_segments(64, 8);
        let mut tail = Tail::new(&pool);
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
        let mut tail = Tail::new(&pool);
        assert_eq!(tail.fill(b"0123456789", 3), 3, "room in the part");
        assert_eq!(tail.fill(b"0123456789abcdef", 100), 13, "memory of the pool");
    }

    #[test]
    fn bytes_are_replaced_and_cut_off_where_they_are() {
        let pool = Pool::with_segments(64, 8);
        let mut tail = Tail::new(&pool);
        tail.fill(b"0123456789abcdefghij", 100);
        tail.overwrite(6, b"six to twelve");
        assert_eq!(tail.copy_out(0, 20), &b"012345six to twelvej"[..]);
        tail.truncate(15);
        tail.fill(b"!", 100);
        assert_eq!((tail.len(), pool.used_bytes()), (16, 16));
        let (held, payload) = tail.cut_shared();
        assert_eq!((payload.pieces.concat(), payload.crc64nvme), (b"012345six to tw!".to_vec(), None));
        drop(payload);
        assert_eq!(pool.used_bytes(), 16, "somebody holds them");
        drop(held);
        tail.fill(b"anew", 100);
        tail.overwrite(0, b"A");
        tail.truncate(0);
        tail.fill(b"anew", 100);
        assert_eq!(tail.cut().crc64nvme, Some(crc_fast::checksum(CrcAlgorithm::Crc64Nvme, b"anew")));
    }
}
