//! The master key of a data directory: its file, made when something is to be sealed for the first time.
//!
//! A key is made only while nothing is sealed: if blobs are sealed and the file is missing, or holds another key, they
//! cannot be read until it is put back, and nothing more is sealed. Everything else goes on meanwhile.

use crate::base::random;
use crate::server::backend::record::BlobId;
use crate::server::backend::seal::KEY_BYTES;
use crate::server::backend::seal::MasterKey;
use crate::server::backend::seal::WrappedKey;
use crate::server::secret_file;
use data_encoding::HEXLOWER;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use zeroize::Zeroizing;

/// Name of the file within the data directory.
pub const FILE: &str = "encryption-key";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there, though blobs were sealed with its key.
    #[error("objects are encrypted and their key {} is missing; put the file back from a backup", .0.display())]
    Missing(PathBuf),
    /// The file has another key than blobs were sealed with.
    #[error("{} is not the key that the objects here are encrypted with; put the right file back from a backup", .0.display())]
    Other(PathBuf),
    /// The file has no key in it.
    #[error("{} is not a key: it must have {} hex digits; put the right file back from a backup", .0.display(), 2 * KEY_BYTES)]
    Malformed(PathBuf),
    /// The file cannot be read or written.
    #[error("cannot use {}: {source}; check the permissions of the data directory", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// The file, and the key once it is known.
pub struct KeyFile {
    path: PathBuf,
    /// A key that the master key must open.
    witness: Option<(BlobId, WrappedKey)>,
    known: Mutex<Option<Arc<MasterKey>>>,
}

impl KeyFile {
    /// Looks for the file. `witness` is any wrapped key of the index. A key that is missing or another is no reason
    /// not to start: it is needed for what is sealed only, and is looked for again when that is asked for.
    pub fn open(data: &Path, witness: Option<(BlobId, WrappedKey)>) -> Result<Self, Error> {
        let file = Self { path: data.join(FILE), witness, known: Mutex::default() };
        match file.load() {
            Ok(key) => *file.lock() = key,
            Err(error @ (Error::Missing(_) | Error::Other(_))) => {
                tracing::error!(%error, "encrypted objects cannot be read");
            }
            Err(error @ (Error::Malformed(_) | Error::Io { .. })) => return Err(error),
        }
        Ok(file)
    }

    /// The key to open with.
    pub fn to_open(&self) -> Result<Arc<MasterKey>, Error> {
        let mut known = self.lock();
        if known.is_none() {
            *known = self.load()?;
        }
        known.clone().ok_or_else(|| Error::Missing(self.path.clone()))
    }

    /// The key to seal with, made if there is none and nothing is sealed. Afterwards it is on disk.
    pub fn to_seal(&self) -> Result<Arc<MasterKey>, Error> {
        let mut known = self.lock();
        if known.is_none() {
            *known = self.load()?;
        }
        match &*known {
            Some(key) => Ok(Arc::clone(key)),
            None => Ok(Arc::clone(known.insert(Arc::new(self.create()?)))),
        }
    }

    /// Reads the file; `None` if it is not there and need not be.
    fn load(&self) -> Result<Option<Arc<MasterKey>>, Error> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return if self.witness.is_some() { Err(Error::Missing(self.path.clone())) } else { Ok(None) };
            }
            Err(source) => return Err(Error::Io { path: self.path.clone(), source }),
        };
        let key = MasterKey::new(&*parse(&text).ok_or_else(|| Error::Malformed(self.path.clone()))?);
        if let Some((id, wrapped)) = &self.witness {
            key.open(*id, wrapped).map_err(|_| Error::Other(self.path.clone()))?;
        }
        Ok(Some(Arc::new(key)))
    }

    fn create(&self) -> Result<MasterKey, Error> {
        let bytes = Zeroizing::new(random::bytes::<KEY_BYTES>());
        let mut text = Zeroizing::new(HEXLOWER.encode(&*bytes));
        text.push('\n');
        let written = secret_file::write(&self.path, text.as_bytes());
        written.map_err(|source| Error::Io { path: self.path.clone(), source })?;
        tracing::info!(path = %self.path.display(), "made a key for encrypted objects; they are lost without it");
        Ok(MasterKey::new(&bytes))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<MasterKey>>> {
        self.known.lock().expect("nothing panics while it holds this lock")
    }
}

fn parse(text: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    let bytes = Zeroizing::new(HEXLOWER.decode(text.trim_ascii()).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_made_once_and_only_the_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::open(dir.path(), None).unwrap();
        assert!(matches!(file.to_open(), Err(Error::Missing(_))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "it is made when it is needed, not before");
        let (_, wrapped) = file.to_seal().unwrap().make(BlobId(1));
        let metadata = std::fs::metadata(dir.path().join(FILE)).unwrap();
        assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, 65));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no draft is left");
        assert!(file.to_seal().unwrap().open(BlobId(1), &wrapped).is_ok());
        let again = KeyFile::open(dir.path(), Some((BlobId(1), wrapped))).unwrap();
        assert!(again.to_open().unwrap().open(BlobId(1), &wrapped).is_ok());
    }

    #[test]
    fn a_key_that_is_missing_is_not_made_anew_and_is_taken_when_it_is_back() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, away) = (dir.path().join(FILE), dir.path().join("away"));
        let (_, wrapped) = KeyFile::open(dir.path(), None).unwrap().to_seal().unwrap().make(BlobId(1));
        let _ = KeyFile::open(other.path(), None).unwrap().to_seal().unwrap();
        std::fs::rename(&path, &away).unwrap();
        let file = KeyFile::open(dir.path(), Some((BlobId(1), wrapped))).unwrap();
        assert!(matches!(file.to_open(), Err(Error::Missing(_))));
        assert!(matches!(file.to_seal(), Err(Error::Missing(_))));
        assert!(!path.exists());
        std::fs::copy(other.path().join(FILE), &path).unwrap();
        let message = file.to_open().unwrap_err().to_string();
        assert!(message.contains("is not the key") && !message.contains('\n'), "{message}");
        assert!(matches!(file.to_seal(), Err(Error::Other(_))), "two keys in one directory would lose both");
        std::fs::rename(&away, &path).unwrap();
        assert!(file.to_open().unwrap().open(BlobId(1), &wrapped).is_ok());
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for text in ["", "\n", "00", &"0".repeat(63), &"0".repeat(66), &"g".repeat(64), "\u{fe}\u{ff}"] {
            std::fs::write(&path, text).unwrap();
            assert!(matches!(KeyFile::open(dir.path(), None), Err(Error::Malformed(_))), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::write(&path, "0".repeat(64)).unwrap();
        assert!(KeyFile::open(dir.path(), None).is_ok(), "the end of the line is not part of it");
    }
}
