//! Extended attributes between our types and FUSE's.

use crate::vfs::extended::Expected;
use fuser::Errno;
use fuser::ReplyXattr;

/// `XATTR_CREATE` of `setxattr(2)`.
const CREATE: i32 = 1;
/// `XATTR_REPLACE` of `setxattr(2)`.
const REPLACE: i32 = 2;

/// What a program expects to be there. Both flags together never reach a file system as one that could be met.
#[must_use]
pub fn expected(flags: i32) -> Expected {
    match flags & (CREATE | REPLACE) {
        CREATE => Expected::Absent,
        REPLACE => Expected::Present,
        _ => Expected::Any,
    }
}

/// Answers with a value, or with its length if the program has no buffer yet.
pub fn answer_value(reply: ReplyXattr, size: u32, value: &[u8]) {
    let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
    match size {
        0 => reply.size(len),
        _ if len > size => reply.error(Errno::ERANGE),
        _ => reply.data(value),
    }
}

/// The same with names, each of which ends with a zero byte.
pub fn answer_names(reply: ReplyXattr, size: u32, names: &[String]) {
    let list: Vec<u8> = names.iter().flat_map(|name| name.bytes().chain([0])).collect();
    answer_value(reply, size, &list);
}
