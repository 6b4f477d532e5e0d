//! What is known of one file or directory. Where it hangs in the tree is the tree's affair.

use crate::base::clock;
use crate::reader;
use crate::store::ETag;
use crate::store::Headers;
use crate::store::Metadata;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::attr::PERMISSION_MASK;
use crate::vfs::attr::Posix;
use crate::vfs::error::Error;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::known::Note;
use crate::vfs::listing::Listing;
use crate::vfs::notes::Notes;
use crate::vfs::signed_time;
use crate::vfs::xattr;
use crate::writer::draft::Draft;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// Names an inode for the kernel. Only grows, so a stale id never names a newer file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InodeId(pub u64);

impl InodeId {
    /// The root, by FUSE's convention.
    pub const ROOT: Self = Self(1);
}

/// A committed version of a file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Its tag.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// When the store wrote it.
    #[serde(with = "signed_time")]
    pub last_modified: SystemTime,
}

/// One file or directory.
pub struct Inode {
    /// Its number.
    pub id: InodeId,
    /// What it is; never changes.
    pub kind: Kind,
    /// Held while the object behind it is replaced, moved or removed, so that such changes follow each other.
    pub changing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

/// The changing part of an inode.
pub struct State {
    /// As programs see it, but for the size of a file that is being written, which its draft knows.
    pub attr: Attr,
    /// What is in the bucket; `None` for a file that is not there yet, and for directories. Set by
    /// [`becomes`](Self::becomes).
    pub version: Option<Version>,
    /// What is known of the object's headers.
    pub headers: KnownHeaders,
    /// When the bucket last confirmed this.
    pub checked: Option<Instant>,
    /// When this mount last changed it; what the bucket was asked before that is old.
    pub changed: Option<Instant>,
    /// The version that is being written. Set by [`begin`](Self::begin).
    pub draft: Option<Draft>,
    /// Whether that version must not replace an object that is there (`O_EXCL`).
    pub exclusive: bool,
    /// The version that it goes on from, and must still be there when it is committed.
    pub follows: Option<ETag>,
    /// Why handles that were open for writing when a commit failed can write no more.
    pub broken: Option<Error>,
    /// Open handles that may write.
    pub writers: usize,
    /// Open handles that read only.
    pub readers: usize,
    /// Whether the modification time was set by a program, or follows from the last write.
    pub mtime_set: bool,
    /// Whether attributes were changed that the bucket does not have.
    pub deferred: bool,
    /// The headers that went with the request that fixed those of the draft.
    pub described: Option<Box<Headers>>,
    /// Whether a task will soon store changed attributes.
    pub scheduled: bool,
    /// Tags under which the same contents were known: a copy of an object of several parts has another tag.
    pub aliases: Vec<ETag>,
    /// Whether it was removed; what is left serves open handles only.
    pub gone: bool,
    /// The version whose pages the kernel may still hold.
    pub kept: Option<ETag>,
    /// What is known of a directory's contents.
    pub directory: Directory,
    /// Files whose versions being written take bytes from this one's object.
    pub borrowers: Vec<Weak<Inode>>,
    /// Whether nobody can read what is written from now on: its name is gone, and no handle reads it.
    pub unread: bool,
    /// Extended attributes that were changed and that the bucket does not have.
    pub xattrs: xattr::Changes,
    /// Whether a listing has told that the object has no extended attributes; otherwise its headers tell.
    pub without_xattrs: bool,
    /// Whether metadata, not the bytes, hold the target of a symbolic link.
    pub target_in_metadata: bool,
    /// Whether the bucket still has what a file had under this name that this one has replaced, and will overwrite when it
    /// is committed.
    pub covers: bool,
    /// When the journal was last told of a version that is being written.
    pub sealed_at: Option<Instant>,
    /// When it was first told of what the bucket does not have.
    pub waits_since: Option<Instant>,
    /// Whether a task will store what is sealed.
    pub leaving: bool,
    /// Whether all that is known of it comes from a process that served the mount before: the bucket is to be asked first.
    pub inherited: bool,
    /// Whether the journal has all of the version that is being written.
    clean: bool,
    noted: Noted,
}

/// Where notes of an inode go.
struct Noted {
    id: InodeId,
    notes: Arc<Notes>,
}

/// What is known of a directory beyond its attributes.
#[derive(Default)]
pub struct Directory {
    /// Whether an object stands for it, so that it stays when its last entry goes.
    pub marker: Option<bool>,
    /// All its entries, as of some moment.
    pub listing: Option<Listing>,
    /// Grows with each change that this mount makes in it.
    pub changes: u64,
    /// Lookups that were answered by requests of their own since the last listing.
    pub lookups: u32,
    /// The entry whose metadata were asked for last.
    pub scanned: Option<Arc<str>>,
    /// Too large to be listed for the sake of a lookup.
    pub large: bool,
    /// Whether its attributes came from its marker.
    pub described: bool,
    /// When this mount last took a name out of it.
    pub removed: Option<Instant>,
    /// The name that was found to lead to nothing last, and when the bucket was asked.
    pub absent: Option<(Arc<str>, Instant)>,
    /// Whether its times have changed with its entries since its marker was written.
    pub touched: bool,
    /// Whether a task will store them.
    pub touch_scheduled: bool,
}

impl Inode {
    /// An inode of which only the attributes are known. What another process must know of it goes to `notes`.
    #[must_use]
    pub fn new(id: InodeId, attr: Attr, notes: &Arc<Notes>) -> Arc<Self> {
        let kind = attr.kind;
        let state = State {
            attr,
            version: None,
            headers: KnownHeaders::Nothing,
            checked: None,
            changed: None,
            draft: None,
            exclusive: false,
            follows: None,
            broken: None,
            writers: 0,
            readers: 0,
            mtime_set: false,
            deferred: false,
            described: None,
            scheduled: false,
            aliases: Vec::new(),
            gone: false,
            kept: None,
            directory: Directory::default(),
            borrowers: Vec::new(),
            unread: false,
            xattrs: xattr::Changes::new(),
            without_xattrs: false,
            target_in_metadata: false,
            covers: false,
            sealed_at: None,
            waits_since: None,
            leaving: false,
            inherited: false,
            clean: false,
            noted: Noted { id, notes: Arc::clone(notes) },
        };
        Arc::new(Self { id, kind, changing: tokio::sync::Mutex::new(()), state: Mutex::new(state) })
    }

    /// Its changing part. Never held over a wait. A panic while it is held costs the request that broke, not the file: its
    /// fields are set one by one, and each is whole.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its attributes now.
    #[must_use]
    pub fn attr(&self) -> Attr {
        let state = self.state();
        let mut attr = state.attr.clone();
        if let Some(draft) = &state.draft {
            attr.size = draft.size();
        }
        attr
    }
}

impl State {
    /// Whether the bucket does not have what programs see.
    #[must_use]
    pub fn is_ahead(&self) -> bool {
        self.draft.is_some() || self.deferred
    }

    /// Another version is being written from now on; answers with the one before.
    pub fn begin(&mut self, draft: Draft) -> Option<Draft> {
        self.noted.notes.note(&Note::Dirty(self.noted.id));
        self.clean = false;
        self.draft.replace(draft)
    }

    /// The journal has all of the version that is being written.
    pub fn sealed(&mut self) {
        self.clean = true;
        self.noted.notes.note(&Note::Dropped(self.noted.id));
    }

    /// The bucket has this version.
    pub fn becomes(&mut self, version: Version) {
        if self.readers + self.writers > 0 {
            self.noted.notes.note(&Note::Version(self.noted.id, version.clone()));
        }
        self.version = Some(version);
    }

    /// The version that was being written is in the bucket: this one.
    pub fn committed(&mut self, version: Version) {
        self.noted.notes.note(&Note::Stored(self.noted.id, version.clone()));
        (self.version, self.draft) = (Some(version), None);
    }

    /// The last handle that had to know of bytes that are lost is gone.
    pub fn forgive(&mut self) {
        self.broken = None;
        if self.draft.is_none() {
            self.noted.notes.note(&Note::Dropped(self.noted.id));
        }
    }

    /// Somebody opens the file, and reads and continues the version that is known.
    pub fn opened(&mut self) {
        if let Some(version) = self.version.clone() {
            self.noted.notes.note(&Note::Version(self.noted.id, version));
        }
    }

    /// The contents have just changed, and with them their time.
    pub fn written_now(&mut self) {
        let now = clock::now();
        (self.attr.mtime, self.attr.ctime, self.mtime_set) = (now, now, false);
        if std::mem::take(&mut self.clean) {
            self.noted.notes.note(&Note::Dirty(self.noted.id));
        }
    }

    /// This mount has just put into the bucket what is known here.
    pub fn stored_now(&mut self) {
        let now = clock::monotonic();
        (self.changed, self.checked) = (Some(now), Some(now));
    }

    /// The committed version under its key, for a reader to be pinned to.
    #[must_use]
    pub fn readable(&self, key: String) -> Option<reader::stream::Version> {
        let Version { etag, size, .. } = self.version.clone()?;
        Some(reader::stream::Version { key, etag, size })
    }

    /// How long ago the bucket confirmed all of this; nothing for what only this mount knows, `None` if it never did.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        if self.is_ahead() {
            return Some(Duration::ZERO);
        }
        let complete = self.attr.kind != Kind::Directory || self.directory.described;
        self.checked.filter(|_| complete).map(|checked| checked.elapsed())
    }

    /// The object has this metadata now. Says whether extended attributes were changed since that was sent.
    pub fn xattrs_stored(&mut self, sent: &Metadata) -> bool {
        let mut wanted = sent.clone();
        xattr::apply(&mut wanted, &self.xattrs);
        let changed = wanted != *sent;
        if !changed {
            self.xattrs.clear();
        }
        self.without_xattrs = false;
        changed
    }

    /// The attributes that belong into the bucket. The time of the last write is known only when there is no more to come.
    #[must_use]
    pub fn posix(&self, with_mtime: bool) -> Posix {
        Posix {
            mode: Some(self.attr.kind.type_bits() | (self.attr.permissions & PERMISSION_MASK)),
            uid: Some(self.attr.uid),
            gid: Some(self.attr.gid),
            mtime: (self.mtime_set || with_mtime).then_some(self.attr.mtime),
            atime: Some(self.attr.atime),
            ctime: with_mtime.then_some(self.attr.ctime),
            device: self.attr.kind.device(),
            ..Posix::default()
        }
    }
}
