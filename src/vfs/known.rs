//! What the kernel holds of a mount, for a process that takes the mount over: inodes by their numbers, open handles, and
//! which files have bytes that only the process has. Pure: a fold over the notes that [`notes`](crate::vfs::notes) keeps.

use crate::vfs::attr::Kind;
use crate::vfs::handle::Access;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::InodeId;
use crate::vfs::inode::Version;
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
    /// The largest number that an inode has had.
    pub last_inode: u64,
    /// The largest number that a handle has had.
    pub last_handle: u64,
}

impl Known {
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
        }
    }
}

#[cfg(test)]
mod tests;
