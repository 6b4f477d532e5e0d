//! What a mount can be asked to be.

use crate::base::bytesize::MIB;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

/// Where a file is safe when `close` and `fsync` return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// In the bucket.
    #[default]
    Bucket,
    /// On local disk, from where it goes into the bucket.
    Journal,
}

/// Settings of a mount.
#[derive(Clone, Debug)]
pub struct Options {
    /// Only keys that begin so are shown; with or without a slash at its end.
    pub prefix: String,
    /// How long what the bucket told about names and attributes is believed.
    pub metadata_ttl: Duration,
    /// Owner of files that do not say whose they are.
    pub uid: u32,
    /// Group of files that do not say whose they are.
    pub gid: u32,
    /// Permission bits of files that do not say theirs.
    pub file_mode: u32,
    /// Permission bits of directories that do not say theirs.
    pub dir_mode: u32,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// Storage class of what is written; the store's default when `None`.
    pub storage_class: Option<String>,
    /// How the store is asked to encrypt what is written; as the bucket says when `None`.
    pub server_side_encryption: Option<String>,
    /// Bytes of the first parts of an upload.
    pub part_bytes: u64,
    /// Requests of one upload at the same time.
    pub upload_concurrency: usize,
    /// Bytes of file contents held in memory at most, for reading and writing together.
    pub memory_limit: u64,
    /// A local directory for what memory cannot hold of changed files; hidden objects hold it if `None`.
    pub journal_dir: Option<PathBuf>,
    /// Where a file is safe when it is closed.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            metadata_ttl: Duration::from_secs(5),
            uid: 0,
            gid: 0,
            file_mode: 0o644,
            dir_mode: 0o755,
            read_only: false,
            storage_class: None,
            server_side_encryption: None,
            part_bytes: 8 * MIB,
            upload_concurrency: 4,
            memory_limit: 128 * MIB,
            journal_dir: None,
            durability: Durability::Bucket,
        }
    }
}

impl Options {
    /// Whether the settings make sense together.
    ///
    /// # Errors
    /// One line that names the setting and what would be legal.
    pub fn check(&self) -> Result<(), String> {
        let parts = self.memory_limit / self.part_bytes.max(1);
        if self.part_bytes < 5 * MIB {
            return Err("a part must have at least 5MiB".into());
        }
        if parts < 3 {
            return Err("the memory limit must have room for at least 3 parts".into());
        }
        if self.upload_concurrency == 0 {
            return Err("at least one upload must be allowed at a time".into());
        }
        if self.file_mode > 0o7777 || self.dir_mode > 0o7777 {
            return Err("a mode has at most four octal digits".into());
        }
        Ok(())
    }

    /// The attributes of something that says nothing of itself.
    #[must_use]
    pub fn default_attr(&self, kind: Kind, at: SystemTime) -> Attr {
        let permissions = match kind {
            Kind::File | Kind::Fifo | Kind::Socket | Kind::CharacterDevice(_) | Kind::BlockDevice(_) => self.file_mode,
            Kind::Directory => self.dir_mode,
            Kind::Symlink => 0o777,
        };
        Attr { kind, size: 0, permissions, uid: self.uid, gid: self.gid, mtime: at, ctime: at, atime: at }
    }
}
