//! The length of a file, and what is in it without being written: truncate, fallocate, holes.

use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::drafting::Wanted;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::Inode;
use crate::writer::draft::Draft;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is to become of a range of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocation {
    /// There is room for it; the file grows to its end.
    Extend,
    /// There is room for it, also behind the end. A bucket always has room.
    Reserve,
    /// It is zeros; the file grows to its end.
    Zero,
    /// What of it the file has is zeros.
    PunchHole,
}

impl Vfs {
    /// Allocates a range, or makes it zeros.
    ///
    /// # Errors
    /// [`Error::BadHandle`], [`Error::TooLarge`], [`Error::Invalid`] for an empty range, and what beginning a new version
    /// can fail with.
    pub async fn fallocate(&self, handle: HandleId, what: Allocation, offset: u64, len: u64) -> Result<()> {
        let file = self.handles.file(handle)?;
        if !file.access.writes() {
            return Err(Error::BadHandle);
        }
        if len == 0 {
            return Err(Error::Invalid("an empty range cannot be allocated"));
        }
        let size = file.inode.attr().size;
        let end = self.must_fit(offset, len)?;
        let changes = match what {
            Allocation::Reserve => false,
            Allocation::Extend => end > size,
            Allocation::Zero => true,
            Allocation::PunchHole => offset < size,
        };
        if !changes {
            return Ok(());
        }
        if self.is_unread(&file.inode, Some(end.max(size)).filter(|_| what != Allocation::PunchHole)) {
            return Ok(());
        }
        file.wrote.store(true, Ordering::Relaxed);
        match what {
            Allocation::Extend | Allocation::Reserve => self.resize(&file.inode, end).await,
            Allocation::Zero => self.zero(&file.inode, offset, end).await,
            Allocation::PunchHole => self.zero(&file.inode, offset, end.min(size)).await,
        }
    }

    /// Makes a file so long. Without a descriptor that could be closed later it is made safe at once.
    pub(super) async fn truncate(&self, inode: &Arc<Inode>, handle: Option<HandleId>, size: u64) -> Result<()> {
        match inode.kind {
            Kind::File => {}
            Kind::Directory => return Err(Error::IsDirectory),
            Kind::Symlink | Kind::Fifo | Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_) => {
                return Err(Error::Invalid("only files have a length to set"));
            }
        }
        self.must_fit(size, 0)?;
        let file = handle.map(|handle| self.handles.file(handle)).transpose()?;
        if let Some(file) = &file {
            file.wrote.store(true, Ordering::Relaxed);
        }
        if self.is_unread(inode, Some(size)) {
            return Ok(());
        }
        let now = inode.attr().size;
        if size == 0 && now > 0 {
            self.begin_empty(inode).await;
        } else if size != now {
            self.resize(inode, size).await?;
        }
        if file.is_none() && inode.state().writers == 0 { self.secure(inode).await } else { Ok(()) }
    }

    /// Whether nobody can read the file any more; then it only takes the length.
    pub(super) fn is_unread(&self, inode: &Inode, size: Option<u64>) -> bool {
        let mut state = inode.state();
        if let (true, Some(size)) = (state.unread, size) {
            state.attr.size = size;
        }
        state.unread
    }

    async fn resize(&self, inode: &Arc<Inode>, size: u64) -> Result<()> {
        loop {
            let draft = self.draft(inode, Wanted::Length(size)).await?;
            inode.state().written_now();
            let resized = match &draft {
                // A stream whose parts are under way grows by zeros that are sent like other bytes.
                Draft::Stream(stream) => stream.resize(size).await,
                Draft::Patch(patch) => patch.truncate(size),
            };
            if self.is_done(inode, &draft, resized)?.is_some() {
                return Ok(());
            }
        }
    }

    async fn zero(&self, inode: &Arc<Inode>, start: u64, end: u64) -> Result<()> {
        loop {
            let draft = self.draft(inode, Wanted::Patch).await?;
            let Draft::Patch(patch) = &draft else { continue };
            inode.state().written_now();
            let zeroed = patch.zero(start..end);
            if self.is_done(inode, &draft, zeroed)?.is_some() {
                return Ok(());
            }
        }
    }
}
