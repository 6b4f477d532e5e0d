//! One operation on a directory: how it is drawn, and how it is done. Done on two directories it must answer the same.
//!
//! Places, sizes and times come from small sets, so that operations meet. Whether answers agree is not decided here.

use proptest::collection::vec;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::sample::select;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::FallocateFlags;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

/// How many descriptors a sequence can hold at the same time.
pub const SLOTS: usize = 3;

/// What is set as a time is older than this; what the clock sets is newer. Seconds since 1970: the year 2017.
pub const CLOCK_BEGINS: i64 = 1_500_000_000;

const NAMES: [&str; 3] = ["a", "b", "ü\u{301} '*"];

/// One operation.
#[derive(Clone, Debug)]
pub enum Operation {
    Open { slot: usize, path: String, access: Access, flags: u8 },
    Close { slot: usize },
    Duplicate { from: usize, to: usize },
    Write { slot: usize, bytes: Content },
    WriteAt { slot: usize, at: u64, bytes: Content },
    ReadAt { slot: usize, at: u64, length: usize },
    CutOpen { slot: usize, size: u64 },
    Cut { path: String, size: u64 },
    Allocate { slot: usize, how: u8, at: u64, length: u64 },
    Copy { from: usize, at: u64, to: usize, to_at: u64, length: usize },
    Sync { slot: usize },
    Rename { from: String, to: String, keeps: bool },
    Remove { path: String },
    MakeDirectory { path: String, mode: u32 },
    RemoveDirectory { path: String },
    Link { path: String, target: String },
    Node { path: String, mode: u32, kind: u8 },
    Mode { path: String, mode: u32 },
    ModeOpen { slot: usize, mode: u32 },
    Owner { path: String, uid: u32, gid: u32 },
    Time { path: String, seconds: i64, nanoseconds: i32 },
    SetXattr { path: String, name: u8, value: Vec<u8>, flags: u8 },
    RemoveXattr { path: String, name: u8 },
    Xattrs { path: String },
    Look { path: String },
    LookOpen { slot: usize },
    List { path: String },
    ReadLink { path: String },
}

/// What a descriptor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
    Both,
}

/// Bytes that tell where they came from: so many, told by a number.
#[derive(Clone, Copy, Debug)]
pub struct Content {
    pub seed: u8,
    pub length: usize,
}

impl Content {
    fn bytes(self) -> Vec<u8> {
        crate::files::noise(self.length, u64::from(self.seed) + 1)
    }
}

/// What an operation answered.
pub type Answer = Result<Seen, Errno>;

/// What was seen by it.
#[derive(PartialEq, Eq)]
pub enum Seen {
    Nothing,
    Count(usize),
    Bytes(Vec<u8>),
    Names(Vec<String>),
    Attributes(Attributes),
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("done"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Bytes(bytes) => {
                let hash = bytes.iter().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(*byte)));
                write!(f, "{} bytes {hash:08x}, {:?}..", bytes.len(), &bytes[..bytes.len().min(8)])
            }
            Self::Names(names) => write!(f, "{names:?}"),
            Self::Attributes(attributes) => attributes.fmt(f),
        }
    }
}

/// What two directories must agree on; times that the clock has set count as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of directories nothing: how large they are is everybody's own affair.
    pub size: u64,
    /// `None` when the clock has set it.
    pub mtime: Option<(i64, u64)>,
    /// The device that a node stands for.
    pub device: u64,
}

impl Attributes {
    fn of(stat: &rustix::fs::Stat) -> Self {
        let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let size = if is_directory { 0 } else { u64::try_from(stat.st_size).unwrap() };
        let mtime = (stat.st_mtime < CLOCK_BEGINS).then_some((stat.st_mtime, stat.st_mtime_nsec));
        Self { mode: stat.st_mode, uid: stat.st_uid, gid: stat.st_gid, size, mtime, device: stat.st_rdev }
    }

    /// What `lstat` tells of a path.
    pub fn look(path: &Path) -> Result<Self, Errno> {
        Ok(Self::of(&rustix::fs::lstat(path)?))
    }
}

/// A directory in which operations are done, and the descriptors that are open in it.
pub struct Place {
    pub root: PathBuf,
    slots: [Option<OwnedFd>; SLOTS],
}

impl Place {
    pub fn new(root: PathBuf) -> Self {
        Self { root, slots: [const { None }; SLOTS] }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn slot(&self, slot: usize) -> Result<&OwnedFd, Errno> {
        // As the kernel answers for a number that is no descriptor.
        self.slots[slot].as_ref().ok_or(Errno::BADF)
    }

    /// Whether opening it would open something that the kernel sees to alone. Mounts refuse devices (`nodev`), which disks
    /// may not; and what is written to a fifo changes its time on a disk, of which the kernel tells no FUSE file system.
    fn is_the_kernels(&self, path: &str) -> bool {
        let kind = rustix::fs::stat(self.path(path)).map(|stat| FileType::from_raw_mode(stat.st_mode));
        matches!(kind, Ok(FileType::CharacterDevice | FileType::BlockDevice | FileType::Fifo))
    }

    /// Closes everything.
    pub fn close(&mut self) {
        for slot in 0..SLOTS {
            self.put(slot, None);
        }
    }

    /// Closes what was in the slot, and whether there was anything.
    fn put(&mut self, slot: usize, opened: Option<OwnedFd>) -> bool {
        std::mem::replace(&mut self.slots[slot], opened).is_some()
    }

    /// Does one operation.
    pub fn apply(&mut self, operation: &Operation) -> Answer {
        match operation {
            Operation::Open { slot, path, access, flags } => self.open(*slot, path, *access, *flags),
            Operation::Close { slot } => {
                if self.put(*slot, None) {
                    Ok(Seen::Nothing)
                } else {
                    Err(Errno::BADF)
                }
            }
            Operation::Duplicate { from, to } => {
                let copy = rustix::io::fcntl_dupfd_cloexec(self.slot(*from)?, 0)?;
                self.put(*to, Some(copy));
                Ok(Seen::Nothing)
            }
            Operation::Write { slot, bytes } => Ok(Seen::Count(rustix::io::write(self.slot(*slot)?, &bytes.bytes())?)),
            Operation::WriteAt { slot, at, bytes } => {
                Ok(Seen::Count(rustix::io::pwrite(self.slot(*slot)?, &bytes.bytes(), *at)?))
            }
            Operation::ReadAt { slot, at, length } => self.read(*slot, *at, *length),
            Operation::CutOpen { slot, size } => done(rustix::fs::ftruncate(self.slot(*slot)?, *size)),
            Operation::Cut { path, .. } if self.is_the_kernels(path) => Err(Errno::ACCESS),
            Operation::Cut { path, size } => {
                let opened = rustix::fs::open(self.path(path), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
                done(opened.and_then(|file| rustix::fs::ftruncate(file, *size)))
            }
            Operation::Allocate { slot, how, at, length } => {
                let how = match how % 4 {
                    0 => FallocateFlags::empty(),
                    1 => FallocateFlags::KEEP_SIZE,
                    2 => FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE,
                    _ => FallocateFlags::ZERO_RANGE,
                };
                rustix::fs::fallocate(self.slot(*slot)?, how, *at, *length)?;
                // Whether it changes the time where it changes no byte differs from one file system and kernel to the next.
                let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
                let times = Timestamps { last_access: now, last_modification: now };
                done(rustix::fs::futimens(self.slot(*slot)?, &times))
            }
            Operation::Copy { from, at, to, to_at, length } => {
                let (mut at, mut to_at) = (*at, *to_at);
                let (from, to) = (self.slot(*from)?, self.slot(*to)?);
                Ok(Seen::Count(rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut to_at), *length)?))
            }
            Operation::Sync { slot } => done(rustix::fs::fsync(self.slot(*slot)?)),
            Operation::LookOpen { slot } => {
                Ok(Seen::Attributes(Attributes::of(&rustix::fs::fstat(self.slot(*slot)?)?)))
            }
            Operation::ModeOpen { slot, mode } => {
                done(rustix::fs::fchmod(self.slot(*slot)?, Mode::from_raw_mode(*mode)))
            }
            by_name => self.apply_by_name(by_name),
        }
    }

    fn apply_by_name(&self, operation: &Operation) -> Answer {
        let at = |path: &String| self.path(path);
        match operation {
            Operation::Rename { from, to, keeps } => {
                let flags = if *keeps { RenameFlags::NOREPLACE } else { RenameFlags::empty() };
                done(rustix::fs::renameat_with(CWD, at(from), CWD, at(to), flags))
            }
            Operation::Remove { path } => done(rustix::fs::unlink(at(path))),
            Operation::MakeDirectory { path, mode } => done(rustix::fs::mkdir(at(path), Mode::from_raw_mode(*mode))),
            Operation::RemoveDirectory { path } => done(rustix::fs::rmdir(at(path))),
            Operation::Link { path, target } => done(rustix::fs::symlink(target.as_str(), at(path))),
            Operation::Node { path, mode, kind } => {
                let (kind, device) = match kind % 8 {
                    0 => (FileType::CharacterDevice, rustix::fs::makedev(1, 3)),
                    1 => (FileType::BlockDevice, rustix::fs::makedev(259, 70_000)),
                    2 => (FileType::Socket, 0),
                    _ => (FileType::Fifo, 0),
                };
                done(rustix::fs::mknodat(CWD, at(path), kind, Mode::from_raw_mode(*mode), device))
            }
            Operation::Mode { path, mode } => done(rustix::fs::chmod(at(path), Mode::from_raw_mode(*mode))),
            Operation::Owner { path, uid, gid } => {
                let (uid, gid) = (Some(Uid::from_raw(*uid)), Some(Gid::from_raw(*gid)));
                done(rustix::fs::chownat(CWD, at(path), uid, gid, AtFlags::SYMLINK_NOFOLLOW))
            }
            Operation::Time { path, seconds, nanoseconds } => {
                let time = Timespec { tv_sec: *seconds, tv_nsec: i64::from(*nanoseconds) };
                let times = Timestamps { last_access: time, last_modification: time };
                done(rustix::fs::utimensat(CWD, at(path), &times, AtFlags::SYMLINK_NOFOLLOW))
            }
            Operation::SetXattr { path, name, value, flags } => {
                let flags = [XattrFlags::empty(), XattrFlags::CREATE, XattrFlags::REPLACE][usize::from(flags % 3)];
                done(rustix::fs::lsetxattr(at(path), xattr(*name), value, flags))
            }
            Operation::RemoveXattr { path, name } => done(rustix::fs::lremovexattr(at(path), xattr(*name))),
            Operation::Xattrs { path } => Ok(Seen::Names(xattrs(&at(path))?)),
            Operation::Look { path } => Ok(Seen::Attributes(Attributes::look(&at(path))?)),
            Operation::List { path } => Ok(Seen::Names(list(&at(path))?)),
            Operation::ReadLink { path } => {
                Ok(Seen::Bytes(rustix::fs::readlink(at(path), Vec::new())?.as_bytes().to_vec()))
            }
            by_descriptor => unreachable!("{by_descriptor:?} is done by a descriptor"),
        }
    }

    fn open(&mut self, slot: usize, path: &str, access: Access, flags: u8) -> Answer {
        let mut how = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::WRONLY,
            Access::Both => OFlags::RDWR,
        };
        let bits = [OFlags::CREATE, OFlags::EXCL, OFlags::TRUNC, OFlags::APPEND];
        for (bit, flag) in bits.into_iter().enumerate() {
            if flags & (1 << bit) != 0 {
                how |= flag;
            }
        }
        // Nobody says what these do: creating nothing exclusively, and emptying what may only be read.
        if !how.contains(OFlags::CREATE) {
            how -= OFlags::EXCL;
        }
        if access == Access::Read {
            how -= OFlags::TRUNC | OFlags::APPEND;
        }
        if self.is_the_kernels(path) {
            return Err(Errno::ACCESS);
        }
        let opened = rustix::fs::open(self.path(path), how | OFlags::CLOEXEC, Mode::from_raw_mode(0o640))?;
        self.put(slot, Some(opened));
        Ok(Seen::Nothing)
    }

    fn read(&self, slot: usize, at: u64, length: usize) -> Answer {
        let (mut bytes, mut have) = (vec![0; length], 0);
        // The kernel may give less than was asked for anywhere; only at the end it gives nothing.
        while have < length {
            match rustix::io::pread(self.slot(slot)?, &mut bytes[have..], at + have as u64)? {
                0 => break,
                got => have += got,
            }
        }
        bytes.truncate(have);
        Ok(Seen::Bytes(bytes))
    }
}

fn done(result: Result<(), Errno>) -> Answer {
    result.map(|()| Seen::Nothing)
}

fn xattr(name: u8) -> String {
    format!("user.{}", ["one", "two.three", "É"][usize::from(name % 3)])
}

/// Names and values of what `user.` attributes there are, but for those that tell of the object.
pub fn xattrs(path: &Path) -> Result<Vec<String>, Errno> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names[..])?;
    let mut all = Vec::new();
    for name in String::from_utf8_lossy(&names[..length]).split_terminator('\0') {
        if name.starts_with("user.") && !name.starts_with("user.brigade.") {
            let mut value = vec![0; 64 << 10];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..])?;
            all.push(format!("{name}={:?}", &value[..length]));
        }
    }
    all.sort();
    Ok(all)
}

/// What is in a directory, in order.
pub fn list(path: &Path) -> Result<Vec<String>, Errno> {
    let entries = std::fs::read_dir(path).map_err(|error| Errno::from_io_error(&error).unwrap())?;
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().expect("only such names were given")).collect();
    names.sort();
    Ok(names)
}

fn path() -> impl Strategy<Value = String> {
    // Few, so that what one operation makes another finds.
    let depth = prop_oneof![5 => Just(1_usize), 4 => Just(2), 1 => Just(3)];
    depth.prop_flat_map(|depth| vec(select(&NAMES[..]), depth)).prop_map(|names| names.join("/"))
}

fn slot() -> impl Strategy<Value = usize> {
    0..SLOTS
}

fn at() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0_u64..40, 4 => 4090_u64..4100, 3 => 0_u64..70_000, 1 => 5_242_870_u64..5_242_890]
}

fn content() -> impl Strategy<Value = Content> {
    let length = prop_oneof![
        12 => 0_usize..40,
        6 => 4090_usize..4100,
        4 => 0_usize..100_000,
        1 => 5_242_870_usize..5_242_890,
    ];
    (any::<u8>(), length).prop_map(|(seed, length)| Content { seed, length })
}

fn mode() -> impl Strategy<Value = u32> {
    select(&[0o644, 0o600, 0o755, 0o777, 0o700, 0o444, 0o000, 0o4755, 0o2755, 0o6711, 0o1777][..])
}

/// Any operation. What comes first is what failures shrink to.
pub fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        8 => by_descriptor(),
        8 => (slot(), path(), select(&[Access::Read, Access::Write, Access::Both][..]), prop_oneof![4 => Just(1_u8), 1 => Just(9), 3 => 0_u8..16])
            .prop_map(|(slot, path, access, flags)| Operation::Open { slot, path, access, flags }),
        5 => by_name(),
        3 => attributes(),
    ]
}

fn by_descriptor() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => (slot(), content()).prop_map(|(slot, bytes)| Operation::Write { slot, bytes }),
        5 => (slot(), at(), content()).prop_map(|(slot, at, bytes)| Operation::WriteAt { slot, at, bytes }),
        4 => (slot(), at(), 0_usize..70_000).prop_map(|(slot, at, length)| Operation::ReadAt { slot, at, length }),
        3 => slot().prop_map(|slot| Operation::Close { slot }),
        1 => (slot(), slot()).prop_map(|(from, to)| Operation::Duplicate { from, to }),
        2 => (slot(), at()).prop_map(|(slot, size)| Operation::CutOpen { slot, size }),
        1 => (slot(), any::<u8>(), at(), 1_u64..70_000)
            .prop_map(|(slot, how, at, length)| Operation::Allocate { slot, how, at, length }),
        1 => (slot(), at(), slot(), at(), 0_usize..70_000)
            .prop_map(|(from, at, to, to_at, length)| Operation::Copy { from, at, to, to_at, length }),
        1 => slot().prop_map(|slot| Operation::Sync { slot }),
        1 => slot().prop_map(|slot| Operation::LookOpen { slot }),
        1 => (slot(), mode()).prop_map(|(slot, mode)| Operation::ModeOpen { slot, mode }),
    ]
}

fn by_name() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (path(), path(), any::<bool>()).prop_map(|(from, to, keeps)| Operation::Rename { from, to, keeps }),
        4 => (path(), mode()).prop_map(|(path, mode)| Operation::MakeDirectory { path, mode: mode & 0o777 }),
        2 => path().prop_map(|path| Operation::Remove { path }),
        1 => path().prop_map(|path| Operation::RemoveDirectory { path }),
        2 => (path(), path()).prop_map(|(path, target)| Operation::Link { path, target }),
        1 => (path(), mode(), any::<u8>())
            .prop_map(|(path, mode, kind)| Operation::Node { path, mode: mode & 0o777, kind }),
        2 => (path(), at()).prop_map(|(path, size)| Operation::Cut { path, size }),
        1 => path().prop_map(|path| Operation::List { path }),
        1 => path().prop_map(|path| Operation::ReadLink { path }),
        2 => path().prop_map(|path| Operation::Look { path }),
    ]
}

fn attributes() -> impl Strategy<Value = Operation> {
    let time = (path(), 1_i64..CLOCK_BEGINS, 0_i32..1_000_000_000);
    let value = vec(any::<u8>(), 0..40);
    prop_oneof![
        3 => (path(), mode()).prop_map(|(path, mode)| Operation::Mode { path, mode }),
        1 => (path(), 0_u32..3, 0_u32..3).prop_map(|(path, uid, gid)| Operation::Owner { path, uid, gid }),
        3 => time.prop_map(|(path, seconds, nanoseconds)| Operation::Time { path, seconds, nanoseconds }),
        2 => (path(), any::<u8>(), value, any::<u8>())
            .prop_map(|(path, name, value, flags)| Operation::SetXattr { path, name, value, flags }),
        1 => (path(), any::<u8>()).prop_map(|(path, name)| Operation::RemoveXattr { path, name }),
        1 => path().prop_map(|path| Operation::Xattrs { path }),
    ]
}
