//! The directory of a journal: who may enter, one process at a time, and which format it has.

use crate::base::held::Held;
use data_encoding::HEXLOWER;
use rustix::fs::FallocateFlags;
use rustix::fs::fallocate;
use sha2::Digest;
use sha2::Sha256;
use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

/// The format that this program writes, and the only one that it reads.
const FORMAT: &str = "brigade journal 1\n";
/// Letters of what is journalled that are kept in the name, for people.
const SHOWN_MAX: usize = 40;

/// Why a directory cannot be used. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("the journal {} is in use by another mount; unmount that one, or name another directory", .0.display())]
    Busy(PathBuf),
    /// Written by a version that knows better.
    #[error("the journal {} has the format {found:?}, which this version does not know; use the one that wrote it", path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// What it says.
        found: String,
    },
    /// It cannot be made, read or written.
    #[error("cannot use the journal directory {}: {cause}; name a directory that can be written to", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// A journal's directory, locked as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    _lock: Held,
}

/// A directory's name for what is told apart by `identity`: some of it to be read, and enough of its SHA-256 to differ.
#[must_use]
pub fn name(identity: &str) -> String {
    let legal = |letter: char| if letter.is_ascii_alphanumeric() || letter == '.' { letter } else { '-' };
    let shown: String = identity.chars().map(legal).take(SHOWN_MAX).collect();
    let digest = HEXLOWER.encode(&Sha256::digest(identity.as_bytes())[..8]);
    format!("{}-{digest}", shown.trim_matches(['-', '.']))
}

impl Directory {
    /// Makes the directory if it is missing (0700, parents too), and locks it.
    ///
    /// # Errors
    /// When another process has it, its format is not known, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |cause| Error::Io { path: path.to_owned(), cause };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        // It may have been there, made by somebody less careful.
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(io)?;
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let lock = options.open(path.join("lock")).map_err(io)?;
        let Some(lock) = Held::try_new(lock).map_err(io)? else { return Err(Error::Busy(path.to_owned())) };
        match fs::read_to_string(path.join("format")) {
            Ok(found) if found == FORMAT => {}
            Ok(found) => return Err(Error::Format { path: path.to_owned(), found: found.trim_end().to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_whole(path, "format", FORMAT.as_bytes(), 0).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file so that after a crash it is there whole or not at all, and has the disk keep so many bytes for it to grow.
pub(crate) fn write_whole(directory: &Path, name: &str, bytes: &[u8], room: u64) -> io::Result<File> {
    let beside = directory.join(format!("{name}.new"));
    let written = || {
        let mut options = File::options();
        let file = options.create(true).truncate(true).read(true).write(true).mode(0o600).open(&beside)?;
        std::os::unix::fs::FileExt::write_all_at(&file, bytes, 0)?;
        if room > 0 {
            promise(&file, bytes.len() as u64, bytes.len() as u64 + room, 1)?;
        }
        file.sync_all()?;
        fs::rename(&beside, directory.join(name))?;
        Ok(file)
    };
    let file = written().inspect_err(|_: &io::Error| {
        // On a full disk the rest would be in the way.
        let _ = fs::remove_file(&beside);
    })?;
    sync(directory)?;
    Ok(file)
}

/// Has the disk keep room for the bytes of a file between two places, and for more, up to a multiple of `ahead`, if there
/// is as much: so that a full disk shows at a write and not at a sync. Up to where it does.
pub(crate) fn promise(file: &File, from: u64, to: u64, ahead: u64) -> io::Result<u64> {
    for end in [to.next_multiple_of(ahead), to] {
        match fallocate(file, FallocateFlags::KEEP_SIZE, from, end - from) {
            Ok(()) => return Ok(end),
            // A file system that promises nothing tells with the write.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => return Ok(u64::MAX),
            Err(rustix::io::Errno::NOSPC) if end != to => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(rustix::io::Errno::NOSPC.into())
}

/// Makes the names in a directory outlive a power cut.
pub(crate) fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time_and_only_a_format_that_is_known() {
        let home = tempfile::TempDir::new().unwrap();
        let path = home.path().join("a/b");
        let first = Directory::open(&path).unwrap();
        assert_eq!(fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(matches!(Directory::open(&path), Err(Error::Busy(_))));
        drop(first);
        drop(Directory::open(&path).unwrap());
        fs::write(path.join("format"), "brigade journal 2\n").unwrap();
        let line = Directory::open(&path).unwrap_err().to_string();
        assert!(line.contains("\"brigade journal 2\"") && !line.contains('\n'), "{line}");
    }

    #[test]
    fn names_are_legible_and_differ() {
        assert!(name("s3://photos at http://h:1").starts_with("s3---photos-at-http---h-1-"));
        assert_ne!(name("s3://a-b"), name("s3://a/b"));
        assert!(!name("../../etc").contains('/') && !name("../..").starts_with('.'));
    }
}
