//! What of a patch goes elsewhere before its commit: what memory cannot hold, and long holes.

use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Payload;
use crate::writer::patch::Patch;
use crate::writer::patch::Phase;
use crate::writer::publish::zeros;
use crate::writer::stream::WriteError;
use std::sync::Arc;

/// Bytes of a stretch of zeros from which on the store copies it from an object of zeros; sending less costs no more than
/// making that object.
const HOLE_BYTES_MIN: u64 = 32 << 20;

/// Parts of which all such stretches consist, about: few enough to leave most numbers of an upload for others.
const HOLE_PARTS: u64 = 1000;

impl Patch {
    /// Brings what only memory has to the disk or to a hidden object, and gives the memory back.
    ///
    /// # Errors
    /// [`WriteError::Failed`] when the store does not take it, [`WriteError::Disk`] when a journal does not: nothing is
    /// lost, and it may be tried again.
    pub async fn spill(self: &Arc<Self>) -> Result<(), WriteError> {
        let patch = Arc::clone(self);
        // A task of its own: who waits for it may go away, and the object must not be forgotten then.
        let spilled = self.context.runtime.spawn(async move { patch.try_spill().await }).await;
        spilled.unwrap_or_else(|panic| {
            let message = format!("the task that spilled it broke: {panic}");
            Err(WriteError::from(Error::new(Op::PutObject, "", Kind::Network, message)))
        })
    }

    async fn try_spill(&self) -> Result<(), WriteError> {
        let mut disk = self.context.disk.as_ref();
        if let Some(limited) = disk
            && !limited.room().await
        {
            disk = None;
        }
        let mut staged = self.staging.lock().await;
        let taken = {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Open) || state.overlay.memory_bytes() < self.memory_bytes_min() {
                return Ok(());
            }
            state.overlay.take_dirty()
        };
        if taken.bytes == 0 {
            return Ok(());
        }
        let _expected = self.context.pool.expect_back();
        let extents = match disk {
            Some(disk) if disk.as_journal().is_some() => Some(staged.append(disk, taken.pieces.clone()).await?),
            Some(disk) => staged.append_or_not(disk, taken.pieces.clone()).await,
            None => None,
        };
        if let Some(extents) = extents {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Ended(_)) {
                state.overlay.on_disk(&taken, extents);
            }
            return Ok(());
        }
        let payload = Payload { pieces: taken.pieces.clone(), ..Payload::default() };
        let object = staged.put(self.context.store.as_ref(), self.destination.as_ref(), payload).await?;
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Ended(_)) {
            state.overlay.staged(&taken, object);
        }
        Ok(())
    }

    /// Has the store copy what is nothing but zeros over long stretches, where it can.
    pub(super) async fn fill_holes(&self) -> Result<(), Error> {
        let mut staged = self.staging.lock().await;
        let schedule = &self.context.schedule;
        if schedule.equal_parts() || !self.context.store.facts().copy_part {
            return Ok(());
        }
        let in_all: u64 = self.lock().overlay.holes(HOLE_BYTES_MIN).map(|hole| hole.end - hole.start).sum();
        if in_all == 0 {
            return Ok(());
        }
        let bytes = (in_all / HOLE_PARTS).clamp(HOLE_BYTES_MIN, schedule.part_bytes_max());
        let object = staged
            .put(
                self.context.store.as_ref(),
                self.destination.as_ref(),
                Payload { pieces: zeros(bytes).collect(), ..Payload::default() },
            )
            .await?;
        self.lock().overlay.fill_holes(HOLE_BYTES_MIN, object);
        Ok(())
    }
}
