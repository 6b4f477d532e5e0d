//! Attributes and flags between our types and FUSE's.

use crate::vfs::Entry;
use crate::vfs::attr::DeviceNumber;
use crate::vfs::attr::Kind;
use crate::vfs::handle::Access;
use crate::vfs::length::Allocation;
use crate::vfs::open::How;
use crate::vfs::open::Pages;
use fuser::FileAttr;
use fuser::FileType;
use fuser::FopenFlags;
use fuser::INodeNo;
use fuser::OpenAccMode;
use fuser::OpenFlags;
use fuser::TimeOrNow;
use fuser::WriteFlags;
use rustix::fs::FallocateFlags;
use rustix::fs::OFlags;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Bytes that programs are told to read and write at once: what one request carries.
pub const BLOCK_BYTES: u32 = 1 << 20;

/// The attributes as the kernel wants them.
#[must_use]
pub fn file_attr(entry: &Entry) -> FileAttr {
    let attr = &entry.attr;
    FileAttr {
        ino: INodeNo(entry.inode.id.0),
        size: attr.size,
        blocks: attr.size.div_ceil(512),
        atime: attr.atime,
        mtime: attr.mtime,
        ctime: attr.ctime,
        crtime: UNIX_EPOCH,
        kind: file_type(attr.kind),
        perm: u16::try_from(attr.permissions & 0o7777).expect("twelve bits fit"),
        // Of a directory too, as on btrfs: 1 tells `find` that nobody counts subdirectories. It believes a count, and would
        // leave one out where another host has made one since the count was listed.
        nlink: u32::from(!entry.inode.state().gone),
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.kind.device().unwrap_or_default().0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// What stands beside `.` and `..`, of which the kernel takes the number only.
#[must_use]
pub fn dot_attr(id: u64) -> FileAttr {
    FileAttr {
        ino: INodeNo(id),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: FileType::Directory,
        perm: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK_BYTES,
        flags: 0,
    }
}

/// The time that a program sets, or `now`.
#[must_use]
pub fn time(given: TimeOrNow, now: SystemTime) -> SystemTime {
    match given {
        TimeOrNow::SpecificTime(time) => corrected(time),
        TimeOrNow::Now => now,
    }
}

/// Before 1970 the kernel counts seconds back and nanoseconds forth; fuser (0.18) counts both back.
fn corrected(time: SystemTime) -> SystemTime {
    let Err(before) = time.duration_since(UNIX_EPOCH) else { return time };
    let (seconds, nanos) = (before.duration().as_secs(), before.duration().subsec_nanos());
    let whole = UNIX_EPOCH.checked_sub(Duration::from_secs(seconds));
    whole.map_or(time, |whole| whole + Duration::from_nanos(nanos.into()))
}

/// The kind as the kernel wants it.
#[must_use]
pub fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharacterDevice(_) => FileType::CharDevice,
        Kind::BlockDevice(_) => FileType::BlockDevice,
    }
}

/// What `mknod` is asked for; `None` for what it does not make. Whether somebody may make devices, the kernel has decided.
#[must_use]
pub fn node_kind(mode: u32, device: u32) -> Option<Kind> {
    match rustix::fs::FileType::from_raw_mode(mode) {
        rustix::fs::FileType::RegularFile => Some(Kind::File),
        rustix::fs::FileType::Fifo => Some(Kind::Fifo),
        rustix::fs::FileType::Socket => Some(Kind::Socket),
        rustix::fs::FileType::CharacterDevice => Some(Kind::CharacterDevice(DeviceNumber(device))),
        rustix::fs::FileType::BlockDevice => Some(Kind::BlockDevice(DeviceNumber(device))),
        _ => None,
    }
}

/// `__FMODE_EXEC` of Linux: the file is opened to be run. Not among the flags of open(2), and passed on to us by the kernel.
const FMODE_EXEC: u32 = 0x20;

/// How a program's thread opens a file.
#[must_use]
pub fn how(flags: i32, thread: u32) -> How {
    let access = match OpenFlags(flags).acc_mode() {
        OpenAccMode::O_RDONLY if flags.cast_unsigned() & FMODE_EXEC != 0 => Access::Execute,
        OpenAccMode::O_RDONLY => Access::Read,
        OpenAccMode::O_WRONLY => Access::Write,
        OpenAccMode::O_RDWR => Access::ReadWrite,
    };
    let flags = OFlags::from_bits_retain(flags.cast_unsigned());
    How { access, truncate: flags.contains(OFlags::TRUNC), exclusive: flags.contains(OFlags::EXCL), thread }
}

/// Whether a write goes to the end of the file wherever it is by now. What comes from the page cache has its place.
#[must_use]
pub fn appends(flags: OpenFlags, write: WriteFlags) -> bool {
    let flags = OFlags::from_bits_retain(flags.0.cast_unsigned());
    flags.contains(OFlags::APPEND) && !write.contains(WriteFlags::FUSE_WRITE_CACHE)
}

/// What `fallocate` asks for, if it can be done.
#[must_use]
pub fn allocation(mode: i32) -> Option<Allocation> {
    let mode = FallocateFlags::from_bits_retain(mode.cast_unsigned());
    let (keep, punch, zero) = (FallocateFlags::KEEP_SIZE, FallocateFlags::PUNCH_HOLE, FallocateFlags::ZERO_RANGE);
    match mode {
        mode if mode.is_empty() => Some(Allocation::Extend),
        mode if mode == keep => Some(Allocation::Reserve),
        mode if mode == zero => Some(Allocation::Zero),
        mode if mode == punch | keep || mode == zero | keep => Some(Allocation::PunchHole),
        _ => None,
    }
}

/// What the kernel may keep of an open file. Writes go past the page cache: copying them into it costs as much as sending
/// them (measured: 0.30 CPU-seconds per GiB).
#[must_use]
pub fn open_flags(pages: Pages) -> FopenFlags {
    match pages {
        Pages::None => FopenFlags::FOPEN_DIRECT_IO,
        Pages::New => FopenFlags::empty(),
        Pages::Kept => FopenFlags::FOPEN_KEEP_CACHE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_what_the_kernel_meant() {
        // (seconds, nanoseconds) as the kernel sends them, what fuser makes of them, and what they mean.
        let back = |seconds, nanos| UNIX_EPOCH - Duration::new(seconds, nanos);
        let rows = [
            (back(2, 500_000_000), back(1, 500_000_000), "(-2, 500000000) is a second and a half before"),
            (back(2, 0), back(2, 0), "whole seconds"),
            (back(1, 999_999_999), back(0, 1), "(-1, 999999999) is a nanosecond before"),
            (UNIX_EPOCH, UNIX_EPOCH, "the beginning"),
            (UNIX_EPOCH + Duration::new(2, 5), UNIX_EPOCH + Duration::new(2, 5), "after it"),
        ];
        for (given, want, why) in rows {
            assert_eq!(time(TimeOrNow::SpecificTime(given), UNIX_EPOCH), want, "{why}");
        }
    }
}
