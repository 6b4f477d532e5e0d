//! Blob files: immutable, one for each body that was sent, in directories of 4096.
//!
//! A blob is written to its final name. It counts from the index transaction that names it; before, it is a
//! [`Pending`] file that goes away when it is dropped, and what a crash leaves behind is collected at the next start.

use crate::server::backend::record::BlobId;
use std::fs::File;
use std::io;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Low bits of an id that count the blobs of one run of the server.
const SEQUENCE_BITS: u32 = 40;
/// Low bits of an id that are the name within a directory.
const NAME_BITS: u32 = 12;

/// The directory of all blobs.
pub struct Blobs {
    root: PathBuf,
    next: AtomicU64,
    first_of_run: BlobId,
}

impl Blobs {
    /// Opens the directory for one run of the server; `run` must never have been used before.
    pub fn open(root: PathBuf, run: u64) -> io::Result<Self> {
        assert!(run < 1 << (u64::BITS - SEQUENCE_BITS), "16 million starts");
        std::fs::create_dir_all(&root)?;
        let first = run << SEQUENCE_BITS;
        Ok(Self { root, next: AtomicU64::new(first), first_of_run: BlobId(first) })
    }

    /// Every blob of this run has this id or a greater one.
    #[must_use]
    pub fn first_of_run(&self) -> BlobId {
        self.first_of_run
    }

    /// Begins a blob.
    pub fn create(&self) -> io::Result<Pending> {
        let id = BlobId(self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.path(id);
        let file = match File::create_new(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let dir = path.parent().expect("a blob lies in a directory");
                std::fs::create_dir_all(dir)?;
                File::open(&self.root)?.sync_all()?;
                File::create_new(&path)?
            }
            other => other?,
        };
        Ok(Pending { id, path, file: Some(file), bytes: 0 })
    }

    /// Bytes that are free on the disk.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Opens a blob for reading.
    pub fn read(&self, id: BlobId) -> io::Result<File> {
        File::open(self.path(id))
    }

    /// Removes blobs; those that are not there are gone already.
    pub fn remove(&self, ids: impl IntoIterator<Item = BlobId>) {
        for id in ids {
            if let Err(error) = std::fs::remove_file(self.path(id))
                && error.kind() != io::ErrorKind::NotFound
            {
                // Collected at the next start.
                tracing::warn!(%error, blob = %self.path(id).display(), "cannot remove a blob");
            }
        }
    }

    fn path(&self, id: BlobId) -> PathBuf {
        let (dir, name) = (id.0 >> NAME_BITS, id.0 & ((1 << NAME_BITS) - 1));
        self.root.join(format!("{dir:013x}")).join(format!("{name:03x}"))
    }

    /// The directories of earlier runs, with the ids that they can hold.
    pub fn old_directories(&self) -> io::Result<Vec<BlobDirectory>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(&self.root)? {
            let entry = entry?;
            let number = entry.file_name().to_str().and_then(|name| u64::from_str_radix(name, 16).ok());
            if let Some(number) = number
                && number < self.first_of_run.0 >> NAME_BITS
            {
                out.push(BlobDirectory { path: entry.path(), first: BlobId(number << NAME_BITS) });
            }
        }
        Ok(out)
    }
}

/// One directory of blobs.
pub struct BlobDirectory {
    path: PathBuf,
    /// The least id that it can hold.
    pub first: BlobId,
}

impl BlobDirectory {
    /// The greatest id that it can hold.
    #[must_use]
    pub fn last(&self) -> BlobId {
        BlobId(self.first.0 | ((1 << NAME_BITS) - 1))
    }

    /// The blobs in it.
    pub fn ids(&self) -> io::Result<Vec<BlobId>> {
        let mut out = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if let Some(number) = name.to_str().and_then(|name| u64::from_str_radix(name, 16).ok()) {
                out.push(BlobId(self.first.0 | number));
            }
        }
        Ok(out)
    }

    /// Removes it if it is empty.
    pub fn remove_if_empty(&self) {
        // It is not, mostly.
        let _ = std::fs::remove_dir(&self.path);
    }
}

/// A blob that nothing names yet; removed when dropped, unless [`keep`](Self::keep) was called.
#[derive(Debug)]
pub struct Pending {
    id: BlobId,
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
}

impl Pending {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().expect("a blob is not written to after it was closed");
        file.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    /// Ends the writing. With `sync` the bytes are on disk afterwards; the name is when its directory is synced too.
    pub fn close(&mut self, sync: bool) -> io::Result<()> {
        match self.file.take() {
            Some(file) if sync => file.sync_data(),
            Some(_) | None => Ok(()),
        }
    }

    /// The directory to sync before the blob is named.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.path.parent().expect("a blob lies in a directory")
    }

    /// The index names the blob now.
    pub fn keep(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            // What cannot be removed is collected at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
