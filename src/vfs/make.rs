//! Making directories, symbolic links, pipes, sockets and device nodes; where links lead.

use crate::base::clock;
use crate::store::Condition;
use crate::store::Headers;
use crate::store::Payload;
use crate::vfs::Entry;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::attr::symlink_target;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
use crate::vfs::listing::Listing;
use crate::vfs::listing::Seen;
use crate::vfs::open::Owner;
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

/// Bytes of a symbolic link's target at most (`PATH_MAX` of Linux).
const TARGET_BYTES_MAX: u64 = 4096;

impl Vfs {
    /// Makes a directory.
    ///
    /// # Errors
    /// [`Error::Exists`], and what the store answers.
    pub async fn mkdir(&self, parent: InodeId, name: &OsStr, owner: Owner) -> Result<Entry> {
        let (directory, name) = self.free_name(parent, name).await?;
        let inode = self.tree.replace(directory.id, &name, self.new_attr(Kind::Directory, owner, &directory));
        let key = self.key_of(&inode)?;
        if let Err(error) = self.put_marker_if(&inode, &key, &self.if_free()).await {
            self.tree.unlink(directory.id, &name);
            return Err(self.taken(&directory, error));
        }
        // Nobody has put anything into it yet, so what is in it is known.
        inode.state().directory.listing = Some(Listing { entries: BTreeMap::new(), asked: clock::monotonic() });
        self.entry_added(&directory, &name, Seen::Directory);
        self.touch_directory(&directory);
        Ok(self.counted(inode))
    }

    /// Makes a symbolic link, in the form of s3fs: its target is the object's body.
    ///
    /// # Errors
    /// [`Error::Exists`], and what the store answers.
    pub async fn symlink(&self, parent: InodeId, name: &OsStr, target: &OsStr, owner: Owner) -> Result<Entry> {
        self.make_special(parent, name, Kind::Symlink, Bytes::copy_from_slice(target.as_bytes()), owner).await
    }

    /// Makes a named pipe, a socket or a device node, in the form of s3fs: an empty object whose mode says what it is. The
    /// number of a device stands beside it, in the form of rclone.
    ///
    /// # Errors
    /// [`Error::Exists`], and what the store answers.
    pub async fn make_node(&self, parent: InodeId, name: &OsStr, kind: Kind, owner: Owner) -> Result<Entry> {
        assert!(!matches!(kind, Kind::File | Kind::Directory | Kind::Symlink), "these have bytes, or entries");
        self.make_special(parent, name, kind, Bytes::new(), owner).await
    }

    async fn make_special(
        &self,
        parent: InodeId,
        name: &OsStr,
        kind: Kind,
        body: Bytes,
        owner: Owner,
    ) -> Result<Entry> {
        self.must_be_writable()?;
        if !self.keeps_attributes() {
            // Nothing would tell it from a file.
            return Err(Error::Unsupported(
                "links, pipes, sockets and device nodes in a store that keeps no user metadata",
            ));
        }
        let (directory, name) = self.free_name(parent, name).await?;
        let inode = self.tree.replace(directory.id, &name, self.new_attr(kind, owner, &directory));
        let key = self.key_of(&inode)?;
        let mut headers = Headers {
            storage_class: self.options.storage_class.clone(),
            server_side_encryption: self.options.server_side_encryption.clone(),
            ..Headers::default()
        };
        let posix = inode.state().posix(true);
        posix.write(&mut headers.metadata);
        let size = body.len() as u64;
        let etag = match self.store.put_object(&key, Payload::from(body), &headers, &self.if_free()).await {
            Ok(etag) => etag,
            Err(error) => {
                self.tree.unlink(directory.id, &name);
                return Err(self.taken(&directory, error.into()));
            }
        };
        let version = Version { etag, size, last_modified: clock::now() };
        {
            let mut state = inode.state();
            state.attr.size = version.size;
            state.becomes(version.clone());
            state.headers = KnownHeaders::of(kind, headers);
            state.mtime_set = true;
            state.stored_now();
        }
        self.entry_added(&directory, &name, Seen::Object(version, Some(posix)));
        self.touch_directory(&directory);
        Ok(self.counted(inode))
    }

    /// What is made must be new, also for other hosts; where a store has no conditions, the lookup before has to do.
    fn if_free(&self) -> Condition {
        if self.store.facts().conditional_writes { Condition::Absent } else { Condition::None }
    }

    /// Another host was faster than this mount knows.
    fn taken(&self, directory: &Inode, error: Error) -> Error {
        if !matches!(error, Error::Stale) {
            return error;
        }
        self.doubt(directory);
        Error::Exists
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else than a symbolic link.
    pub async fn readlink(&self, id: InodeId) -> Result<Bytes> {
        let inode = self.inode(id).await?;
        if inode.kind != Kind::Symlink || inode.attr().size > TARGET_BYTES_MAX {
            return Err(Error::Invalid("not a symbolic link"));
        }
        let key = self.key_of(&inode)?;
        if inode.state().target_in_metadata {
            let headers = self.fetched_headers(&inode).await?.to_headers().unwrap_or_default();
            return symlink_target(&headers.metadata).map(Bytes::from).ok_or(Error::Stale);
        }
        let got = self.store.get_object(&key, None, None).await?;
        let pieces: Vec<Bytes> = got.body.try_collect().await?;
        Ok(Bytes::from(pieces.concat()))
    }

    /// A directory and a name in it that leads to nothing.
    async fn free_name(&self, parent: InodeId, name: &OsStr) -> Result<(Arc<Inode>, Arc<str>)> {
        self.must_be_writable()?;
        let directory = self.directory_to_change(parent).await?;
        let name: Arc<str> = self.new_name(&directory, name)?.into();
        if self.resolve(&directory, &name).await?.is_some() {
            return Err(Error::Exists);
        }
        Ok((directory, name))
    }
}
