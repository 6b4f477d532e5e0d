//! The version of a file that is being written: found, begun, and turned from a stream into a patch.

use crate::store::PartNumber;
use crate::vfs::Durability;
use crate::vfs::Vfs;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::writer::draft::Draft;
use crate::writer::patch::Patch;
use crate::writer::stream::Base;
use crate::writer::stream::Stream;
use crate::writer::stream::WriteError;
use std::sync::Arc;

/// What a version must be able to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Bytes at this offset.
    At(u64),
    /// This length.
    Length(u64),
    /// Bytes at the end, wherever that is.
    End,
    /// Any change.
    Patch,
}

impl Vfs {
    /// The version being written, or a new one that goes on from the committed one. What follows the last byte makes a
    /// stream; anything else a patch. A stream that has parts under way takes what it still can change in memory; for
    /// anything else it is committed before it becomes a patch.
    ///
    /// # Errors
    /// Why there can be none, or why the stream could not be committed.
    pub(super) async fn draft(&self, inode: &Arc<Inode>, wanted: Wanted) -> Result<Draft> {
        loop {
            let draft = {
                let _changing = inode.changing.lock().await;
                self.draft_locked(inode, wanted).await?
            };
            match draft {
                Some(draft) => return Ok(draft),
                None => self.bring_out(inode).await?,
            }
        }
    }

    /// Brings the version being written into the bucket, so that it can be read back or gone on from: under the file's name,
    /// or under its hidden key when it has none any more.
    pub(super) async fn bring_out(&self, inode: &Arc<Inode>) -> Result<()> {
        if !inode.state().gone {
            self.commit(inode).await?;
        }
        let gone = inode.state().gone;
        if gone {
            let _changing = inode.changing.lock().await;
            self.publish(inode).await?;
        }
        Ok(())
    }

    /// As [`draft`](Self::draft), for a caller that holds `changing`. `None`: the version must be committed before.
    pub(super) async fn draft_locked(&self, inode: &Arc<Inode>, wanted: Wanted) -> Result<Option<Draft>> {
        self.recall(inode).await?;
        self.settle_doubt(inode).await?;
        let (draft, version) = {
            let state = inode.state();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            (state.draft.clone(), state.version.clone())
        };
        match draft {
            Some(Draft::Stream(stream)) => Ok(self.stream_or_patch(inode, stream, wanted)),
            Some(Draft::Patch(patch)) => Ok(Some(Draft::Patch(patch))),
            None => {
                let version = version.ok_or(Error::Stale)?;
                let base = Base { key: self.key_of(inode)?, etag: version.etag, size: version.size };
                let follows = base.etag.clone();
                let draft = self.begin_after(inode, base, wanted).await?;
                let mut state = inode.state();
                state.begin(draft.clone());
                state.follows = Some(follows);
                Ok(Some(draft))
            }
        }
    }

    async fn begin_after(&self, inode: &Arc<Inode>, base: Base, wanted: Wanted) -> Result<Draft> {
        let (context, destination) = (Arc::clone(&self.writing), self.destination(inode));
        if self.options.durability == Durability::Bucket && self.goes_on(base.size, wanted) {
            return Ok(Draft::Stream(Stream::after(context, destination, base).await?));
        }
        Ok(Draft::Patch(Patch::over(context, destination, base)))
    }

    fn stream_or_patch(&self, inode: &Arc<Inode>, stream: Arc<Stream>, wanted: Wanted) -> Option<Draft> {
        let can_be_changed = match wanted {
            Wanted::At(end) | Wanted::Length(end) if end >= stream.size() => stream.key().is_some(),
            Wanted::At(offset) => stream.holds(offset),
            Wanted::Length(size) => stream.can_be_cut(size),
            Wanted::End | Wanted::Patch => false,
        };
        if can_be_changed || self.goes_on(stream.size(), wanted) {
            return Some(Draft::Stream(stream));
        }
        self.as_patch(inode, &stream)
    }

    /// A stream as a patch, if no request was made for it yet.
    pub(super) fn as_patch(&self, inode: &Arc<Inode>, stream: &Arc<Stream>) -> Option<Draft> {
        let overlay = stream.take_unsent()?;
        let patch = Draft::Patch(Patch::new(Arc::clone(&self.writing), self.destination(inode), overlay));
        let mut state = inode.state();
        // Who gives up all writers may have taken the stream away meanwhile.
        let current = state.draft.as_ref().is_some_and(|current| current.is(&Draft::Stream(Arc::clone(stream))));
        current.then(|| state.draft.insert(patch).clone())
    }

    /// Whether bytes go on where a file of `size` ends. A small gap is filled with zeros: they may well be written later,
    /// and until then the file goes out while it is written.
    fn goes_on(&self, size: u64, wanted: Wanted) -> bool {
        match wanted {
            Wanted::End => true,
            Wanted::Patch => false,
            Wanted::At(offset) | Wanted::Length(offset) => {
                let gap_max = self.writing.schedule.part_bytes(PartNumber(1)).unwrap_or(0);
                offset.checked_sub(size).is_some_and(|gap| gap <= gap_max)
            }
        }
    }

    /// Whether a change was made. It was not when the version has ended meanwhile, or another program was faster at its
    /// end: then it is to be tried again.
    pub(super) fn is_done<T>(
        &self,
        inode: &Inode,
        draft: &Draft,
        changed: std::result::Result<T, WriteError>,
    ) -> Result<Option<T>> {
        match changed {
            Ok(done) => Ok(Some(done)),
            Err(WriteError::NotAtEnd) => Ok(None),
            Err(WriteError::Ended) if self.is_replaced(inode, draft) || draft.is_busy() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn is_replaced(&self, inode: &Inode, draft: &Draft) -> bool {
        let state = inode.state();
        state.broken.is_none() && !state.draft.as_ref().is_some_and(|current| current.is(draft))
    }

    /// The end of a range, if a file can be so long.
    pub(super) fn must_fit(&self, offset: u64, len: u64) -> Result<u64> {
        let end = offset.checked_add(len).filter(|end| *end <= self.writing.schedule.object_bytes_max());
        end.ok_or(Error::TooLarge)
    }

    /// A version has taken no more bytes because memory is short: returns when it, or the next one, can take some.
    pub(super) async fn make_room(&self, inode: &Arc<Inode>, draft: &Draft) -> Result<()> {
        match draft {
            Draft::Stream(stream) => stream.wait_for_room().await,
            Draft::Patch(patch) if patch.is_fragmented() => {
                let current = inode.state().draft.as_ref().is_some_and(|current| current.is(draft));
                if current {
                    self.bring_out(inode).await?;
                }
            }
            Draft::Patch(patch) if patch.holds_enough() => patch.spill().await?,
            Draft::Patch(patch) => patch.add_segment(self.writing.pool.take(patch.client()).await),
        }
        Ok(())
    }
}
