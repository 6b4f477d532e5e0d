//! Bytes from one file into another (`copy_file_range`), by the store where there are enough of them.

use crate::vfs::Vfs;
use crate::vfs::drafting::Wanted;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::FileHandle;
use crate::vfs::handle::HandleId;
use crate::vfs::rename::lock_both;
use crate::writer::draft::Draft;
use crate::writer::stream::Base;
use std::sync::atomic::Ordering;

/// Bytes that are read and written at once where the store does not copy.
const CARRIED_BYTES: u64 = 1 << 20;

/// A place in an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub handle: HandleId,
    /// Where in it.
    pub offset: u64,
}

impl Vfs {
    /// Copies up to `len` bytes and says how many: fewer only at the end of the source, and none behind it.
    ///
    /// A range large enough to be a part is not read: the store copies it when the target is committed. The source is
    /// committed for that, if it is being written.
    ///
    /// # Errors
    /// [`Error::BadHandle`]; [`Error::Invalid`] when ranges of one file overlap; what reading and writing can fail with.
    pub async fn copy_range(&self, from: Place, to: Place, len: u64) -> Result<u64> {
        let (source, target) = (self.handles.file(from.handle)?, self.handles.file(to.handle)?);
        if !source.access.reads() || !target.access.writes() {
            return Err(Error::BadHandle);
        }
        let len = len.min(source.inode.attr().size.saturating_sub(from.offset));
        let end = self.must_fit(to.offset, len)?;
        let overlap = from.offset < end && to.offset < from.offset + len;
        if overlap && source.inode.id == target.inode.id {
            return Err(Error::Invalid("the ranges overlap"));
        }
        if len == 0 {
            return Ok(0);
        }
        if self.is_unread(&target.inode, Some(end.max(target.inode.attr().size))) {
            return Ok(len);
        }
        target.wrote.store(true, Ordering::Relaxed);
        if len < self.store.facts().part_bytes_min {
            return self.carry(&source, from.offset, &target, to.offset, len).await;
        }
        self.refer(&source, from.offset, &target, to.offset, len).await
    }

    async fn carry(&self, source: &FileHandle, from: u64, target: &FileHandle, to: u64, len: u64) -> Result<u64> {
        let mut copied = 0;
        while copied < len {
            let wanted = u32::try_from((len - copied).min(CARRIED_BYTES)).expect("a small constant");
            let bytes = self.read_current(source, from + copied, wanted).await?;
            if bytes.is_empty() {
                break;
            }
            let came = bytes.len() as u64;
            self.write_rest(target, Some(to + copied), bytes).await?;
            copied += came;
        }
        Ok(copied)
    }

    async fn refer(&self, source: &FileHandle, from: u64, target: &FileHandle, to: u64, len: u64) -> Result<u64> {
        let (lender, borrower) = (&source.inode, &target.inode);
        let same = lender.id == borrower.id;
        loop {
            self.commit(lender).await?;
            let changing = lock_both(lender, (!same).then_some(&**borrower)).await;
            let (written, version) = {
                let state = lender.state();
                (state.draft.is_some(), state.version.clone())
            };
            if written {
                continue;
            }
            let version = version.ok_or(Error::Stale)?;
            let end = version.size.min(from.saturating_add(len));
            if end <= from {
                return Ok(0);
            }
            let object = Base { key: self.key_of(lender)?, etag: version.etag, size: version.size };
            match self.draft_locked(borrower, Wanted::Patch).await? {
                Some(Draft::Patch(patch)) => {
                    patch.put_object(to, object, from..end)?;
                    if !same {
                        Self::lend(lender, borrower);
                    }
                    borrower.state().written_now();
                    return Ok(end - from);
                }
                Some(Draft::Stream(_)) | None => {
                    drop(changing);
                    self.commit(borrower).await?;
                }
            }
        }
    }
}
