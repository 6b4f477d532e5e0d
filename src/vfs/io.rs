//! Reading and writing open files.
//!
//! What can be answered from memory is answered at once; the rest is a future for somebody who may wait. Every handle
//! reads the file as it is on this host: the version that is being written, else the committed one.

use crate::reader;
use crate::reader::stream::Stream as Reader;
use crate::vfs::Vfs;
use crate::vfs::drafting::Wanted;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::handle::FileHandle;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::Inode;
use crate::writer::draft::Draft;
use crate::writer::overlay::Piece;
use crate::writer::stream::Base;
use crate::writer::stream::WriteError;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// An answer that is there, or has to be waited for.
pub enum Answer<T> {
    /// It is there.
    Now(T),
    /// It needs the network, or memory that others hold.
    Later(BoxFuture<'static, Result<T>>),
}

/// What a file was when somebody began to read it.
struct Seen {
    draft: Option<Draft>,
    version: Option<reader::stream::Version>,
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
        let (draft, etag) = {
            let state = file.inode.state();
            (state.draft.clone(), state.version.as_ref().map(|version| version.etag.clone()))
        };
        let reader = file.reader.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let reader = reader.filter(|reader| draft.is_none() && Some(&reader.version().etag) == etag.as_ref());
        if let Some(bytes) = draft.and_then(|draft| in_memory(&draft, offset, len)) {
            return Ok(Answer::Now(bytes));
        }
        let reading = reader.map(|reader| reader.begin(offset, u64::from(len)));
        if let Some(Ok(bytes)) = reading.as_ref().and_then(reader::stream::Reading::now) {
            return Ok(Answer::Now(bytes));
        }
        let vfs = Arc::clone(self);
        Ok(Answer::Later(Box::pin(async move {
            match reading {
                // Its bytes may have another key or tag by now, through a rename or a change of attributes.
                Some(reading) => match reading.bytes().await.map_err(Error::from) {
                    Err(Error::NotFound | Error::Stale) => vfs.read_current(&file, offset, len).await,
                    read => read,
                },
                None => vfs.read_current(&file, offset, len).await,
            }
        })))
    }

    /// Reads what the file is now. When it becomes another version of this mount meanwhile, or its bytes get another key
    /// through a rename or a removal, it is read from there.
    pub(super) async fn read_current(&self, file: &FileHandle, offset: u64, len: u32) -> Result<Bytes> {
        self.recall(&file.inode).await?;
        loop {
            let seen = self.seen(&file.inode);
            let read = match &seen {
                Seen { draft: Some(Draft::Stream(stream)), .. } => match stream.read(offset, len as usize) {
                    Some(bytes) => return Ok(bytes),
                    // Parts that are on their way can only be read when they are there.
                    None => self.bring_out(&file.inode).await.map(|()| None),
                },
                Seen { draft: Some(Draft::Patch(patch)), .. } => match patch.read(offset, u64::from(len)) {
                    Some(pieces) => self.read_pieces(file, pieces).await.map(Some),
                    None => Ok(None),
                },
                Seen { draft: None, version: Some(version) } => {
                    let reading = self.reader(file, version.clone()).begin(offset, u64::from(len));
                    reading.bytes().await.map(Some).map_err(Error::of_known_file)
                }
                Seen { draft: None, version: None } => Err(Error::Stale),
            };
            match read {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => {}
                Err(error @ (Error::NotFound | Error::Stale)) => {
                    // The object may have gone a moment ago, and a rename or removal be about to tell where it is.
                    self.settled(&file.inode).await;
                    if !self.has_changed(&file.inode, &seen) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn read_pieces(&self, file: &FileHandle, pieces: Vec<Piece>) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => whole.extend_from_slice(&bytes),
                Piece::Zeros(len) => whole.resize(whole.len() + in_one_read(len), 0),
                Piece::Disk(extent, range) => whole.extend_from_slice(&extent.read(range).await?),
                Piece::Object(Base { key, etag, size }, range) => {
                    let reader = self.reader(file, reader::stream::Version { key, etag, size });
                    let reading = reader.begin(range.start, range.end - range.start);
                    whole.extend_from_slice(&reading.bytes().await.map_err(Error::of_known_file)?);
                }
            }
        }
        Ok(whole.freeze())
    }

    fn seen(&self, inode: &Arc<Inode>) -> Seen {
        let key = self.tree.key(inode);
        let state = inode.state();
        Seen { draft: state.draft.clone(), version: key.and_then(|key| state.readable(key)) }
    }

    fn has_changed(&self, inode: &Arc<Inode>, before: &Seen) -> bool {
        let now = self.seen(inode);
        let same_draft = match (&before.draft, &now.draft) {
            (Some(before), Some(now)) => before.is(now),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        !same_draft || before.version != now.version
    }

    /// The handle's reader of that version.
    fn reader(&self, file: &FileHandle, version: reader::stream::Version) -> Arc<Reader> {
        let mut reader = file.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &*reader {
            Some(reader) if *reader.version() == version => Arc::clone(reader),
            Some(_) | None => Arc::clone(reader.insert(Reader::new(Arc::clone(&self.reading), version))),
        }
    }

    /// Writes `bytes` at `offset`, all of them or none that counts, for a program's `thread`.
    ///
    /// # Errors
    /// [`Error::BadHandle`], [`Error::TooLarge`], and what an upload failed with.
    pub fn write(self: &Arc<Self>, handle: HandleId, thread: u32, offset: u64, bytes: &[u8]) -> Result<Answer<()>> {
        self.write_somewhere(handle, thread, Some(offset), bytes)
    }

    /// As [`write`](Self::write), at the end of the file: bytes of several descriptors follow each other.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn append(self: &Arc<Self>, handle: HandleId, thread: u32, bytes: &[u8]) -> Result<Answer<()>> {
        self.write_somewhere(handle, thread, None, bytes)
    }

    fn write_somewhere(
        self: &Arc<Self>,
        handle: HandleId,
        thread: u32,
        mut offset: Option<u64>,
        bytes: &[u8],
    ) -> Result<Answer<()>> {
        let file = self.handles.file(handle)?;
        if !file.access.writes() {
            return Err(Error::BadHandle);
        }
        self.must_fit(offset.unwrap_or(0), bytes.len() as u64)?;
        file.wrote.store(true, Ordering::Relaxed);
        file.writer.is(thread);
        let draft = {
            let mut state = file.inode.state();
            if let Some(broken) = &state.broken {
                return Err(broken.clone());
            }
            if state.unread {
                let at = offset.unwrap_or(state.attr.size);
                state.attr.size = state.attr.size.max(at + bytes.len() as u64);
                state.written_now();
                return Ok(Answer::Now(()));
            }
            state.draft.clone()
        };
        let mut left = bytes;
        match draft.map(|draft| draft.write(offset, bytes)) {
            Some(Ok((at, taken))) => {
                file.inode.state().written_now();
                if taken == bytes.len() {
                    return Ok(Answer::Now(()));
                }
                offset = Some(at + taken as u64);
                left = &bytes[taken..];
            }
            Some(Err(WriteError::Ended | WriteError::NotAtEnd)) | None => {}
            Some(Err(error)) => return Err(error.into()),
        }
        let (vfs, rest) = (Arc::clone(self), Bytes::copy_from_slice(left));
        Ok(Answer::Later(Box::pin(async move { vfs.write_rest(&file, offset, rest).await })))
    }

    /// Writes when memory is short, a gap must be filled, or a new version must begin first. Without an offset the bytes
    /// go to the end.
    pub(super) async fn write_rest(&self, file: &FileHandle, mut offset: Option<u64>, mut bytes: Bytes) -> Result<()> {
        let inode = &file.inode;
        while !bytes.is_empty() {
            // It may have lost its name while these bytes waited.
            let size = inode.attr().size;
            if self.is_unread(inode, Some(size.max(offset.unwrap_or(size).saturating_add(bytes.len() as u64)))) {
                return Ok(());
            }
            let draft = self.draft(inode, offset.map_or(Wanted::End, Wanted::At)).await?;
            inode.state().written_now();
            if let (Draft::Stream(stream), Some(offset)) = (&draft, offset) {
                let padded = stream.pad_to(offset).await;
                if self.is_done(inode, &draft, padded)?.is_none() {
                    continue;
                }
            }
            let Some((at, taken)) = self.is_done(inode, &draft, draft.write(offset, &bytes))? else { continue };
            offset = Some(at + taken as u64);
            bytes = bytes.slice(taken..);
            if !bytes.is_empty() {
                self.make_room(inode, &draft).await?;
            }
        }
        Ok(())
    }
}

/// The bytes of a read that memory has all of.
fn in_memory(draft: &Draft, offset: u64, len: u32) -> Option<Bytes> {
    let pieces = match draft {
        Draft::Stream(stream) => return stream.read(offset, len as usize),
        Draft::Patch(patch) => patch.read(offset, u64::from(len))?,
    };
    let mut whole = BytesMut::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => whole.extend_from_slice(&bytes),
            Piece::Zeros(len) => whole.resize(whole.len() + in_one_read(len), 0),
            Piece::Object(..) | Piece::Disk(..) => return None,
        }
    }
    Some(whole.freeze())
}

/// A length that is not more than what was asked for.
fn in_one_read(len: u64) -> usize {
    usize::try_from(len).expect("a read asks for less than 4 GiB")
}
