//! Set-id bits: who loses them by writing, and which groups new files get from their directories.
//!
//! The kernel checks permissions and clears these bits at `chown` and `truncate`. At writes that go past its page cache,
//! and at an open that truncates, it leaves that to the file system.

use crate::vfs::Vfs;
use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::setattr::Changes;
use std::sync::Arc;

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;

impl Vfs {
    /// A user writes through a handle: unless it is root, the file does not run as its owner or group any more.
    pub fn written_by(self: &Arc<Self>, uid: u32, handle: HandleId) {
        if uid != 0
            && let Ok(file) = self.handles.file(handle)
        {
            self.clear_set_id(&file.inode);
        }
    }

    /// The same for a file that a user opens and empties.
    pub fn emptied_by(self: &Arc<Self>, uid: u32, id: InodeId) {
        if uid != 0
            && let Ok(inode) = self.tree.get(id)
        {
            self.clear_set_id(&inode);
        }
    }

    fn clear_set_id(self: &Arc<Self>, inode: &Arc<Inode>) {
        let permissions = inode.state().attr.permissions;
        let cleared = without_set_id(permissions);
        if cleared != permissions {
            self.change(inode, &Changes { permissions: Some(cleared), ..Changes::default() });
        }
    }
}

/// Without execution by the group, the bit for it means mandatory locking, and stays.
fn without_set_id(permissions: u32) -> u32 {
    let group = if permissions & GROUP_EXECUTE == 0 { 0 } else { SET_GID };
    permissions & !(SET_UID | group)
}

/// What is new in a directory with the bit for groups belongs to the directory's group, and new directories pass that on.
#[must_use]
pub fn inherit(mut attr: Attr, directory: &Attr) -> Attr {
    if directory.permissions & SET_GID != 0 {
        attr.gid = directory.gid;
        attr.permissions |= if attr.kind == Kind::Directory { SET_GID } else { 0 };
    }
    attr
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Options;
    use std::time::UNIX_EPOCH;

    #[test]
    fn writing_takes_the_bits_away_that_let_a_file_run_as_somebody_else() {
        let rows = [
            (0o4755, 0o755, "its owner"),
            (0o2755, 0o755, "its group"),
            (0o6711, 0o711, "both"),
            (0o2644, 0o2644, "nobody could run it as its group"),
            (0o4644, 0o644, "the owner's goes in any case"),
            (0o1777, 0o1777, "another bit"),
        ];
        for (before, after, why) in rows {
            assert_eq!(without_set_id(before), after, "{before:o}: {why}");
        }
    }

    #[test]
    fn directories_pass_their_group_on() {
        let attr =
            |kind, permissions, gid| Attr { permissions, gid, ..Options::default().default_attr(kind, UNIX_EPOCH) };
        let rows = [
            (0o755, Kind::File, 0o644, 1, 0o644, 1, "an ordinary directory"),
            (0o2755, Kind::File, 0o644, 1, 0o644, 9, "a file"),
            (0o2755, Kind::Directory, 0o755, 1, 0o2755, 9, "a directory"),
            (0o2755, Kind::Symlink, 0o777, 1, 0o777, 9, "a symbolic link"),
        ];
        for (above, kind, permissions, gid, want, want_gid, why) in rows {
            let new = inherit(attr(kind, permissions, gid), &attr(Kind::Directory, above, 9));
            assert_eq!((new.permissions, new.gid), (want, want_gid), "{why}");
        }
    }
}
