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

pub fn inode(number: INodeNo) -> InodeId {
    InodeId(number.0)
}

pub fn handle(handle: FileHandle) -> HandleId {
    HandleId(handle.0)
}

pub fn owner(request: &Request, mode: u32) -> Owner {
    Owner { uid: request.uid(), gid: request.gid(), permissions: mode }
}

pub fn answer_entry(reply: ReplyEntry, entry: Entry) {
    reply.entry(&entry.valid_for, &file_attr(&entry), GENERATION);
}

pub fn answer_attr(reply: ReplyAttr, entry: Entry) {
    reply.attr(&entry.valid_for, &file_attr(&entry));
}

pub fn answer_empty(reply: ReplyEmpty, (): ()) {
    reply.ok();
}
