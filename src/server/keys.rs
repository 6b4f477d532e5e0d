//! The key pairs that clients sign with, and the file that keeps the one that may do all. What the others may do is in
//! `permissions.rs`, the file that names them is read by `users.rs`.

use crate::base::random;
use crate::server::data;
use crate::server::permissions::Permissions;
use crate::server::secret_file;
use data_encoding::BASE32_NOPAD;
use std::fmt;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use zeroize::Zeroize;
use zeroize::ZeroizeOnDrop;
use zeroize::Zeroizing;

/// Name of the file within the data directory.
pub const FILE: &str = "credentials";

/// A key pair. Wiped from memory when dropped; the secret is never shown.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    /// The public half.
    pub access_key_id: String,
    /// What signatures are made with.
    pub secret: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

impl Keys {
    /// A pair that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        let id = format!("BRIGADE{}", BASE32_NOPAD.encode(&random::bytes::<10>()));
        Self { access_key_id: id, secret: random::hex::<20>() }
    }
}

/// The pairs that a server knows, and what each of them may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRing {
    pairs: Vec<(Keys, Permissions)>,
}

impl KeyRing {
    /// One pair, which may do everything.
    #[must_use]
    pub fn new(keys: Keys) -> Self {
        Self { pairs: vec![(keys, Permissions::ALL)] }
    }

    /// Adds a pair; one with the same access key goes before it.
    #[must_use]
    pub fn with(mut self, more: impl IntoIterator<Item = (Keys, Permissions)>) -> Self {
        self.pairs.extend(more);
        self
    }

    /// The pair of an access key, and what it may do.
    #[must_use]
    pub fn find(&self, access_key_id: &str) -> Option<(&Keys, &Permissions)> {
        let found = self.pairs.iter().find(|(keys, _)| keys.access_key_id == access_key_id);
        found.map(|(keys, permissions)| (keys, permissions))
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file, or its directory, cannot be read or written.
    #[error("cannot use {}: {source}; check the permissions of the data directory", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory is somebody else's; nothing is written into it.
    #[error(transparent)]
    Data(#[from] data::Error),
    /// The file has no key pair in it.
    #[error("{} holds no key pair: {reason}; remove it to have a new pair made", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The key pair of a data directory: made at the first call, and the directory with it, then kept in a file that
/// only its owner may read.
pub fn load_or_create(data: &Path) -> Result<Keys, Error> {
    let path = data.join(FILE);
    let failed = |source| Error::Io { path: path.clone(), source };
    match std::fs::read(&path) {
        Ok(text) => parse(&text).map_err(|reason| Error::Malformed { path, reason }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(data).map_err(failed)?;
            data::check_content(data)?;
            create(&path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
    }
}

// The form of the AWS tools' own file, so that AWS_SHARED_CREDENTIALS_FILE can name it.
const ID_NAME: &str = "aws_access_key_id";
const SECRET_NAME: &str = "aws_secret_access_key";

fn format(keys: &Keys) -> Zeroizing<String> {
    Zeroizing::new(format!("[default]\n{ID_NAME} = {}\n{SECRET_NAME} = {}\n", keys.access_key_id, keys.secret))
}

fn parse(text: &[u8]) -> Result<Keys, String> {
    let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
    let value = |wanted: &str| {
        let values = text.lines().filter_map(|line| line.split_once('='));
        let value =
            values.filter(|(name, _)| name.trim() == wanted).map(|(_, value)| value.trim().to_owned()).next_back();
        value.filter(|value| !value.is_empty()).ok_or_else(|| format!("it has no line `{wanted} = ..`"))
    };
    Ok(Keys { access_key_id: value(ID_NAME)?, secret: value(SECRET_NAME)? })
}

fn create(path: &Path) -> io::Result<Keys> {
    let keys = Keys::random();
    secret_file::write(path, format(&keys).as_bytes())?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn keys_are_made_once_and_only_the_owner_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("new");
        let first = load_or_create(&data).unwrap();
        assert_eq!(load_or_create(&data).unwrap(), first);
        let mode = std::fs::metadata(data.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(Keys::random(), first);
        assert!(!format!("{first:?}").contains(&first.secret));
    }

    #[test]
    fn nothing_is_written_into_a_directory_of_somebody_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("photo.jpg"), "").unwrap();
        assert!(matches!(load_or_create(dir.path()), Err(Error::Data(data::Error::NotData { .. }))));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_without_keys_is_not_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "[default]\n", "aws_access_key_id = a\naws_secret_access_key =\n", "aws_access_key_id = a\n"] {
            std::fs::write(dir.path().join(FILE), text).unwrap();
            assert!(matches!(load_or_create(dir.path()), Err(Error::Malformed { .. })), "{text:?}");
            assert_eq!(std::fs::read_to_string(dir.path().join(FILE)).unwrap(), text);
        }
    }
}
