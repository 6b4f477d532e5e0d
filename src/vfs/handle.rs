//! Open files and directories.

use crate::base::process;
use crate::reader;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::known;
use crate::vfs::known::Known;
use crate::vfs::known::Note;
use crate::vfs::known::OpenFile;
use crate::vfs::notes::Notes;
use crate::vfs::readdir::Cursor;
use serde::Deserialize;
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Names an open file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HandleId(pub u64);

/// What an open file may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Reading only.
    Read,
    /// Writing only.
    Write,
    /// Both.
    ReadWrite,
    /// Reading, by a process that runs it as its program, for as long as it runs.
    Execute,
}

impl Access {
    /// Whether it may be read from.
    #[must_use]
    pub fn reads(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite | Self::Execute)
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
    /// The process that wrote through it last, or opened it to write; 0 if that is not known.
    pub writer: Writer,
    /// The reader of the version that was read last.
    pub reader: Mutex<Option<Arc<reader::stream::Stream>>>,
}

/// Which process writes, as far as the kernel tells: requests come with the number of a thread.
#[derive(Default)]
pub struct Writer {
    thread: AtomicU32,
    process: AtomicU32,
}

impl Writer {
    /// That thread writes.
    #[must_use]
    pub fn new(thread: u32) -> Self {
        let writer = Self::default();
        writer.is(thread);
        writer
    }

    /// As another process has left it.
    #[must_use]
    pub fn inherited(known: &known::Writer) -> Self {
        Self { thread: AtomicU32::new(known.thread), process: AtomicU32::new(known.process) }
    }

    /// That thread writes now.
    pub fn is(&self, thread: u32) {
        // What the kernel writes back from a mapped file comes from nobody.
        if thread != 0 && self.thread.swap(thread, Ordering::Relaxed) != thread {
            self.process.store(process::process_of(thread).unwrap_or(0), Ordering::Relaxed);
        }
    }

    /// Whether a close by `thread` is not the end of writing: a descriptor stays open in the process that writes.
    ///
    /// A program that forks while it writes has its descriptors closed in the child, and no byte of a file that is half
    /// written may be published because of that. Shells and `dd` open a file, copy the descriptor and close the first
    /// one: while nothing has been written yet (`empty`), that is not the end either.
    #[must_use]
    pub fn goes_on(&self, thread: u32, inode: u64, empty: bool) -> bool {
        let writer = self.process.load(Ordering::Relaxed);
        let closer = process::process_of(thread);
        let child = writer != 0 && closer.is_some_and(|closer| closer != writer);
        (child && process::holds_inode(writer, inode)) || (empty && process::holds_inode(thread, inode))
    }
}

enum Handle {
    File(Arc<FileHandle>),
    Directory(Arc<tokio::sync::Mutex<Cursor>>),
}

/// All that is open.
pub struct Handles {
    notes: Arc<Notes>,
    last: AtomicU64,
    open: RwLock<HashMap<HandleId, Handle>>,
}

impl Handles {
    /// None is open, but those that `known` tells of: `file` and `directory` make them again, if they can. Changes go to
    /// `notes`.
    pub fn inherited(
        notes: &Arc<Notes>,
        known: &Known,
        file: impl Fn(HandleId, &OpenFile) -> Option<FileHandle>,
        directory: impl Fn(InodeId) -> Option<Cursor>,
    ) -> Self {
        let files = known.files.iter().map(|(id, open)| (id, file(*id, open).map(|file| Handle::File(Arc::new(file)))));
        let directories = known.directories.iter().map(|(id, of)| {
            let cursor = directory(*of).map(tokio::sync::Mutex::new);
            (id, cursor.map(|cursor| Handle::Directory(Arc::new(cursor))))
        });
        let open = files.chain(directories).filter_map(|(id, handle)| Some((*id, handle?))).collect();
        Self { notes: Arc::clone(notes), last: AtomicU64::new(known.last_handle), open: RwLock::new(open) }
    }

    /// Adds an open file.
    pub fn add_file(&self, handle: FileHandle) -> HandleId {
        let open = OpenFile { id: handle.inode.id, access: handle.access };
        self.add(Handle::File(Arc::new(handle)), |id| Note::Opened(id, open))
    }

    /// Adds an open directory.
    pub fn add_directory(&self, cursor: Cursor) -> HandleId {
        let directory = cursor.directory();
        let cursor = Handle::Directory(Arc::new(tokio::sync::Mutex::new(cursor)));
        self.add(cursor, |id| Note::OpenedDirectory(id, directory))
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

    /// Whether a process runs it as its program.
    #[must_use]
    pub fn executes(&self, inode: InodeId) -> bool {
        let open = self.read();
        open.values().any(
            |handle| matches!(handle, Handle::File(file) if file.inode.id == inode && file.access == Access::Execute),
        )
    }

    /// Whether an open file may be read by somebody.
    #[must_use]
    pub fn reads(&self, inode: InodeId) -> bool {
        let open = self.read();
        open.values()
            .any(|handle| matches!(handle, Handle::File(file) if file.inode.id == inode && file.access.reads()))
    }

    /// How many files and directories are open: what each `open` made counts once.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let open = self.read();
        let files = open.values().filter(|handle| matches!(handle, Handle::File(_))).count();
        (files, open.len() - files)
    }

    /// Notes who writes, for another process.
    pub fn hand_over(&self) {
        for (id, handle) in self.read().iter() {
            let Handle::File(file) = handle else { continue };
            let writer = known::Writer {
                wrote: file.wrote.load(Ordering::Relaxed),
                thread: file.writer.thread.load(Ordering::Relaxed),
                process: file.writer.process.load(Ordering::Relaxed),
            };
            self.notes.note(&Note::Writer(*id, writer));
        }
    }

    /// Closes a file and gives it back, if it was one.
    pub fn remove_file(&self, id: HandleId) -> Option<Arc<FileHandle>> {
        match self.remove(id) {
            Some(Handle::File(file)) => Some(file),
            Some(Handle::Directory(_)) | None => None,
        }
    }

    /// Closes a directory.
    pub fn remove_directory(&self, id: HandleId) {
        self.remove(id);
    }

    fn remove(&self, id: HandleId) -> Option<Handle> {
        self.notes.note(&Note::Closed(id));
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }

    fn add(&self, handle: Handle, note: impl FnOnce(HandleId) -> Note) -> HandleId {
        let id = HandleId(self.last.fetch_add(1, Ordering::Relaxed) + 1);
        self.notes.note(&note(id));
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(id, handle);
        id
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<HandleId, Handle>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }
}
