//! Changes of bytes that a stream has taken before: in its tail, and in the parts that it has retained.

use crate::store::PartNumber;
use crate::store::Payload;
use crate::writer::stream::State;
use crate::writer::stream::Stream;
use crate::writer::stream::WriteError;
use bytes::Bytes;
use std::sync::Arc;

impl Stream {
    /// Whether parts are under way and the byte at `offset` can be changed nevertheless. Memory that others need may make
    /// it untrue at any time.
    #[must_use]
    pub fn holds(&self, offset: u64) -> bool {
        let state = self.lock();
        state.driven && offset < state.size && (offset >= state.tail_start() || state.retained.holds(offset))
    }

    /// Whether parts are under way and the file can be cut to `size` bytes nevertheless.
    #[must_use]
    pub fn can_be_cut(&self, size: u64) -> bool {
        let state = self.lock();
        state.driven && (state.tail_start()..=state.size).contains(&size)
    }

    /// Makes the file so long: cuts off what has not gone out yet, or adds zeros, waiting for memory.
    ///
    /// # Errors
    /// As [`write`](Self::write); [`WriteError::NotAtEnd`] when it would be shorter than what has gone out.
    pub async fn resize(self: &Arc<Self>, size: u64) -> Result<(), WriteError> {
        if size < self.size() { self.cut(size) } else { self.pad_to(size).await }
    }

    fn cut(&self, size: u64) -> Result<(), WriteError> {
        let mut state = self.open()?;
        let start = state.tail_start();
        if !state.driven || !(start..=state.size).contains(&size) {
            return Err(WriteError::NotAtEnd);
        }
        state.tail.truncate(size - start);
        state.unsent -= state.size - size;
        state.size = size;
        Ok(())
    }

    /// Bytes of the file, while they are still in memory; fewer at its end, `None` when some have gone out.
    #[must_use]
    pub fn read(&self, offset: u64, len: usize) -> Option<Bytes> {
        let state = self.lock();
        let end = state.size.min(offset.saturating_add(len as u64));
        let (start, mut at) = (state.tail_start(), offset);
        if at >= start {
            let len = usize::try_from(end.saturating_sub(at)).expect("a tail fits in memory");
            return Some(state.tail.copy_out(at - start, len));
        }
        let mut out = Vec::new();
        while at < end.min(start) {
            at += state.retained.copy_out(at, end, &mut out)?;
        }
        if at < end {
            let len = usize::try_from(end - at).expect("a tail fits in memory");
            out.extend_from_slice(&state.tail.copy_out(at - start, len));
        }
        Some(Bytes::from(out))
    }
}

impl State {
    /// Where the bytes begin that are in no part yet.
    pub(super) fn tail_start(&self) -> u64 {
        self.size - self.tail.len()
    }

    /// Replaces bytes before the end, as many as memory is free for, and says how many.
    pub(super) fn rewrite(&mut self, offset: u64, bytes: &[u8]) -> Result<usize, WriteError> {
        // As long as nothing has gone out a patch can take all that follows, wherever it is.
        if !self.driven {
            return Err(WriteError::NotAtEnd);
        }
        let (start, mut taken) = (self.tail_start(), 0);
        while taken < bytes.len() {
            let (at, left) = (offset + taken as u64, &bytes[taken..]);
            if at >= start {
                self.tail.overwrite(at - start, left);
                return Ok(bytes.len());
            }
            match self.retained.overwrite(at, left) {
                Some(0) => break,
                Some(replaced) => taken += replaced,
                None if taken == 0 => return Err(WriteError::NotAtEnd),
                None => break,
            }
        }
        Ok(taken)
    }

    /// Has parts sent again that have been changed.
    pub(super) fn send_changed(&mut self) {
        for (number, payload) in self.retained.take_changed() {
            self.send_again(number, payload);
        }
    }

    pub(super) fn send_again(&mut self, number: PartNumber, payload: Payload) {
        self.unsent += payload.len();
        self.unsent -= self.upload.replace(number, payload);
    }
}
