//! What each tool writes, and that what we write is read back.

use super::*;
use proptest::prelude::*;
use std::time::Duration;
use std::time::UNIX_EPOCH;

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn at(seconds: u64, nanos: u32) -> Option<SystemTime> {
    Some(UNIX_EPOCH + Duration::new(seconds, nanos))
}

/// Who wrote it, what, and what it means.
type Row = (&'static str, &'static [(&'static str, &'static str)], Posix);

const NOTHING: Posix = Posix {
    mode: None,
    uid: None,
    gid: None,
    mtime: None,
    atime: None,
    symlink: false,
    ctime: None,
    target_bytes: None,
    xattrs: false,
    device: None,
};

fn all_are_read(rows: &[Row]) {
    for (who, written, want) in rows {
        assert_eq!(Posix::parse(&metadata(written)), *want, "{who}");
    }
}

#[test]
fn what_file_systems_and_rclone_write_is_read() {
    all_are_read(&[
        ("nobody", &[], NOTHING),
        (
            "s3fs",
            &[("mode", "33188"), ("uid", "5"), ("gid", "6"), ("mtime", "7.000000008"), ("ctime", "9"), ("atime", "10")],
            Posix {
                mode: Some(0o100_644),
                uid: Some(5),
                gid: Some(6),
                mtime: at(7, 8),
                ctime: at(9, 0),
                atime: at(10, 0),
                ..NOTHING
            },
        ),
        ("s3fs, a symbolic link", &[("mode", "41471")], Posix { mode: Some(0o120_777), ..NOTHING }),
        (
            "s3sync",
            &[("permissions", "420"), ("owner", "1"), ("group", "2")],
            Posix { mode: Some(0o644), uid: Some(1), gid: Some(2), ..NOTHING },
        ),
        (
            "rclone --metadata",
            &[
                ("mode", "100640"),
                ("mtime", "1616161616.5"),
                ("atime", "2021-03-19T13:46:56Z"),
                ("btime", "2020-01-01T00:00:00Z"),
            ],
            Posix {
                mode: Some(0o100_640),
                mtime: at(1_616_161_616, 500_000_000),
                atime: at(1_616_161_616, 0),
                ..NOTHING
            },
        ),
        (
            "rclone, a device",
            &[("mode", "20666"), ("rdev", "100000003")],
            Posix { mode: Some(0o020_666), device: Some(DeviceNumber(0x103)), ..NOTHING },
        ),
        ("s3fs, a device", &[("mode", "24576")], Posix { mode: Some(0o060_000), ..NOTHING }),
        (
            "rclone, a time only",
            &[("mtime", "2021-03-19T13:46:56.25Z")],
            Posix { mtime: at(1_616_161_616, 250_000_000), ..NOTHING },
        ),
    ]);
}

#[test]
fn what_the_tools_of_clouds_write_is_read() {
    all_are_read(&[
        (
            "gsutil -P",
            &[
                ("goog-reserved-posix-mode", "640"),
                ("goog-reserved-posix-uid", "3"),
                ("goog-reserved-posix-gid", "4"),
                ("goog-reserved-file-mtime", "1616161616"),
                ("goog-reserved-file-atime", "1616161617"),
            ],
            Posix {
                mode: Some(0o640),
                uid: Some(3),
                gid: Some(4),
                mtime: at(1_616_161_616, 0),
                atime: at(1_616_161_617, 0),
                ..NOTHING
            },
        ),
        (
            "gcsfuse, a time",
            &[("gcsfuse_mtime", "2021-03-19T13:46:56Z")],
            Posix { mtime: at(1_616_161_616, 0), ..NOTHING },
        ),
        (
            "gcsfuse, a symbolic link",
            &[("gcsfuse_symlink_target", "a%20b")],
            Posix { symlink: true, target_bytes: Some(5), ..NOTHING },
        ),
        (
            "gcsfuse, a symbolic link with its target in the body",
            &[("goog-reserved-file-is-symlink", "true")],
            Posix { symlink: true, ..NOTHING },
        ),
    ]);
}

#[test]
fn what_links_and_labels_are_is_read() {
    all_are_read(&[
        (
            "geesefs, a symbolic link",
            &[("--symlink-target", "a%20b"), ("mtime", "7")],
            Posix { symlink: true, target_bytes: Some(3), mtime: at(7, 0), ..NOTHING },
        ),
        ("geesefs, an attribute", &[("colour", "red")], Posix { xattrs: true, ..NOTHING }),
        (
            "FSx for Lustre",
            &[
                ("file-permissions", "0100664"),
                ("file-owner", "500"),
                ("file-group", "501"),
                ("file-mtime", "1595002920000000001ns"),
                ("file-atime", "1595002920500"),
            ],
            Posix {
                mode: Some(0o100_664),
                uid: Some(500),
                gid: Some(501),
                mtime: at(1_595_002_920, 1),
                atime: at(1_595_002_920, 500_000_000),
                ..NOTHING
            },
        ),
        (
            "two tools",
            &[
                ("mode", "33188"),
                ("goog-reserved-posix-mode", "600"),
                ("mtime", "soon"),
                ("gcsfuse_mtime", "1970-01-01T00:00:07Z"),
            ],
            Posix { mode: Some(0o100_644), mtime: at(7, 0), ..NOTHING },
        ),
    ]);
}

#[test]
fn targets_are_read_as_their_writers_spell_them() {
    let rows: &[(&str, &str, Option<&str>)] = &[
        ("gcsfuse_symlink_target", "a%20b", Some("a%20b")),
        ("gcsfuse_symlink_target", "=?UTF-8?B?w7w=?=", Some("ü")),
        ("--symlink-target", "a%20b/%C3%BC", Some("a b/ü")),
        ("target", "x", None),
    ];
    for (name, value, want) in rows {
        let target = symlink_target(&metadata(&[(name, value)]));
        assert_eq!(target.as_deref(), want.map(str::as_bytes), "{name}: {value}");
    }
}

#[test]
fn only_what_an_object_does_not_say_is_news() {
    let stored =
        Posix { mode: Some(1), uid: Some(2), gid: Some(3), mtime: at(4, 0), atime: at(5, 0), ..Posix::default() };
    let rows = [
        (stored, false, "all is said"),
        (Posix { ctime: at(9, 0), ..stored }, false, "the store's own time stands for one that was not sent"),
        (Posix { mtime: None, ..stored }, false, "nobody has set one"),
        (Posix { mtime: at(9, 0), ..stored }, true, "a time"),
        (Posix { atime: at(9, 0), ..stored }, true, "another"),
        (Posix { mode: Some(9), ..stored }, true, "a mode"),
        (Posix { uid: Some(9), ..stored }, true, "an owner"),
        (Posix { gid: Some(9), ..stored }, true, "a group"),
    ];
    for (mine, news, why) in rows {
        assert_eq!(mine.is_news_to(&stored), news, "{why}");
    }
    let dated = Posix { ctime: at(6, 0), ..stored };
    assert!(Posix { ctime: at(7, 0), ..stored }.is_news_to(&dated), "a later change");
    assert!(stored.is_news_to(&Posix { mtime: None, ..stored }), "a time that was set after the object was described");
}

#[test]
fn what_metadata_say_is_a_kind() {
    let rows = [
        (Some(0o100_644), None, Kind::File),
        (None, Some(DeviceNumber(5)), Kind::File),
        (Some(0o644), Some(DeviceNumber(5)), Kind::File),
        (Some(0o120_777), None, Kind::Symlink),
        (Some(0o010_644), None, Kind::Fifo),
        (Some(0o140_644), None, Kind::Socket),
        (Some(0o020_644), Some(DeviceNumber(5)), Kind::CharacterDevice(DeviceNumber(5))),
        (Some(0o060_644), Some(DeviceNumber(5)), Kind::BlockDevice(DeviceNumber(5))),
        (Some(0o060_644), None, Kind::BlockDevice(DeviceNumber(0))),
    ];
    for (mode, device, want) in rows {
        let kind = Posix { mode, device, ..NOTHING }.kind();
        assert_eq!(kind, want, "{mode:?} {device:?}");
        assert!(mode.is_none_or(|mode| mode & TYPE_MASK == 0 || mode & TYPE_MASK == kind.type_bits()));
        assert_eq!(kind.device(), device.filter(|_| kind != Kind::File).or(kind.device()));
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        mode in 0o100_000u32..=0o107_777,
        ids in any::<(u32, u32)>(),
        device in prop::option::of(any::<u32>().prop_map(DeviceNumber)),
        times in prop::array::uniform3((-4_000_000_000i64..4_000_000_000, 0u32..1_000_000_000)),
    ) {
        let [mtime, atime, ctime] = times.map(|(seconds, nanos)| {
            let since = Duration::new(seconds.unsigned_abs(), nanos);
            Some(if seconds < 0 { UNIX_EPOCH - since } else { UNIX_EPOCH + since })
        });
        let (uid, gid) = (Some(ids.0), Some(ids.1));
        let posix = Posix { mode: Some(mode), uid, gid, mtime, atime, ctime, device, ..Posix::default() };
        let mut metadata = Metadata::new();
        posix.write(&mut metadata);
        prop_assert_eq!(Posix::parse(&metadata), posix);
        prop_assert!(metadata.keys().all(|name| Posix::READ_NAMES.contains(&name.as_str())));
    }
}
