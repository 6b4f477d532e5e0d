//! Which object keys are visible as file names, and as which. Pure.

use crate::store::probe::SCRATCH_PREFIX;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::scratch::RENAME_PREFIX;
use crate::vfs::scratch::STAGED_PREFIX;
use crate::vfs::scratch::UNLINKED_PREFIX;
use std::ffi::OsStr;

/// Bytes of one name at most (`NAME_MAX` of Linux).
pub const NAME_BYTES_MAX: usize = 255;

/// The name that a program gave, as part of a key.
///
/// # Errors
/// [`Error::NameNotUtf8`], [`Error::NameTooLong`].
pub fn name(given: &OsStr) -> Result<&str> {
    let name = given.to_str().ok_or(Error::NameNotUtf8)?;
    if name.len() > NAME_BYTES_MAX { Err(Error::NameTooLong) } else { Ok(name) }
}

/// A key or common prefix found under a directory's prefix: the name that stands for it and whether it is a directory.
/// `None` for what cannot be a name; such objects are left alone and hidden.
#[must_use]
pub fn child_name<'a>(directory: &str, key: &'a str) -> Option<(&'a str, Shape)> {
    let rest = key.strip_prefix(directory)?;
    let (name, shape) = match rest.split_once('/') {
        None => (rest, Shape::Object),
        Some((name, _)) => (name, Shape::Prefix),
    };
    let legal = !matches!(name, "" | "." | "..") && name.len() <= NAME_BYTES_MAX && !name.contains('\0');
    let legal = legal && !is_reserved(name);
    legal.then_some((name, shape))
}

/// Whether a name is kept for the scratch objects of mounts: those by which they find out what a store can do, files that
/// lost their names while they are open, bytes of files that memory cannot hold, and plans of renames. They come and go, of other hosts too, so no program shall
/// see them.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    [SCRATCH_PREFIX, UNLINKED_PREFIX, STAGED_PREFIX, RENAME_PREFIX].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a key is that of a scratch object.
#[must_use]
pub fn is_scratch(key: &str) -> bool {
    key.rsplit('/').next().is_some_and(is_reserved)
}

/// Whether a name stands for one object or for all that begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One object.
    Object,
    /// Everything below `name/`.
    Prefix,
}

/// The prefix of a mount, as it stands before every key: empty, or ending in one slash.
#[must_use]
pub fn normalize_prefix(given: &str) -> String {
    let trimmed = given.trim_matches('/');
    if trimmed.is_empty() { String::new() } else { format!("{trimmed}/") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn keys_show_as_names() {
        let long = "x".repeat(256);
        type Row<'a> = (&'a str, &'a str, Option<(&'a str, Shape)>, &'a str);
        let rows: &[Row<'_>] = &[
            // dir   key      name                            why
            ("", "a", Some(("a", Shape::Object)), "an object"),
            ("", "a/b", Some(("a", Shape::Prefix)), "an implied directory"),
            ("", "a/", Some(("a", Shape::Prefix)), "a directory's marker"),
            ("a/", "a/", None, "the directory's own marker"),
            ("a/", "a//b", None, "an empty name"),
            ("", "/a", None, "an empty name at the top"),
            ("", "./a", None, "a dot would be the directory itself"),
            ("", "../a", None, "dot-dot would escape"),
            ("", "..", None, "dot-dot as an object"),
            ("", ".brigade-probe-1", None, "a scratch object"),
            ("", ".brigade-unlinked-1", None, "a file that is open and has no name"),
            ("", ".brigade-staged-1", None, "bytes of a file that is not committed"),
            ("", ".brigade-rename-1", None, "the plan of a rename"),
            ("", ".brigade-probe", Some((".brigade-probe", Shape::Object)), "nearly one"),
            ("", "...", Some(("...", Shape::Object)), "three dots are a name"),
            ("b/", "a/b", None, "of another directory"),
            ("", "a\0b", None, "no name can hold a zero byte"),
            ("", &long, None, "longer than a name may be"),
            ("", "\u{1}\n", Some(("\u{1}\n", Shape::Object)), "odd, but a name"),
        ];
        for (directory, key, want, why) in rows {
            assert_eq!(child_name(directory, key), *want, "{directory:?} {key:?}: {why}");
        }
    }

    #[test]
    fn names_must_be_utf8_and_short() {
        assert_eq!(name(OsStr::new("ü")).unwrap(), "ü");
        assert!(matches!(name(OsStr::from_bytes(b"\xff")), Err(Error::NameNotUtf8)));
        assert!(matches!(name(OsStr::new(&"x".repeat(256))), Err(Error::NameTooLong)));
    }

    #[test]
    fn scratch_keys_are_told_by_their_last_segment() {
        let rows = [
            (".brigade-probe-1", true),
            ("a/b/.brigade-probe-1-copy", true),
            ("a/.brigade-probe-1/b", false),
            ("a.brigade-probe-1", false),
            ("a/", false),
        ];
        for (key, want) in rows {
            assert_eq!(is_scratch(key), want, "{key}");
        }
    }

    #[test]
    fn prefixes_end_in_one_slash() {
        for (given, want) in [("", ""), ("/", ""), ("a", "a/"), ("/a/b//", "a/b/")] {
            assert_eq!(normalize_prefix(given), want, "{given:?}");
        }
    }
}
