//! The data directory: whether it is one, whether it is free, and why a server cannot start.

use crate::base::held::Held;
use crate::server::backend::BLOBS_DIRECTORY;
use crate::server::backend::Backend;
use crate::server::backend::INDEX_FILE;
use crate::server::backend::index::OpenError;
use crate::server::backend::key_file;
use crate::server::keys;
use crate::server::secret_file;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

/// Held by the process that uses the directory; has its number in it.
const LOCK_FILE: &str = "lock";

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, not ours, or not allowed.
    #[error("cannot listen on {addr}: {source}; stop what uses the port, or choose another address")]
    Listen {
        /// Which address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The directory cannot be made, read or written.
    #[error("cannot use the data directory {}: {source}; check that it exists and is writable", path.display())]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process uses the directory.
    #[error("the data directory {} is in use by process {holder}; stop that process, or choose another directory", path.display())]
    InUse {
        /// Which directory.
        path: PathBuf,
        /// The number of the process, as far as it is known.
        holder: String,
    },
    /// There is something else in the directory.
    #[error("{} holds {found:?} and is not a data directory of brigade; name an empty or a new directory", path.display())]
    NotData {
        /// Which directory.
        path: PathBuf,
        /// What was found in it.
        found: String,
    },
    /// The index cannot be opened.
    #[error("cannot open the index of {}: {reason}; restore it from a backup, or use the version of brigade that wrote it", path.display())]
    Index {
        /// Which directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key of encrypted objects cannot be used.
    #[error("cannot use the encryption key: {0}")]
    Key(key_file::Error),
    /// A bucket to be made cannot have this name.
    #[error("{0:?} cannot name a bucket; use 3 to 63 of the characters a-z, 0-9, - and .")]
    BucketName(String),
    /// A fault of this program or of the disk.
    #[error("cannot start the server: {0}")]
    Internal(String),
}

/// A directory that this process uses, until it is dropped.
pub struct DataDirectory {
    _lock: Held,
}

/// Makes the directory if needed, takes it, and opens the store in it.
pub fn open(path: &Path, sync: bool) -> Result<(DataDirectory, Backend), Error> {
    let failed = |source| Error::Directory { path: path.to_owned(), source };
    std::fs::create_dir_all(path).map_err(failed)?;
    check_content(path)?;
    let lock = take(path)?;
    let backend = Backend::open(path, sync).map_err(|error| match error {
        OpenError::InUse => Error::InUse { path: path.to_owned(), holder: "unknown".into() },
        OpenError::Key(error) => Error::Key(error),
        OpenError::Format(_) | OpenError::Storage(_) => {
            Error::Index { path: path.to_owned(), reason: error.to_string() }
        }
    })?;
    // The names of the files that were just made.
    File::open(path).and_then(|directory| directory.sync_all()).map_err(failed)?;
    Ok((DataDirectory { _lock: lock }, backend))
}

/// Refuses a directory that somebody uses for something else: blobs among photographs help nobody.
pub fn check_content(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Directory { path: path.to_owned(), source };
    if path.join(INDEX_FILE).exists() {
        return Ok(());
    }
    let drafts = [secret_file::draft(keys::FILE), secret_file::draft(key_file::FILE)];
    let ours = [LOCK_FILE, BLOBS_DIRECTORY, keys::FILE, key_file::FILE, &drafts[0], &drafts[1], "lost+found"];
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if !ours.contains(&name.as_str()) {
            return Err(Error::NotData { path: path.to_owned(), found: name });
        }
    }
    Ok(())
}

fn take(path: &Path) -> Result<Held, Error> {
    let failed = |source| Error::Directory { path: path.to_owned(), source };
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(LOCK_FILE));
    let Some(held) = open.and_then(Held::try_new).map_err(failed)? else {
        // Only for the message.
        let holder = std::fs::read_to_string(path.join(LOCK_FILE)).unwrap_or_default();
        let holder = Some(holder.trim().to_owned()).filter(|pid| !pid.is_empty());
        return Err(Error::InUse { path: path.to_owned(), holder: holder.unwrap_or_else(|| "unknown".into()) });
    };
    held.file().set_len(0).and_then(|()| writeln!(held.file(), "{}", std::process::id())).map_err(failed)?;
    Ok(held)
}
