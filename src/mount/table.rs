//! The kernel's table of mounts (`/proc/self/mountinfo`), parsed. Decides nothing about a mount point.

use crate::mount::source::Source;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::path::PathBuf;

/// The numbers that name a mounted file system while it is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Device {
    /// The major number; 0 for file systems without a block device.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// The mounted file system.
    pub device: Device,
    /// Where it is mounted.
    pub dir: PathBuf,
    /// Its type: `fuse`, `fuse.brigade`, `ext4`, ..
    pub fs_type: String,
    /// What is mounted, in the file system's own words.
    pub source: String,
    /// Who mounted it, where the file system tells (`user_id=`).
    pub owner: Option<u32>,
}

impl Mount {
    /// Whether a Brigade process made this mount: a FUSE mount whose source reads as one of ours. Other programs name
    /// their own type (`fuse.rclone`), so the two together are distinctive.
    #[must_use]
    pub fn is_brigade(&self) -> bool {
        (self.fs_type == "fuse" || self.fs_type == "fuse.brigade") && self.source.parse::<Source>().is_ok()
    }
}

/// Reads the table of this process' mount namespace.
///
/// # Errors
/// When /proc is not there.
pub fn read() -> io::Result<Vec<Mount>> {
    Ok(parse(&std::fs::read("/proc/self/mountinfo")?))
}

/// The mount that is seen at `dir`: the last one, where several are stacked.
#[must_use]
pub fn at<'a>(mounts: &'a [Mount], dir: &Path) -> Option<&'a Mount> {
    mounts.iter().rev().find(|mount| mount.dir == dir)
}

/// Parses the table (proc_pid_mountinfo(5)); lines that do not look like it are left out.
#[must_use]
pub fn parse(text: &[u8]) -> Vec<Mount> {
    text.split(|b| *b == b'\n').filter_map(parse_line).collect()
}

// 36 35 0:52 / /mnt rw,noatime shared:1 - fuse SOURCE rw,user_id=0,group_id=0
fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|b| *b == b' ');
    let device = parse_device(fields.nth(2)?)?;
    let dir = PathBuf::from(unescape(fields.nth(1)?));
    // The number of optional fields varies; a lone dash ends them.
    fields.find(|field| *field == b"-")?;
    let fs_type = unescape(fields.next()?).into_string().ok()?;
    let source = unescape(fields.next()?).to_string_lossy().into_owned();
    let owner = fields.next().and_then(|options| {
        let text = std::str::from_utf8(options).ok()?;
        text.split(',').find_map(|option| option.strip_prefix("user_id="))?.parse().ok()
    });
    Some(Mount { device, dir, fs_type, source, owner })
}

fn parse_device(field: &[u8]) -> Option<Device> {
    let (major, minor) = std::str::from_utf8(field).ok()?.split_once(':')?;
    Some(Device { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(field: &[u8]) -> OsString {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let (byte, after) = match rest {
            [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                ((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), after)
            }
            _ => (*first, tail),
        };
        out.push(byte);
        rest = after;
    }
    OsString::from_vec(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"\
21 28 0:19 / /sys rw,nosuid shared:7 - sysfs sysfs rw
28 1 259:2 / / rw,relatime shared:1 master:2 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro
90 28 0:52 / /mnt/a\\040b\\134c rw,nosuid,nodev - fuse s3://bucket/a\\040b rw,user_id=1000,group_id=1000
91 28 0:53 / /mnt/x rw - fuse.sshfs host:/dir rw,user_id=0,group_id=0
92 28 0:54 / /mnt/x rw - fuse local:/data ro,user_id=0
not a line
93 28 0:z / /mnt/y rw - fuse s3://b rw
";

    #[test]
    fn the_table_is_read_with_escapes_and_optional_fields() {
        let mounts = parse(TABLE);
        let dirs: Vec<_> = mounts.iter().map(|m| m.dir.to_str().unwrap()).collect();
        assert_eq!(dirs, ["/sys", "/", "/mnt/a b\\c", "/mnt/x", "/mnt/x"], "broken lines are left out");
        assert_eq!(mounts[1].device, Device { major: 259, minor: 2 });
        assert_eq!(mounts[1].owner, None);
        assert_eq!(mounts[2].source, "s3://bucket/a b");
        assert_eq!(mounts[2].owner, Some(1000));
        assert_eq!(mounts[2].device.to_string(), "0-52");
    }

    #[test]
    fn the_last_mount_on_a_directory_is_the_one_seen() {
        let mounts = parse(TABLE);
        assert_eq!(at(&mounts, Path::new("/mnt/x")).unwrap().source, "local:/data");
        assert_eq!(at(&mounts, Path::new("/mnt")), None);
    }

    #[test]
    fn only_our_mounts_count_as_ours() {
        let rows = [
            ("fuse", "s3://bucket", true, "mounted directly"),
            ("fuse.brigade", "local:/data", true, "mounted by fusermount3"),
            ("fuse.s3fs", "s3://bucket", false, "another program's"),
            ("fuse", "/dev/fuse", false, "a nameless program's"),
            ("nfs", "local:/data", false, "not FUSE"),
        ];
        for (fs_type, source, want, why) in rows {
            let line = format!("1 2 0:3 / /m rw - {fs_type} {source} rw");
            assert_eq!(parse(line.as_bytes())[0].is_brigade(), want, "{why}");
        }
    }
}
