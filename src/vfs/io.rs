//! Reading and writing open files.
//!
//! What can be answered from memory is answered at once; the rest is a future for somebody who may wait.

use crate::reader::stream::Stream as Reader;
use crate::vfs::Vfs;
use crate::vfs::destination::FileDestination;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::FileHandle;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::Inode;
use crate::writer::stream::Base;
use crate::writer::stream::Stream as Writer;
use crate::writer::stream::WriteError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// An answer that is there, or has to be waited for.
pub enum Answer<T> {
    /// It is there.
    Now(T),
    /// It needs the network, or memory that others hold.
    Later(BoxFuture<'static, Result<T>>),
}

impl Vfs {
    /// Reads up to `len` bytes; fewer only at the end of the file.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn read(self: &Arc<Self>, handle: HandleId, offset: u64, len: u32) -> Result<Answer<Bytes>> {
        let file = self.handles.file(handle)?;
        if !file.access.reads() {
            return Err(Error::BadHandle);
        }
        let reader = file.reader.lock().expect("no panic happens while a reader is locked").clone();
        if let Some(reader) = reader.filter(|_| !file.access.writes()) {
            let reading = reader.begin(offset, u64::from(len));
            return match reading.now() {
                Some(Ok(bytes)) => Ok(Answer::Now(bytes)),
                Some(Err(_)) | None => {
                    let vfs = Arc::clone(self);
                    Ok(Answer::Later(Box::pin(async move {
                        match reading.bytes().await {
                            Ok(bytes) => Ok(bytes),
                            Err(error) => vfs.read_again(&file, offset, len, error.into()).await,
                        }
                    })))
                }
            };
        }
        let stream = file.inode.state().stream.clone();
        if let Some(bytes) = stream.and_then(|stream| stream.read(offset, len as usize)) {
            return Ok(Answer::Now(bytes));
        }
        let vfs = Arc::clone(self);
        Ok(Answer::Later(Box::pin(async move { vfs.read_current(&file, offset, len).await })))
    }

    /// A read failed. When the same bytes have another key or tag by now, through a rename, a removal or a change of
    /// attributes of this mount, they are read from there, however often that happens; any other version is stale.
    async fn read_again(&self, file: &FileHandle, offset: u64, len: u32, error: Error) -> Result<Bytes> {
        let (mut error, mut tried) = (error, None);
        while matches!(error, Error::NotFound | Error::Stale) {
            // The object may have gone a moment ago, and a rename or removal be about to tell where it is.
            self.settled(&file.inode).await;
            let moved = {
                let key = self.tree.key(&file.inode);
                let state = file.inode.state();
                let mut reader = file.reader.lock().expect("no panic happens while a reader is locked");
                let known = reader.as_ref().map(|reader| reader.version().etag.clone());
                let current = key.and_then(|key| state.readable(key));
                let (Some(known), Some(current)) = (known, current) else { return Err(Error::Stale) };
                let same = known == current.etag || state.aliases.contains(&known);
                let now = Some((current.clone(), state.changed));
                if !same || tried == now {
                    return Err(Error::Stale);
                }
                tried = now;
                Arc::clone(reader.insert(Reader::new(Arc::clone(&self.reading), current)))
            };
            match moved.begin(offset, u64::from(len)).bytes().await {
                Ok(bytes) => return Ok(bytes),
                Err(again) => error = again.into(),
            }
        }
        Err(error)
    }

    /// Reads what the file is now, for handles that may write, or that were opened before there was anything to read.
    async fn read_current(&self, file: &FileHandle, offset: u64, len: u32) -> Result<Bytes> {
        let stream = file.inode.state().stream.clone();
        if let Some(stream) = stream {
            if let Some(bytes) = stream.read(offset, len as usize) {
                return Ok(bytes);
            }
            if !file.access.writes() {
                return Err(Error::BeingWritten);
            }
            // Whoever writes and reads back wants to see what was written; it can only be read from the bucket.
            let _changing = file.inode.changing.lock().await;
            self.publish(&file.inode).await?;
        }
        let key = self.key_of(&file.inode)?;
        let version = file.inode.state().readable(key).ok_or(Error::Stale)?;
        let reader = {
            let mut reader = file.reader.lock().expect("no panic happens while a reader is locked");
            match &*reader {
                Some(reader) if *reader.version() == version => Arc::clone(reader),
                Some(_) | None => Arc::clone(reader.insert(Reader::new(Arc::clone(&self.reading), version))),
            }
        };
        match reader.begin(offset, u64::from(len)).bytes().await {
            Ok(bytes) => Ok(bytes),
            Err(error) => self.read_again(file, offset, len, error.into()).await,
        }
    }

    /// Writes `bytes` at `offset`, all of them or none that counts, for a program's `thread`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] elsewhere than at the end; what the upload failed with.
    pub fn write(self: &Arc<Self>, handle: HandleId, thread: u32, offset: u64, bytes: &[u8]) -> Result<Answer<()>> {
        let file = self.handles.file(handle)?;
        if !file.access.writes() {
            return Err(Error::BadHandle);
        }
        file.wrote.store(true, Ordering::Relaxed);
        file.writer.is(thread);
        let stream = {
            let mut state = file.inode.state();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if state.unread {
                state.attr.size = state.attr.size.max(offset + bytes.len() as u64);
                state.written_now();
                return Ok(Answer::Now(()));
            }
            state.stream.clone()
        };
        let mut taken = 0;
        if let Some(stream) = stream.filter(|stream| offset <= stream.size()) {
            match stream.write(offset, bytes) {
                Ok(all) if all == bytes.len() => {
                    file.inode.state().written_now();
                    return Ok(Answer::Now(()));
                }
                Ok(some) => taken = some,
                Err(WriteError::Ended) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let rest = Bytes::copy_from_slice(&bytes[taken..]);
        let (vfs, offset) = (Arc::clone(self), offset + taken as u64);
        Ok(Answer::Later(Box::pin(async move { vfs.write_rest(&file, offset, rest).await })))
    }

    /// Writes when memory is short, a gap must be filled, or a new version must begin first.
    async fn write_rest(&self, file: &FileHandle, offset: u64, bytes: Bytes) -> Result<()> {
        loop {
            let stream = self.stream_to_write(&file.inode, offset).await?;
            let written = async {
                stream.pad_to(offset).await?;
                stream.write_waiting(offset, bytes.clone()).await
            };
            match written.await {
                // Committed meanwhile by another descriptor: what follows is the next version.
                Err(WriteError::Ended) if self.is_replaced(&file.inode, &stream) => {}
                other => {
                    other?;
                    file.inode.state().written_now();
                    return Ok(());
                }
            }
        }
    }

    fn is_replaced(&self, inode: &Inode, stream: &Arc<Writer>) -> bool {
        let state = inode.state();
        state.broken.is_none() && !state.stream.as_ref().is_some_and(|current| Arc::ptr_eq(current, stream))
    }

    /// The version being written, or a new one that goes on where the committed one ends.
    pub(super) async fn stream_to_write(&self, inode: &Arc<Inode>, offset: u64) -> Result<Arc<Writer>> {
        let _changing = inode.changing.lock().await;
        let base = {
            let state = inode.state();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if let Some(stream) = &state.stream {
                return Ok(Arc::clone(stream));
            }
            state.version.clone().ok_or(Error::Stale)?
        };
        if offset < base.size {
            return Err(WriteError::NotAtEnd.into());
        }
        let base = Base { key: self.key_of(inode)?, etag: base.etag, size: base.size };
        let follows = base.etag.clone();
        let destination: Arc<FileDestination> = self.destination(inode);
        let stream = Writer::after(Arc::clone(&self.writing), destination, base).await?;
        let mut state = inode.state();
        state.stream = Some(Arc::clone(&stream));
        state.follows = Some(follows);
        Ok(Arc::clone(&stream))
    }
}
