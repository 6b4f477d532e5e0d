//! From names to inodes: lookup, getattr, forget.
//!
//! Asked in this order: what this mount has changed itself, the remembered listing of the directory, the bucket.

use crate::base::clock;
use crate::cache::metadata::Validator;
use crate::store::ETag;
use crate::store::Headers;
use crate::store::Kind as StoreKind;
use crate::store::ListObjects;
use crate::store::Object;
use crate::vfs::Entry;
use crate::vfs::Vfs;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::attr::PERMISSION_MASK;
use crate::vfs::attr::Posix;
use crate::vfs::directory::Remembered;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
use crate::vfs::key;
use crate::vfs::listing::Seen;
use futures_util::StreamExt;
use futures_util::stream;
use std::borrow::Cow;
use std::ffi::OsStr;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::UNIX_EPOCH;

/// Metadata fetched side by side when a program goes through a directory whose listing does not carry them.
const HEADS_AT_ONCE: usize = 32;

/// What the bucket has under a name.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub seen: Seen,
    pub headers: Option<Headers>,
    pub marker: Option<bool>,
    pub asked: Instant,
}

impl Vfs {
    /// Finds a name and counts a lookup of what it leads to.
    ///
    /// # Errors
    /// [`Error::NotFound`], and what the store answers.
    pub async fn lookup(&self, parent: InodeId, name: &OsStr) -> Result<Entry> {
        let directory = self.directory(parent)?;
        let name = match key::name(name) {
            Err(Error::NameNotUtf8) => return Err(Error::NotFound),
            name => name?,
        };
        if self.key_of(&directory)?.len() + name.len() > self.store.facts().key_bytes_max {
            return Err(Error::NameTooLong);
        }
        let inode = self.resolve(&directory, name).await?.ok_or(Error::NotFound)?;
        Ok(self.counted(inode))
    }

    /// The attributes of an inode, asked for again if they are old.
    ///
    /// # Errors
    /// [`Error::Stale`] when it is gone by now.
    pub async fn getattr(&self, id: InodeId) -> Result<Entry> {
        let inode = self.tree.get(id)?;
        if let Some((directory, name)) = self.tree.place(id).filter(|_| id != InodeId::ROOT) {
            let now = self.resolve(&directory, &name).await?;
            let same = now.is_some_and(|now| now.id == id);
            let open = {
                let state = inode.state();
                state.readers + state.writers > 0
            };
            // Open files keep the attributes of what they read, whatever has its name by now.
            if !same && !open {
                return Err(Error::Stale);
            }
        }
        Ok(self.entry(inode))
    }

    /// The kernel drops `count` lookups of an inode.
    pub fn forget(&self, id: InodeId, count: u64) {
        self.tree.forget(id, count);
    }

    /// The inode and its attributes, with the lookup counted.
    pub(super) fn counted(&self, inode: Arc<Inode>) -> Entry {
        self.tree.looked_up(inode.id);
        self.entry(inode)
    }

    pub(super) fn entry(&self, inode: Arc<Inode>) -> Entry {
        let ttl = self.options.metadata_ttl;
        let (age, only_here) = {
            let state = inode.state();
            (state.age(), state.version.is_none() && state.draft.is_some())
        };
        let valid_for = match age {
            // Should its commit fail, the name is gone at once.
            Some(_) if only_here => Duration::ZERO,
            Some(age) => ttl.saturating_sub(age),
            // Nobody else tells of the root.
            None if inode.id == InodeId::ROOT => ttl,
            None => Duration::ZERO,
        };
        Entry { attr: inode.attr(), inode, valid_for }
    }

    /// The inode under a name, as fresh as the mount's time allows.
    pub(super) async fn resolve(&self, directory: &Arc<Inode>, name: &str) -> Result<Option<Arc<Inode>>> {
        if key::is_reserved(name) {
            return Ok(None);
        }
        let known = self.tree.child(directory.id, name);
        if let Some(inode) = known.as_ref().filter(|inode| self.is_fresh(inode)) {
            self.lookups.hit();
            return Ok(Some(Arc::clone(inode)));
        }
        match self.find(directory, name).await? {
            Some(found) => self.admit(directory, name, found).await.map(Some),
            None => Ok(self.not_found(directory, name)),
        }
    }

    fn is_fresh(&self, inode: &Inode) -> bool {
        inode.state().age().is_some_and(|age| age < self.options.metadata_ttl)
    }

    /// The bucket has nothing under a name. What this mount has put there meanwhile stays.
    fn not_found(&self, directory: &Inode, name: &str) -> Option<Arc<Inode>> {
        let known = self.tree.child(directory.id, name)?;
        let ours = known.state().is_ahead() || self.is_fresh(&known) || self.has_ahead_below(&known);
        if ours {
            return Some(known);
        }
        self.tree.unlink(directory.id, name);
        None
    }

    /// Whether something that the bucket does not have yet is to come below a directory.
    fn has_ahead_below(&self, inode: &Inode) -> bool {
        let is_ahead = |below: &Arc<Inode>| {
            below.id != inode.id && below.state().draft.is_some() && self.tree.is_below(below.id, inode.id)
        };
        inode.kind == Kind::Directory && self.tree.all().iter().any(is_ahead)
    }

    /// What the bucket has under a name.
    async fn find(&self, directory: &Arc<Inode>, name: &str) -> Result<Option<Found>> {
        for listed_again in [false, true] {
            match self.remembered(directory, name) {
                Remembered::Entry(seen, asked) => {
                    self.answered(listed_again);
                    let seen = self.with_metadata(directory, name, seen).await?;
                    return Ok(seen.map(|seen| Found { seen, headers: None, marker: None, asked }));
                }
                Remembered::Absent => {
                    self.answered(listed_again);
                    return Ok(None);
                }
                Remembered::Unknown if listed_again || !self.list_for_lookups(directory).await? => break,
                Remembered::Unknown => {}
            }
        }
        self.lookups.miss();
        let asked = clock::monotonic();
        let changes = directory.state().directory.changes;
        let found = self.ask(&format!("{}{name}", self.key_of(directory)?)).await?;
        let mut state = directory.state();
        // A program that makes or moves something to a name looks first, and the kernel once more.
        if found.is_none() && state.directory.changes == changes {
            state.directory.absent = Some((name.into(), asked));
        }
        drop(state);
        Ok(found)
    }

    /// A name was answered by what is remembered of its directory, listed for it if `listed`.
    fn answered(&self, listed: bool) {
        if listed { self.lookups.miss() } else { self.lookups.hit() }
    }

    /// Asks the bucket for one key, as an object and as a directory, in one round.
    pub(super) async fn ask(&self, key: &str) -> Result<Option<Found>> {
        let asked = clock::monotonic();
        let below = ListObjects { prefix: format!("{key}/"), limit: Some(1), ..ListObjects::default() };
        let (object, below) = futures_util::join!(self.store.head_object(key), self.store.list_objects(&below));
        let below = below?;
        let first = below.objects.first().map(|object| &object.key);
        if first.is_some() || !below.prefixes.is_empty() {
            let marker = first.is_some_and(|first| first.len() == key.len() + 1);
            return Ok(Some(Found { seen: Seen::Directory, headers: None, marker: Some(marker), asked }));
        }
        match object {
            Ok(object) => Ok(Some(found(object, asked))),
            Err(error) if error.kind == StoreKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A listed entry together with its metadata, which are asked for if nobody knows them. `None` if it went meanwhile.
    async fn with_metadata(&self, directory: &Arc<Inode>, name: &str, seen: Seen) -> Result<Option<Seen>> {
        let Seen::Object(version, None) = &seen else { return Ok(Some(seen)) };
        if !self.keeps_attributes() {
            return Ok(Some(seen));
        }
        let prefix = self.key_of(directory)?;
        if let Some(posix) = self.known_metadata(&format!("{prefix}{name}"), version) {
            return Ok(Some(Seen::Object(version.clone(), Some(posix))));
        }
        let mut wanted = vec![Arc::from(name)];
        wanted.extend(self.scanned_next(directory, name));
        let answers: Vec<_> = stream::iter(wanted)
            .map(|name: Arc<str>| {
                let key = format!("{prefix}{name}");
                async move { (name, self.store.head_object(&key).await) }
            })
            .buffer_unordered(HEADS_AT_ONCE)
            .collect()
            .await;
        let mut own = None;
        for (answered, object) in answers {
            let object = match object {
                Ok(object) => object,
                Err(error) if &*answered == name && error.kind != StoreKind::NotFound => return Err(error.into()),
                Err(_) => continue,
            };
            let seen = found(object, clock::monotonic()).seen;
            if let Seen::Object(version, Some(posix)) = &seen {
                self.learn(format!("{prefix}{answered}"), version, *posix);
            }
            if &*answered == name {
                own = Some(seen);
            }
        }
        if let Some(listing) = &mut directory.state().directory.listing
            && let (Some(seen), Some(entry)) = (&own, listing.entries.get_mut(name))
        {
            entry.clone_from(seen);
        }
        Ok(own)
    }

    /// A program that looks at one entry after the other will want the next ones too.
    fn scanned_next(&self, directory: &Inode, name: &str) -> Vec<Arc<str>> {
        let mut state = directory.state();
        let known_before = state.directory.scanned.replace(name.into());
        let Some(listing) = &state.directory.listing else { return Vec::new() };
        let goes_on = known_before.is_some_and(|before| *before < *name);
        if !goes_on {
            return Vec::new();
        }
        let after = listing.entries.range::<str, _>((Bound::Excluded(name), Bound::Unbounded));
        let objects = after.filter(|(_, seen)| matches!(seen, Seen::Object(_, None)));
        objects.take(HEADS_AT_ONCE - 1).map(|(name, _)| Arc::clone(name)).collect()
    }

    pub(super) fn known_metadata(&self, key: &str, version: &Version) -> Option<Posix> {
        self.metadata.get(key, &self.validator_of(version))
    }

    /// Remembers what listings do not tell.
    pub(super) fn learn(&self, key: String, version: &Version, posix: Posix) {
        if !self.store.facts().listing_metadata || !self.keeps_attributes() {
            self.metadata.put(key, self.validator_of(version), posix);
        }
    }

    /// The same for a directory that has no version, in a store that keeps no attributes.
    pub(super) fn learn_directory(&self, key: &str, posix: Posix) {
        if !self.keeps_attributes() {
            self.metadata.put(key.to_owned(), no_version(), posix);
        }
    }

    /// Where only this mount knows the attributes, they hold for the contents, whatever the store says of times.
    fn validator_of(&self, version: &Version) -> Validator {
        let last_modified = if self.keeps_attributes() { version.last_modified } else { UNIX_EPOCH };
        Validator { last_modified, ..validator(version) }
    }

    /// What was found, with the attributes that only this mount knows.
    fn with_remembered<'a>(&self, parent: InodeId, name: &str, found: &'a Found) -> Cow<'a, Found> {
        match &found.seen {
            Seen::Object(version, _) if !self.keeps_attributes() => {
                let prefix = self.tree.get(parent).ok().and_then(|parent| self.tree.key(&parent));
                let known = prefix.and_then(|prefix| self.known_metadata(&format!("{prefix}{name}"), version));
                let seen = Seen::Object(version.clone(), Some(known.unwrap_or_default()));
                Cow::Owned(Found { seen, ..found.clone() })
            }
            Seen::Object(..) | Seen::Directory => Cow::Borrowed(found),
        }
    }

    /// Makes the tree agree with what was found, unless this mount knows better.
    pub(super) async fn admit(&self, directory: &Arc<Inode>, name: &str, found: Found) -> Result<Arc<Inode>> {
        let inode = self.admit_seen(directory.id, name, &found);
        let described = inode.state().directory.described;
        if inode.kind == Kind::Directory && !described {
            self.describe_directory(&inode, found.marker).await?;
        }
        Ok(inode)
    }

    /// As [`admit`](Self::admit), without the marker of a directory.
    pub(super) fn admit_seen(&self, parent: InodeId, name: &str, found: &Found) -> Arc<Inode> {
        let found = &*self.with_remembered(parent, name, found);
        let mut attr = self.attr_of(&found.seen);
        if let Seen::Object(_, None) = &found.seen
            && let Some(known) = self.tree.child(parent, name).filter(|known| known.kind != Kind::Directory)
        {
            // A listing alone does not tell a symbolic link from a file.
            attr.kind = known.kind;
        }
        let inode = self.tree.intern(parent, name, || attr.clone());
        match self.merge(&inode, &attr, found) {
            Merged::Done => inode,
            // Open handles keep the version that they read, with its size and its pages; the name gets an inode of its own.
            Merged::InUse => {
                let inode = self.tree.replace(parent, name, attr.clone());
                self.merge(&inode, &attr, found);
                inode
            }
        }
    }

    fn merge(&self, inode: &Inode, attr: &Attr, found: &Found) -> Merged {
        let mut state = inode.state();
        if state.is_ahead() || state.changed.is_some_and(|changed| changed >= found.asked) {
            return Merged::Done;
        }
        match &found.seen {
            Seen::Directory => state.directory.marker = found.marker.or(state.directory.marker),
            Seen::Object(version, posix) => {
                let known = state.version.clone();
                let same_bytes = |known: &Version| known.etag == version.etag && known.size == version.size;
                if known.as_ref().is_some_and(|known| !same_bytes(known)) && state.readers > 0 {
                    return Merged::InUse;
                }
                let same = known.is_some_and(|known| validator(&known) == validator(version));
                if !same {
                    state.headers = KnownHeaders::Nothing;
                    state.aliases.clear();
                }
                if !same || posix.is_some() {
                    let mtime = state.attr.mtime;
                    state.attr = attr.clone();
                    if same && posix.is_none_or(|posix| posix.mtime.is_none()) {
                        // Listings tell fractions of seconds and headers do not: the kernel would take it for a change, and
                        // drop the pages.
                        state.attr.mtime = mtime;
                    }
                    state.mtime_set = posix.is_some_and(|posix| posix.mtime.is_some());
                    state.without_xattrs = posix.is_some_and(|posix| !posix.xattrs);
                    state.target_in_metadata = posix.is_some_and(|posix| posix.target_bytes.is_some());
                }
                state.becomes(version.clone());
                if let Some(headers) = &found.headers {
                    state.headers = KnownHeaders::of(inode.kind, headers.clone());
                }
                if posix.is_none() && !(same && state.checked.is_some()) {
                    // A listing alone does not tell mode, owner and times.
                    state.checked = None;
                    return Merged::Done;
                }
            }
        }
        state.checked = Some(found.asked);
        Merged::Done
    }

    /// The attributes of a directory that its marker keeps.
    pub(super) async fn describe_directory(&self, inode: &Inode, marker: Option<bool>) -> Result<()> {
        let key = self.key_of(inode)?;
        let told = match marker {
            Some(false) => None,
            None if self.listings_tell_all() => {
                let listed = self.listed_marker(inode).await?;
                listed.map(|marker| (marker.last_modified, marker.metadata.unwrap_or_default(), KnownHeaders::Nothing))
            }
            Some(true) | None => match self.store.head_object(&key).await {
                Ok(object) => {
                    let metadata = object.headers.metadata.clone();
                    Some((object.last_modified, metadata, KnownHeaders::of(inode.kind, object.headers)))
                }
                Err(error) if error.kind == StoreKind::NotFound => None,
                Err(error) => return Err(error.into()),
            },
        };
        let known = if self.keeps_attributes() { None } else { self.metadata.get(&key, &no_version()) };
        let mut state = inode.state();
        state.directory.described = true;
        state.directory.marker = Some(told.is_some());
        if let (Some(known), false) = (known, state.is_ahead()) {
            state.attr = apply(state.attr.clone(), &known);
        } else if let (Some((last_modified, metadata, headers)), false) = (told, state.is_ahead()) {
            let posix = Posix::parse(&metadata);
            let defaults = self.options.default_attr(Kind::Directory, last_modified);
            state.attr = apply(defaults, &posix);
            state.without_xattrs = !posix.xattrs;
            state.headers = headers;
        }
        Ok(())
    }

    pub(super) fn attr_of(&self, seen: &Seen) -> Attr {
        match seen {
            Seen::Directory => self.options.default_attr(Kind::Directory, self.root().attr().mtime),
            Seen::Object(version, posix) => {
                let posix = posix.unwrap_or_default();
                let mut attr = self.options.default_attr(posix.kind(), version.last_modified);
                attr.size = posix.target_bytes.map_or(version.size, u64::from);
                apply(attr, &posix)
            }
        }
    }
}

enum Merged {
    Done,
    InUse,
}

/// What HEAD told, as an entry.
pub(super) fn found(object: Object, asked: Instant) -> Found {
    let posix = Posix::parse(&object.headers.metadata);
    let version = Version { etag: object.etag, size: object.size, last_modified: object.last_modified };
    Found { seen: Seen::Object(version, Some(posix)), headers: Some(object.headers), marker: None, asked }
}

pub(super) fn validator(version: &Version) -> Validator {
    let Version { etag, size, last_modified } = version.clone();
    Validator { etag, size, last_modified }
}

/// Stands for the version of a directory, which has none.
fn no_version() -> Validator {
    Validator { etag: ETag::new(""), size: 0, last_modified: UNIX_EPOCH }
}

/// Attributes as they are told with an object, where they are.
pub(super) fn apply(mut attr: Attr, posix: &Posix) -> Attr {
    attr.permissions = posix.mode.map_or(attr.permissions, |mode| mode & PERMISSION_MASK);
    attr.uid = posix.uid.unwrap_or(attr.uid);
    attr.gid = posix.gid.unwrap_or(attr.gid);
    // What says nothing of the last change of its attributes was last changed when it was stored.
    attr.ctime = posix.ctime.unwrap_or(attr.ctime);
    attr.mtime = posix.mtime.unwrap_or(attr.mtime);
    attr.atime = posix.atime.or(posix.mtime).unwrap_or(attr.atime);
    attr
}
