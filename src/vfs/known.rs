//! What the kernel holds of a mount, for a process that takes the mount over: inodes by their numbers, open handles, and
//! which files have bytes that only the process has. Pure: a fold over the notes that [`notes`](crate::vfs::notes) keeps.

use crate::store::ETag;
use crate::store::Headers;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::handle::Access;
use crate::vfs::handle::HandleId;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
use crate::vfs::xattr;
use crate::writer::stream::Handed;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// One change of what the kernel holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Note {
    /// The inode hangs there.
    Named {
        /// Which.
        id: InodeId,
        /// Where it hangs.
        place: Place,
    },
    /// Its name is gone.
    Unlinked(InodeId),
    /// What is left of a file without a name has this key.
    Hidden(InodeId, String),
    /// The kernel was told of it once more.
    LookedUp(InodeId),
    /// The kernel has dropped so many lookups.
    Forgot(InodeId, u64),
    /// Nobody knows it any more.
    Forgotten(InodeId),
    /// A file was opened.
    Opened(HandleId, OpenFile),
    /// A directory was opened.
    OpenedDirectory(HandleId, InodeId),
    /// It was closed.
    Closed(HandleId),
    /// What open handles read is this version.
    Version(InodeId, Version),
    /// It has bytes that are not in the bucket.
    Dirty(InodeId),
    /// It has none: this version is in the bucket.
    Stored(InodeId, Version),
    /// It has none: they were given up, and no handle is left that would have to know.
    Dropped(InodeId),
    /// The process that has its bytes ends on purpose: here they are.
    Handed(InodeId, Box<Writing>),
    /// Likewise, who writes through a handle.
    Writer(HandleId, Writer),
    /// All that was handed over has been taken.
    Taken,
}

/// A file that is being written, with all that its commit depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writing {
    /// Its attributes.
    pub attr: Attr,
    /// Whether a program has set the time of its last change.
    pub mtime_set: bool,
    /// Whether it must not replace an object.
    pub exclusive: bool,
    /// The version that it goes on from.
    pub follows: Option<ETag>,
    /// Whether the bucket has what another file had under its name.
    pub covers: bool,
    /// The headers that its upload was begun with.
    pub described: Option<Box<Headers>>,
    /// What is known of the headers of the version before.
    pub headers: KnownHeaders,
    /// Extended attributes that the bucket does not have.
    pub xattrs: xattr::Changes,
    /// Its bytes, and what was done with them.
    pub stream: Handed,
}

/// Who writes through a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Whether anything was written.
    pub wrote: bool,
    /// The thread that wrote last.
    pub thread: u32,
    /// Its process.
    pub process: u32,
}

/// Where an inode hangs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The directory that holds it.
    pub parent: InodeId,
    /// Its name there.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// An open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    /// The file.
    pub id: InodeId,
    /// What it may be used for.
    pub access: Access,
}

/// An inode that the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownInode {
    /// Where it hangs, or last hung.
    pub place: Place,
    /// Whether its name leads to it.
    pub linked: bool,
    /// How often the kernel was told of it.
    pub lookups: u64,
}

/// All that the kernel holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Inodes that it knows, and the directories above them; not the root.
    pub inodes: BTreeMap<InodeId, KnownInode>,
    /// Keys of what is left of files without a name.
    pub hidden: BTreeMap<InodeId, String>,
    /// The versions of files that are, or were, open.
    pub versions: BTreeMap<InodeId, Version>,
    /// Files with bytes that are not in the bucket.
    pub dirty: BTreeSet<InodeId>,
    /// Open files.
    pub files: BTreeMap<HandleId, OpenFile>,
    /// Open directories.
    pub directories: BTreeMap<HandleId, InodeId>,
    /// Files that are being written, as the process handed them over that wrote them.
    pub handed: BTreeMap<InodeId, Writing>,
    /// Likewise, who writes.
    pub writers: BTreeMap<HandleId, Writer>,
    /// The largest number that an inode has had.
    pub last_inode: u64,
    /// The largest number that a handle has had.
    pub last_handle: u64,
}

impl Known {
    /// Whether bytes of a file are lost: a process had them, and has not handed them over.
    #[must_use]
    pub fn is_lost(&self, id: InodeId) -> bool {
        self.dirty.contains(&id) && !self.handed.contains_key(&id)
    }

    /// What it is after a change. A note of something that is not known changes nothing.
    pub fn apply(&mut self, note: Note) {
        match note {
            Note::Named { id, place } => {
                self.last_inode = self.last_inode.max(id.0);
                let lookups = self.inodes.get(&id).map_or(0, |known| known.lookups);
                self.inodes.insert(id, KnownInode { place, linked: true, lookups });
            }
            Note::Unlinked(id) => {
                if let Some(known) = self.inodes.get_mut(&id) {
                    known.linked = false;
                }
            }
            Note::Hidden(id, key) => drop(self.hidden.insert(id, key)),
            Note::LookedUp(id) => {
                if let Some(known) = self.inodes.get_mut(&id) {
                    known.lookups += 1;
                }
            }
            Note::Forgot(id, count) => {
                if let Some(known) = self.inodes.get_mut(&id) {
                    known.lookups = known.lookups.saturating_sub(count);
                }
            }
            Note::Forgotten(id) => {
                self.inodes.remove(&id);
                self.hidden.remove(&id);
                self.versions.remove(&id);
                self.dirty.remove(&id);
            }
            Note::Opened(handle, file) => {
                self.last_handle = self.last_handle.max(handle.0);
                self.files.insert(handle, file);
            }
            Note::OpenedDirectory(handle, id) => {
                self.last_handle = self.last_handle.max(handle.0);
                self.directories.insert(handle, id);
            }
            Note::Closed(handle) => {
                self.files.remove(&handle);
                self.directories.remove(&handle);
            }
            Note::Version(id, version) => drop(self.versions.insert(id, version)),
            Note::Dirty(id) => drop(self.dirty.insert(id)),
            Note::Stored(id, version) => {
                self.versions.insert(id, version);
                self.dirty.remove(&id);
            }
            Note::Dropped(id) => drop(self.dirty.remove(&id)),
            Note::Handed(id, writing) => drop(self.handed.insert(id, *writing)),
            Note::Writer(handle, writer) => drop(self.writers.insert(handle, writer)),
            Note::Taken => {
                self.handed.clear();
                self.writers.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests;
