//! Attributes of files, and how they are kept in user metadata. Pure.
//!
//! Written in the form of s3fs; read in the forms of s3fs, rclone, geesefs and gcsfuse.

use crate::store::Metadata;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Type bits of a mode (POSIX `S_IFMT`).
const TYPE_MASK: u32 = 0o170_000;
/// Permission bits, set-id bits and the sticky bit.
pub const PERMISSION_MASK: u32 = 0o7777;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
}

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
        }
    }
}

/// Attributes as programs see them.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub mtime: SystemTime,
    /// Last change of anything.
    pub ctime: SystemTime,
    /// Last access, as far as somebody set it.
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
}

impl Posix {
    /// The names under which [`write`](Self::write) keeps what belongs to every version.
    pub const NAMES: [&str; 4] = ["mode", "uid", "gid", "mtime"];

    /// Reads the keys that s3fs, rclone, geesefs and gcsfuse write. What cannot be read counts as not there.
    #[must_use]
    pub fn parse(metadata: &Metadata) -> Self {
        let get = |names: &[&str]| names.iter().find_map(|name| metadata.get(*name)).map(|value| value.trim());
        let mode = get(&["mode"]).and_then(parse_mode);
        Self {
            mode: mode.or_else(|| get(&["goog-reserved-posix-mode"]).and_then(|v| u32::from_str_radix(v, 8).ok())),
            uid: get(&["uid", "owner", "goog-reserved-posix-uid"]).and_then(|value| value.parse().ok()),
            gid: get(&["gid", "group", "goog-reserved-posix-gid"]).and_then(|value| value.parse().ok()),
            mtime: get(&["mtime", "goog-reserved-file-mtime"]).and_then(parse_time),
            atime: get(&["atime"]).and_then(parse_time),
            symlink: get(&["goog-reserved-file-is-symlink"]) == Some("true"),
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
    }
}

/// One key, two bases: s3fs writes decimal with type bits (`33188`), rclone octal with them (`100644`), others octal
/// without. A decimal reading that carries a legal type wins; only `10644` could be meant otherwise.
fn parse_mode(text: &str) -> Option<u32> {
    let decimal = text.parse::<u32>().ok();
    let types = [0o010_000, 0o020_000, 0o040_000, 0o060_000, 0o100_000, 0o120_000, 0o140_000];
    match decimal {
        Some(mode) if mode <= 0o177_777 && types.contains(&(mode & TYPE_MASK)) => Some(mode),
        _ => u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o177_777),
    }
}

/// Seconds with an optional fraction, which is read as a fraction: s3fs itself takes its digits for nanoseconds.
fn parse_time(text: &str) -> Option<SystemTime> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos = format!("{fraction:0<9.9}").parse::<u32>().ok()?;
    let since = Duration::new(seconds.parse().ok()?, nanos);
    if negative { UNIX_EPOCH.checked_sub(since) } else { UNIX_EPOCH.checked_add(since) }
}

/// Exactly nine digits after the point, so that readers that take them for nanoseconds are right.
fn format_time(time: SystemTime) -> String {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => format!("{}.{:09}", since.as_secs(), since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            format!("-{}.{:09}", before.as_secs(), before.subsec_nanos())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    #[test]
    fn modes_are_read_in_both_bases() {
        let rows: &[(&str, Option<u32>, &str)] = &[
            ("33188", Some(0o100_644), "s3fs: decimal with type bits"),
            ("41471", Some(0o120_777), "s3fs: a symbolic link"),
            ("100644", Some(0o100_644), "rclone: octal with type bits"),
            ("644", Some(0o644), "octal without type bits"),
            ("0755", Some(0o755), "octal with a leading zero"),
            ("16877", Some(0o040_755), "a directory in decimal"),
            ("", None, "nothing"),
            ("rwx", None, "no number"),
            ("999999", None, "neither"),
            ("-1", None, "negative"),
        ];
        for (text, want, why) in rows {
            assert_eq!(parse_mode(text), *want, "{text:?}: {why}");
        }
    }

    #[test]
    fn times_are_read_as_fractions() {
        let rows: &[(&str, Option<SystemTime>, &str)] = &[
            ("1616161616", Some(at(1_616_161_616, 0)), "whole seconds"),
            ("1616161616.5", Some(at(1_616_161_616, 500_000_000)), "rclone cuts trailing zeros"),
            ("1616161616.000000005", Some(at(1_616_161_616, 5)), "nine digits"),
            ("1.1234567891", Some(at(1, 123_456_789)), "more digits than there are nanoseconds"),
            ("-1.5", UNIX_EPOCH.checked_sub(Duration::new(1, 500_000_000)), "before 1970"),
            ("", None, "nothing"),
            ("1.x", None, "no digits"),
            ("99999999999999999999", None, "beyond all clocks"),
        ];
        for (text, want, why) in rows {
            assert_eq!(parse_time(text), *want, "{text:?}: {why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            mode in 0o100_000u32..=0o107_777,
            ids in any::<(u32, u32)>(),
            seconds in -4_000_000_000i64..4_000_000_000,
            nanos in 0u32..1_000_000_000,
        ) {
            let since = Duration::new(seconds.unsigned_abs(), nanos);
            let time = if seconds < 0 { UNIX_EPOCH - since } else { UNIX_EPOCH + since };
            let posix = Posix {
                mode: Some(mode), uid: Some(ids.0), gid: Some(ids.1), mtime: Some(time), atime: Some(time), symlink: false,
            };
            let mut metadata = Metadata::new();
            posix.write(&mut metadata);
            prop_assert_eq!(Posix::parse(&metadata), posix);
        }
    }
}
