//! The numbers of the kernel as those of the tree, and what most operations answer. What an answer of attributes
//! holds is in `attr.rs`.

use crate::fuse::attr::file_attr;
use crate::vfs::Entry;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::InodeId;
use crate::vfs::open::Owner;
use fuser::FileHandle;
use fuser::Generation;
use fuser::INodeNo;
use fuser::ReplyAttr;
use fuser::ReplyEmpty;
use fuser::ReplyEntry;
use fuser::Request;

/// Inode numbers are never used twice, so all are of one generation.
pub const GENERATION: Generation = Generation(0);

/// The tree's number of an inode: the kernel's, as we gave it.
pub fn inode(number: INodeNo) -> InodeId {
    InodeId(number.0)
}

/// The handle that an open descriptor was given.
pub fn handle(handle: FileHandle) -> HandleId {
    HandleId(handle.0)
}

/// Whose a new file is to be, and its permissions.
pub fn owner(request: &Request, mode: u32) -> Owner {
    Owner { uid: request.uid(), gid: request.gid(), permissions: mode }
}

/// An entry, with how long the kernel may believe it.
pub fn answer_entry(reply: ReplyEntry, entry: Entry) {
    reply.entry(&entry.valid_for, &file_attr(&entry), GENERATION);
}

/// Attributes, with how long the kernel may believe them.
pub fn answer_attr(reply: ReplyAttr, entry: Entry) {
    reply.attr(&entry.valid_for, &file_attr(&entry));
}

/// Done.
pub fn answer_empty(reply: ReplyEmpty, (): ()) {
    reply.ok();
}
