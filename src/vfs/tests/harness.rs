//! A mounted in-memory bucket, used like a program would.

use crate::store::Condition;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Op;
use crate::store::Store;
use crate::store::memory::Memory;
use crate::vfs::Error;
use crate::vfs::Means;
use crate::vfs::Options;
use crate::vfs::Result;
use crate::vfs::Vfs;
use crate::vfs::handle::Access;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::InodeId;
use crate::vfs::io::Answer;
use crate::vfs::notes;
use crate::vfs::notes::Notes;
use crate::vfs::open::How;
use crate::vfs::open::Owner;
use crate::vfs::readdir::Detail;
use crate::vfs::readdir::Room;
use crate::vfs::rename::Target;
use crate::vfs::setattr::Changes;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::sync::Arc;
use tokio::runtime::Handle;

pub const READ: How = How { access: Access::Read, truncate: false, exclusive: false, thread: 0 };
pub const WRITE: How = How { access: Access::Write, truncate: false, exclusive: false, thread: 0 };
pub const BOTH: How = How { access: Access::ReadWrite, truncate: false, exclusive: false, thread: 0 };
pub const REWRITE: How = How { access: Access::Write, truncate: true, exclusive: false, thread: 0 };
pub const EXCLUSIVE: How = How { access: Access::Write, truncate: false, exclusive: true, thread: 0 };
pub const OWNER: Owner = Owner { uid: 7, gid: 8, permissions: 0o640 };

pub struct Mounted {
    pub store: Arc<Memory>,
    pub vfs: Arc<Vfs>,
}

impl Mounted {
    pub fn new() -> Self {
        Self::over(Arc::new(Memory::new()), Options::default())
    }

    pub fn with_facts(facts: Facts) -> Self {
        Self::over(Arc::new(Memory::with_facts(facts)), Options::default())
    }

    pub fn over(store: Arc<Memory>, options: Options) -> Self {
        let shared: Arc<dyn Store> = store.clone();
        Self { store, vfs: Vfs::new(shared, options, Handle::current()) }
    }

    /// With notes for another process.
    pub fn noted() -> (Self, File) {
        let (store, notes) = (Arc::new(Memory::new()), notes::new_file().unwrap());
        (Self::with_notes(store, &notes), notes)
    }

    /// Another process that serves the same mount, after this one.
    pub fn taken_over(&self, notes: &File) -> Self {
        Self::with_notes(Arc::clone(&self.store), notes)
    }

    /// Likewise, one that goes on with what this one has handed over.
    pub async fn taken_over_whole(&self, notes: &File) -> Self {
        let (_, known) = Notes::open(notes.try_clone().unwrap()).unwrap();
        let next = self.taken_over(notes);
        next.vfs.take(&known).await;
        next
    }

    fn with_notes(store: Arc<Memory>, file: &File) -> Self {
        let shared: Arc<dyn Store> = store.clone();
        let (notes, known) = Notes::open(file.try_clone().unwrap()).unwrap();
        let means = Means { storing: Arc::clone(&shared), disk: None, removals: None, cache: None, waits: false };
        Self { store, vfs: Vfs::going_on(shared, means, Options::default(), Handle::current(), (&notes, &known)) }
    }

    /// Another mount of the same bucket.
    pub fn again(&self) -> Self {
        Self::over(Arc::clone(&self.store), Options::default())
    }

    pub async fn inode(&self, path: &str) -> Result<InodeId> {
        let mut id = InodeId::ROOT;
        for name in path.split('/').filter(|name| !name.is_empty()) {
            id = self.vfs.lookup(id, OsStr::new(name)).await?.inode.id;
        }
        Ok(id)
    }

    pub async fn place<'a>(&self, path: &'a str) -> Result<(InodeId, &'a OsStr)> {
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok((self.inode(directory).await?, OsStr::new(name)))
    }

    pub async fn create(&self, path: &str) -> Result<HandleId> {
        let (directory, name) = self.place(path).await?;
        Ok(self.vfs.create(directory, name, OWNER, WRITE).await?.1.handle)
    }

    pub async fn open(&self, path: &str, how: How) -> Result<HandleId> {
        // As the kernel does: a stale open looks the name up again, once.
        match self.vfs.open(self.inode(path).await?, how).await {
            Err(Error::Stale) => Ok(self.vfs.open(self.inode(path).await?, how).await?.handle),
            opened => Ok(opened?.handle),
        }
    }

    pub async fn write_at(&self, handle: HandleId, offset: u64, bytes: &[u8]) -> Result<()> {
        match self.vfs.write(handle, 0, offset, bytes)? {
            Answer::Now(()) => Ok(()),
            Answer::Later(work) => work.await,
        }
    }

    pub async fn append(&self, handle: HandleId, bytes: &[u8]) -> Result<()> {
        match self.vfs.append(handle, 0, bytes)? {
            Answer::Now(()) => Ok(()),
            Answer::Later(work) => work.await,
        }
    }

    pub async fn truncate(&self, path: &str, handle: Option<HandleId>, size: u64) -> Result<()> {
        let changes = Changes { size: Some(size), ..Changes::default() };
        self.vfs.setattr(self.inode(path).await?, handle, changes).await.map(drop)
    }

    pub async fn read_at(&self, handle: HandleId, offset: u64, len: u32) -> Result<Bytes> {
        match self.vfs.read(handle, offset, len)? {
            Answer::Now(bytes) => Ok(bytes),
            Answer::Later(work) => work.await,
        }
    }

    pub async fn close(&self, handle: HandleId) -> Result<()> {
        let flushed = self.vfs.flush(handle, 0).await;
        flushed.and(self.vfs.release(handle).await)
    }

    /// What `cp` does.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let handle = match self.open(path, REWRITE).await {
            Err(Error::NotFound) => self.create(path).await?,
            opened => opened?,
        };
        for (at, piece) in bytes.chunks(1 << 20).enumerate() {
            self.write_at(handle, (at as u64) << 20, piece).await?;
        }
        self.close(handle).await
    }

    /// What `cat` does.
    pub async fn read(&self, path: &str) -> Result<Vec<u8>> {
        let handle = self.open(path, READ).await?;
        let mut whole = Vec::new();
        loop {
            let piece = self.read_at(handle, whole.len() as u64, 1 << 20).await?;
            if piece.is_empty() {
                self.close(handle).await?;
                return Ok(whole);
            }
            whole.extend_from_slice(&piece);
        }
    }

    /// What `ls` does; with the sizes that come along.
    pub async fn list(&self, path: &str) -> Result<BTreeMap<String, Option<u64>>> {
        let handle = self.vfs.opendir(self.inode(path).await?)?;
        let (mut names, mut offset) = (BTreeMap::new(), 0);
        loop {
            let before = offset;
            let mut left = 3;
            let read = self.vfs.readdir(handle, offset, Detail::Attributes, |item| {
                if left == 0 {
                    return Room::Full;
                }
                left -= 1;
                offset = item.next;
                let size = item.entry.as_ref().map(|entry| entry.attr.size);
                assert!(names.insert(item.name.to_string(), size).is_none(), "{} is shown twice", item.name);
                Room::Taken
            });
            read.await?;
            if offset == before {
                break;
            }
        }
        self.vfs.releasedir(handle);
        assert!(names.remove(".").is_some() && names.remove("..").is_some());
        Ok(names)
    }

    pub async fn names(&self, path: &str) -> Vec<String> {
        self.list(path).await.unwrap().into_keys().collect()
    }

    pub async fn mkdir(&self, path: &str) -> Result<()> {
        let (directory, name) = self.place(path).await?;
        self.vfs.mkdir(directory, name, Owner { permissions: 0o750, ..OWNER }).await.map(drop)
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<()> {
        let (from, to) = (self.place(from).await?, self.place(to).await?);
        self.vfs.rename(from, to, Target::Replace).await
    }

    pub async fn unlink(&self, path: &str) -> Result<()> {
        let (directory, name) = self.place(path).await?;
        self.vfs.unlink(directory, name).await
    }

    pub async fn rmdir(&self, path: &str) -> Result<()> {
        let (directory, name) = self.place(path).await?;
        self.vfs.rmdir(directory, name).await
    }

    /// Puts an object past the mount.
    pub async fn put(&self, key: &str, bytes: &'static [u8]) {
        let body = Bytes::from_static(bytes).into();
        self.store.put_object(key, body, &Headers::default(), &Condition::None).await.unwrap();
    }

    /// How many requests of each kind `work` costs.
    pub async fn cost<T>(&self, work: impl Future<Output = T>) -> (T, BTreeMap<&'static str, u64>) {
        let before: Vec<u64> = Op::ALL.iter().map(|op| self.store.calls(*op)).collect();
        let result = work.await;
        let spent = Op::ALL.iter().zip(before).map(|(op, before)| (op.name(), self.store.calls(*op) - before));
        (result, spent.filter(|(_, count)| *count > 0).collect())
    }
}
