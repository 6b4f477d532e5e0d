//! Open files and directories.

use crate::reader;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::readdir::Cursor;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Names an open file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HandleId(pub u64);

/// What an open file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Writing only.
    Write,
    /// Both.
    ReadWrite,
}

impl Access {
    /// Whether it may be read from.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether it may be written to.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// An open file: what one `open` made, shared by all descriptors that were copied from it.
pub struct FileHandle {
    /// The file.
    pub inode: Arc<Inode>,
    /// What it may be used for.
    pub access: Access,
    /// Whether something was written, or cut off, through it.
    pub wrote: AtomicBool,
    /// The version that it reads; a handle that may write follows the file instead.
    pub reader: Mutex<Option<Arc<reader::stream::Stream>>>,
}

enum Handle {
    File(Arc<FileHandle>),
    Directory(Arc<tokio::sync::Mutex<Cursor>>),
}

/// All that is open.
#[derive(Default)]
pub struct Handles {
    next: AtomicU64,
    open: RwLock<HashMap<HandleId, Handle>>,
}

impl Handles {
    /// Adds an open file.
    pub fn add_file(&self, handle: FileHandle) -> HandleId {
        self.add(Handle::File(Arc::new(handle)))
    }

    /// Adds an open directory.
    pub fn add_directory(&self, cursor: Cursor) -> HandleId {
        self.add(Handle::Directory(Arc::new(tokio::sync::Mutex::new(cursor))))
    }

    /// An open file.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn file(&self, id: HandleId) -> Result<Arc<FileHandle>> {
        match self.read().get(&id) {
            Some(Handle::File(file)) => Ok(Arc::clone(file)),
            Some(Handle::Directory(_)) | None => Err(Error::BadHandle),
        }
    }

    /// An open directory.
    ///
    /// # Errors
    /// [`Error::BadHandle`].
    pub fn directory(&self, id: HandleId) -> Result<Arc<tokio::sync::Mutex<Cursor>>> {
        match self.read().get(&id) {
            Some(Handle::Directory(cursor)) => Ok(Arc::clone(cursor)),
            Some(Handle::File(_)) | None => Err(Error::BadHandle),
        }
    }

    /// Closes a file and gives it back, if it was one.
    pub fn remove_file(&self, id: HandleId) -> Option<Arc<FileHandle>> {
        match self.open.write().expect("no panic happens while handles are locked").remove(&id) {
            Some(Handle::File(file)) => Some(file),
            Some(Handle::Directory(_)) | None => None,
        }
    }

    /// Closes a directory.
    pub fn remove_directory(&self, id: HandleId) {
        self.open.write().expect("no panic happens while handles are locked").remove(&id);
    }

    fn add(&self, handle: Handle) -> HandleId {
        let id = HandleId(self.next.fetch_add(1, Ordering::Relaxed) + 1);
        self.open.write().expect("no panic happens while handles are locked").insert(id, handle);
        id
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<HandleId, Handle>> {
        self.open.read().expect("no panic happens while handles are locked")
    }
}
