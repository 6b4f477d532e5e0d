//! Extended attributes: users' own, which are kept with the object, and those that tell of the object itself.
//!
//! Changes are gathered and stored as those of other attributes are. How they are spelled is told in
//! [`xattr`].

use crate::base::clock;
use crate::store::Kind as StoreKind;
use crate::store::Metadata;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::xattr;
use std::ffi::OsStr;
use std::sync::Arc;

/// What attributes that tell of the object begin with. They are not listed, or `cp -a` would try to set them.
const OBJECT: &str = "user.brigade.";

/// What programs may do beyond their user's rights.
const CAPABILITY: &str = "security.capability";

/// Whether an attribute must be there, or must not (`setxattr(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Either.
    Any,
    /// It must not be there (`XATTR_CREATE`).
    Absent,
    /// It must be there (`XATTR_REPLACE`).
    Present,
}

impl Vfs {
    /// The value of an extended attribute. Asks for nothing but users' own, and for those only if nobody knows them.
    ///
    /// # Errors
    /// [`Error::NoAttribute`]; [`Error::Unsupported`] for classes that are not kept, such as access control lists and
    /// labels: `ls -l` asks for a label file by file, until it hears that there are none here.
    pub async fn getxattr(&self, id: InodeId, name: &OsStr) -> Result<Vec<u8>> {
        let inode = self.inode(id).await?;
        let name = name.to_str().ok_or(Error::NoAttribute)?;
        // The kernel asks for it before each write, and takes "none" for an answer.
        if name == CAPABILITY {
            return Err(Error::NoAttribute);
        }
        if !name.starts_with(xattr::USER) {
            return Err(Error::Unsupported("extended attributes of this class"));
        }
        if let Some(what) = name.strip_prefix(OBJECT) {
            return self.told_of_object(&inode, what).await;
        }
        let changed = inode.state().xattrs.get(name).cloned();
        let value = match changed {
            Some(value) => value,
            None => xattr::get(&self.known_metadata_of(&inode).await?, name),
        };
        value.ok_or(Error::NoAttribute)
    }

    /// The names of all extended attributes that users have set.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn listxattr(&self, id: InodeId) -> Result<Vec<String>> {
        let inode = self.inode(id).await?;
        let mut metadata = self.known_metadata_of(&inode).await?;
        xattr::apply(&mut metadata, &inode.state().xattrs);
        Ok(xattr::names(&metadata))
    }

    /// Sets an extended attribute.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::NoAttribute`] as `expected` has it; [`Error::NoRoom`] when the store takes no more
    /// with an object; [`Error::NotPermitted`] for those that tell of the object, and for symbolic links.
    pub async fn setxattr(self: &Arc<Self>, id: InodeId, name: &OsStr, value: &[u8], expected: Expected) -> Result<()> {
        self.change_xattr(id, name, Some(value.to_vec()), expected).await
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// As [`setxattr`](Self::setxattr); [`Error::NoAttribute`] if it is not there.
    pub async fn removexattr(self: &Arc<Self>, id: InodeId, name: &OsStr) -> Result<()> {
        self.change_xattr(id, name, None, Expected::Present).await
    }

    async fn change_xattr(
        self: &Arc<Self>,
        id: InodeId,
        name: &OsStr,
        value: Option<Vec<u8>>,
        expected: Expected,
    ) -> Result<()> {
        self.must_be_writable()?;
        let inode = self.inode(id).await?;
        let name = name.to_str().ok_or(Error::NameNotUtf8)?;
        if !name.starts_with(xattr::USER) || !self.keeps_attributes() || !self.has_object(&inode) {
            return Err(Error::Unsupported("extended attributes of this class, or with nothing to keep them in"));
        }
        if name.starts_with(OBJECT) || !matches!(inode.kind, Kind::File | Kind::Directory) {
            return Err(Error::NotPermitted("such extended attributes cannot be set"));
        }
        let mut metadata = self.known_metadata_of(&inode).await?;
        let mut state = inode.state();
        xattr::apply(&mut metadata, &state.xattrs);
        match (expected, xattr::get(&metadata, name)) {
            (Expected::Absent, Some(_)) => return Err(Error::Exists),
            (Expected::Present, None) => return Err(Error::NoAttribute),
            (Expected::Any | Expected::Absent | Expected::Present, _) => {}
        }
        let grows = value.is_some();
        xattr::apply(&mut metadata, &xattr::Changes::from([(name.to_owned(), value.clone())]));
        state.posix(true).write(&mut metadata);
        let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
        if grows && bytes > self.store.facts().metadata_bytes_max {
            return Err(Error::NoRoom);
        }
        state.xattrs.insert(name.to_owned(), value);
        state.attr.ctime = clock::now();
        self.to_be_stored(&inode, state);
        Ok(())
    }

    /// What `user.brigade.*` answers: `etag`, `key` and `storage-class`, as far as there is one.
    async fn told_of_object(&self, inode: &Inode, what: &str) -> Result<Vec<u8>> {
        let told = match what {
            "key" => self.tree.key(inode),
            "etag" => inode.state().version.as_ref().map(|version| version.etag.as_str().to_owned()),
            "storage-class" => {
                let stored = inode.state().version.is_some();
                let headers = if stored { self.fetched_headers(inode).await?.to_headers() } else { None };
                headers.map(|headers| headers.storage_class.unwrap_or_else(|| "STANDARD".to_owned()))
            }
            _ => None,
        };
        told.filter(|told| !told.is_empty()).map(String::into_bytes).ok_or(Error::NoAttribute)
    }

    /// The metadata of an object as the bucket has them. A listing that told of none beyond the usual is enough.
    async fn known_metadata_of(&self, inode: &Inode) -> Result<Metadata> {
        let without = inode.state().without_xattrs;
        if without || !self.keeps_attributes() {
            return Ok(Metadata::new());
        }
        Ok(self.fetched_headers(inode).await?.to_headers().unwrap_or_default().metadata)
    }

    /// Before a version is written that nobody described: what the object has beside its bytes goes along.
    pub(super) async fn keep_xattrs(&self, inode: &Inode) -> Result<()> {
        let without = inode.state().without_xattrs;
        if without || !self.keeps_attributes() {
            return Ok(());
        }
        match self.fetched_headers(inode).await {
            // Another host has put another object there, whose attributes are its own.
            Ok(_) | Err(Error::Stale) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The headers of an object, asked for if nobody knows them.
    pub(super) async fn fetched_headers(&self, inode: &Inode) -> Result<KnownHeaders> {
        let (known, version) = {
            let state = inode.state();
            (state.headers.clone(), state.version.clone())
        };
        if known != KnownHeaders::Nothing {
            return Ok(known);
        }
        let Some(version) = version else {
            if inode.kind == Kind::Directory && self.has_object(inode) {
                self.fetch_marker_headers(inode).await?;
            }
            return Ok(inode.state().headers.clone());
        };
        let object = self.store.head_object(&self.key_of(inode)?).await.map_err(Error::of_known_file)?;
        if object.etag != version.etag {
            return Err(Error::Stale);
        }
        let headers = KnownHeaders::of(inode.kind, object.headers);
        let mut state = inode.state();
        if state.headers == KnownHeaders::Nothing {
            state.headers = headers;
        }
        Ok(state.headers.clone())
    }

    /// What the object of a directory has beside its attributes, which a listing alone does not tell: whoever writes it
    /// anew needs all of it.
    pub(super) async fn fetch_marker_headers(&self, inode: &Inode) -> Result<()> {
        let (described, there) = {
            let state = inode.state();
            (state.directory.described, state.directory.marker != Some(false))
        };
        if !described {
            self.describe_directory(inode, Some(there)).await?;
        }
        let unknown = {
            let state = inode.state();
            state.headers == KnownHeaders::Nothing && state.directory.marker == Some(true)
        };
        if !unknown {
            return Ok(());
        }
        let told = self.store.head_object(&self.key_of(inode)?).await;
        let mut state = inode.state();
        match told {
            Ok(object) if state.headers == KnownHeaders::Nothing => {
                state.headers = KnownHeaders::of(Kind::Directory, object.headers);
            }
            Ok(_) => {}
            Err(error) if error.kind == StoreKind::NotFound => state.directory.marker = Some(false),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
