//! Attributes of files, and under which keys of user metadata they are kept. Pure. How values are spelled is told in
//! [`spelling`](crate::vfs::spelling).
//!
//! Written in the form of s3fs; read in the forms of s3fs, s3sync, rclone, geesefs, gcsfuse, gsutil and Amazon's tools.

use crate::store::Metadata;
use crate::vfs::signed_time;
use crate::vfs::spelling::TYPE_MASK;
use crate::vfs::spelling::decode_words;
use crate::vfs::spelling::format_device;
use crate::vfs::spelling::format_time;
use crate::vfs::spelling::parse_decimal_mode;
use crate::vfs::spelling::parse_device;
use crate::vfs::spelling::parse_lustre_time;
use crate::vfs::spelling::parse_mode;
use crate::vfs::spelling::parse_octal_mode;
use crate::vfs::spelling::parse_time;
use crate::vfs::spelling::unescape;
use crate::vfs::xattr;
use serde::Deserialize;
use serde::Serialize;
use std::borrow::Cow;
use std::time::SystemTime;

/// Permission bits, set-id bits and the sticky bit.
pub const PERMISSION_MASK: u32 = 0o7777;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link; the object's bytes are its target.
    Symlink,
    /// A named pipe; the kernel does all with it but keep its name.
    Fifo,
    /// A socket; likewise.
    Socket,
    /// A device of bytes; likewise. Mounts are `nodev`, so nobody can open one.
    CharacterDevice(DeviceNumber),
    /// A device of blocks; likewise.
    BlockDevice(DeviceNumber),
}

/// Major and minor number of a device as the kernel packs them into 32 bits (`new_encode_dev` of Linux): 12 bits of the
/// one and 20 of the other. The C library's `dev_t` is the same number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNumber(pub u32);

impl Kind {
    /// The type bits of its mode.
    #[must_use]
    pub fn type_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::CharacterDevice(_) => 0o020_000,
            Self::BlockDevice(_) => 0o060_000,
        }
    }

    /// Its device number, if it is a device.
    #[must_use]
    pub fn device(self) -> Option<DeviceNumber> {
        match self {
            Self::CharacterDevice(number) | Self::BlockDevice(number) => Some(number),
            Self::File | Self::Directory | Self::Symlink | Self::Fifo | Self::Socket => None,
        }
    }
}

/// Attributes as programs see them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attr {
    /// What it is.
    pub kind: Kind,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the contents.
    #[serde(with = "signed_time")]
    pub mtime: SystemTime,
    /// Last change of anything.
    #[serde(with = "signed_time")]
    pub ctime: SystemTime,
    /// Last access, as far as somebody set it.
    #[serde(with = "signed_time")]
    pub atime: SystemTime,
}

/// What user metadata say of an object; `None` where they say nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Posix {
    /// Type and permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Last change of the contents.
    pub mtime: Option<SystemTime>,
    /// Last access.
    pub atime: Option<SystemTime>,
    /// Whether a foreign key says that it is a symbolic link.
    pub symlink: bool,
    /// Last change of anything.
    pub ctime: Option<SystemTime>,
    /// Bytes of the target that a foreign key holds; of other symbolic links it is the object's body.
    pub target_bytes: Option<u32>,
    /// Whether there are extended attributes.
    pub xattrs: bool,
    /// Number of the device, if it is one.
    pub device: Option<DeviceNumber>,
}

/// The name under which rclone keeps the number of a device. s3fs keeps its type only.
const DEVICE: &str = "rdev";

/// Keys that hold the target of a symbolic link: of gcsfuse as it is, of geesefs escaped.
const TARGET_KEYS: [&str; 2] = ["gcsfuse_symlink_target", "--symlink-target"];

impl Posix {
    /// The names under which [`write`](Self::write) keeps what belongs to every version of a file.
    pub const NAMES: [&str; 6] = ["mode", "uid", "gid", "mtime", "atime", "ctime"];

    /// The names that tell when the contents were written, which hold for no other contents.
    pub const WRITTEN_NAMES: [&str; 6] =
        ["mtime", "ctime", "goog-reserved-file-mtime", "gcsfuse_mtime", "file-mtime", "md5chksum"];

    /// All names that are read here, and so are no attributes of a user's own.
    pub const READ_NAMES: [&str; 20] = [
        "mode",
        "uid",
        "gid",
        "mtime",
        "atime",
        "ctime",
        "permissions",
        "owner",
        "group",
        "file-permissions",
        "file-owner",
        "file-group",
        "file-mtime",
        "file-atime",
        "gcsfuse_mtime",
        "gcsfuse_symlink_target",
        "--symlink-target",
        "btime",
        "xattr",
        DEVICE,
    ];

    /// Reads the keys that we and others write, ours first. What cannot be read counts as not there.
    #[must_use]
    pub fn parse(metadata: &Metadata) -> Self {
        let get = |name: &str| metadata.get(name).map(|value| value.trim());
        let id = |names: [&str; 4]| names.iter().find_map(|name| get(name).and_then(|value| value.parse().ok()));
        let mode = get("mode").and_then(parse_mode);
        let mode = mode.or_else(|| get("permissions").and_then(parse_decimal_mode));
        let mode = mode.or_else(|| get("goog-reserved-posix-mode").and_then(parse_octal_mode));
        let mtime = ["mtime", "goog-reserved-file-mtime", "gcsfuse_mtime"];
        let atime = ["atime", "goog-reserved-file-atime"];
        let time = |names: &[&str]| names.iter().find_map(|name| get(name).and_then(parse_time));
        let target = symlink_target(metadata);
        Self {
            mode: mode.or_else(|| get("file-permissions").and_then(parse_octal_mode)),
            uid: id(["uid", "owner", "goog-reserved-posix-uid", "file-owner"]),
            gid: id(["gid", "group", "goog-reserved-posix-gid", "file-group"]),
            mtime: time(&mtime).or_else(|| get("file-mtime").and_then(parse_lustre_time)),
            atime: time(&atime).or_else(|| get("file-atime").and_then(parse_lustre_time)),
            ctime: get("ctime").and_then(parse_time),
            symlink: get("goog-reserved-file-is-symlink") == Some("true") || target.is_some(),
            target_bytes: target.and_then(|target| u32::try_from(target.len()).ok()),
            xattrs: xattr::has_any(metadata),
            device: get(DEVICE).and_then(parse_device),
        }
    }

    /// Which kind of file an object (not a prefix) is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.mode.map(|mode| mode & TYPE_MASK) {
            Some(0o120_000) => Kind::Symlink,
            _ if self.symlink => Kind::Symlink,
            Some(0o010_000) => Kind::Fifo,
            Some(0o140_000) => Kind::Socket,
            Some(0o020_000) => Kind::CharacterDevice(self.device.unwrap_or_default()),
            Some(0o060_000) => Kind::BlockDevice(self.device.unwrap_or_default()),
            _ => Kind::File,
        }
    }

    /// Puts these attributes into the metadata of an object, in the form of s3fs, beside what else is there.
    pub fn write(&self, metadata: &mut Metadata) {
        let mut set = |name: &str, value: Option<String>| value.map(|value| metadata.insert(name.to_owned(), value));
        set("mode", self.mode.map(|mode| mode.to_string()));
        set("uid", self.uid.map(|uid| uid.to_string()));
        set("gid", self.gid.map(|gid| gid.to_string()));
        set("mtime", self.mtime.map(format_time));
        set("atime", self.atime.map(format_time));
        set("ctime", self.ctime.map(format_time));
        set(DEVICE, self.device.map(format_device));
    }

    /// Whether an object that says `stored` lacks something that this says. A time that neither was set nor stored
    /// follows from when the store wrote the object, and is not lacking.
    #[must_use]
    pub fn is_news_to(&self, stored: &Self) -> bool {
        let ctime = if stored.ctime.is_some() { self.ctime } else { None };
        let mine = (self.mode, self.uid, self.gid, self.atime, self.mtime.or(stored.mtime), ctime);
        mine != (stored.mode, stored.uid, stored.gid, stored.atime, stored.mtime, stored.ctime)
    }
}

/// The target of a symbolic link as gcsfuse and geesefs keep it, in metadata.
#[must_use]
pub fn symlink_target(metadata: &Metadata) -> Option<Vec<u8>> {
    let [plain, escaped] = TARGET_KEYS.map(|name| metadata.get(name));
    let plain = plain.map(|target| decode_words(target)).map(Cow::into_owned).map(String::into_bytes);
    plain.or_else(|| escaped.map(|target| unescape(target)))
}

#[cfg(test)]
mod tests;
