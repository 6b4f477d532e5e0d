//! Blob files: immutable, one for each body that was sent, in directories of 4096.
//!
//! A blob is written to its final name. It counts from the index transaction that names it; before, it is a
//! [`Pending`] file that goes away when it is dropped, and what a crash leaves behind is collected at the next start.
//! What is in a sealed one, [`super::seal`] says; sizes and places are those of the content here all the same.

use crate::server::backend::key_file::KeyFile;
use crate::server::backend::record::BlobId;
use crate::server::backend::record::Protection;
use crate::server::backend::seal::DataKey;
use crate::server::backend::seal::Run;
use crate::server::backend::seal::Sealer;
use crate::server::backend::seal::WrappedKey;
use bytes::Bytes;
use std::fs::File;
use std::io;
use std::io::Write;
use std::ops::Range;
use std::os::unix::fs::FileExt;
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
    keys: KeyFile,
}

impl Blobs {
    /// Opens the directory for one run of the server; `run` must never have been used before.
    pub fn open(root: PathBuf, run: u64, keys: KeyFile) -> io::Result<Self> {
        assert!(run < 1 << (u64::BITS - SEQUENCE_BITS), "16 million starts");
        std::fs::create_dir_all(&root)?;
        let first = run << SEQUENCE_BITS;
        Ok(Self { root, next: AtomicU64::new(first), first_of_run: BlobId(first), keys })
    }

    /// Every blob of this run has this id or a greater one.
    #[must_use]
    pub fn first_of_run(&self) -> BlobId {
        self.first_of_run
    }

    /// The master key of sealed blobs.
    #[must_use]
    pub fn keys(&self) -> &KeyFile {
        &self.keys
    }

    /// Begins a blob.
    pub fn create(&self, protection: Protection) -> io::Result<Pending> {
        let master = match protection {
            Protection::Plain => None,
            Protection::Sealed => Some(self.keys.to_seal()?),
        };
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
        let mut pending = Pending { id, path, file: Some(file), sealer: None, wrapped: None };
        if let Some(master) = master {
            let (key, wrapped) = master.make(id);
            pending.sealer = Some(Sealer::new(key));
            pending.wrapped = Some(wrapped);
        }
        Ok(pending)
    }

    /// Bytes that are free on the disk.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&self.root)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Opens a blob for reading; a sealed one with its key.
    pub fn read(&self, id: BlobId, key: Option<DataKey>) -> io::Result<OpenBlob> {
        let file = File::open(self.path(id))?;
        let file_bytes = file.metadata()?.len();
        Ok(OpenBlob { id, file, file_bytes, key })
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

/// A blob that is being read.
pub struct OpenBlob {
    id: BlobId,
    file: File,
    file_bytes: u64,
    key: Option<DataKey>,
}

impl OpenBlob {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Reads a range of the content, which must not be empty. Of a sealed blob whole chunks are read and opened.
    pub fn read(&self, range: &Range<u64>) -> io::Result<Bytes> {
        let Some(key) = &self.key else { return Ok(self.read_file(range)?.into()) };
        let run = Run::locate(range, self.file_bytes).map_err(io::Error::other)?;
        let sealed = self.read_file(&run.file)?;
        Ok(run.open(key, sealed).map_err(io::Error::other)?.into())
    }

    fn read_file(&self, range: &Range<u64>) -> io::Result<Vec<u8>> {
        let bytes = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut buffer = vec![0; bytes];
        self.file.read_exact_at(&mut buffer, range.start)?;
        Ok(buffer)
    }
}

/// A blob that nothing names yet; removed when dropped, unless [`keep`](Self::keep) was called.
#[derive(Debug)]
pub struct Pending {
    id: BlobId,
    path: PathBuf,
    file: Option<File>,
    sealer: Option<Sealer>,
    wrapped: Option<WrappedKey>,
}

impl Pending {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// How its bytes lie on disk.
    #[must_use]
    pub fn protection(&self) -> Protection {
        if self.wrapped.is_some() { Protection::Sealed } else { Protection::Plain }
    }

    /// What the index keeps to open it with, if it is sealed.
    #[must_use]
    pub fn wrapped_key(&self) -> Option<&WrappedKey> {
        self.wrapped.as_ref()
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = self.file.as_mut().expect("a blob is not written to after it was closed");
        match &mut self.sealer {
            Some(sealer) => sealer.write(bytes, file),
            None => file.write_all(bytes),
        }
    }

    /// Ends the writing. With `sync` the bytes are on disk afterwards; the name is when its directory is synced too.
    pub fn close(&mut self, sync: bool) -> io::Result<()> {
        let Some(mut file) = self.file.take() else { return Ok(()) };
        if let Some(sealer) = self.sealer.take() {
            sealer.finish(&mut file)?;
        }
        if sync { file.sync_data() } else { Ok(()) }
    }

    /// The directory to sync before the blob is named.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.path.parent().expect("a blob lies in a directory")
    }

    /// The index names the blob now.
    pub fn keep(mut self) {
        assert!(self.file.is_none(), "a blob is closed before it is named: a sealed one has no end before");
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
