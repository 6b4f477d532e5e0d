//! Extended attributes of users, and how they are kept in user metadata. Pure. What programs may do with them is decided
//! in [`extended`](crate::vfs::extended).
//!
//! Written as s3fs does: under the name `xattr`, the attributes' values in base64, as an object of JSON, percent-encoded.
//! Every other name that is no attribute of POSIX is shown as `user.NAME` too, as geesefs keeps them, and is changed where
//! it is.

use crate::store::Metadata;
use crate::vfs::attr::Posix;
use crate::vfs::spelling::unescape;
use data_encoding::BASE64;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::percent_decode_str;
use percent_encoding::utf8_percent_encode;
use std::collections::BTreeMap;

/// What users' attributes begin with.
pub const USER: &str = "user.";

/// The name under which s3fs keeps them.
const KEY: &str = "xattr";

/// What s3fs leaves as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-').remove(b'_');

/// Changes that the bucket does not have yet: a new value, or none any more.
pub type Changes = BTreeMap<String, Option<Vec<u8>>>;

/// The names of all attributes, each with its prefix.
#[must_use]
pub fn names(metadata: &Metadata) -> Vec<String> {
    let mut names: Vec<String> = kept(metadata).into_keys().filter(|name| name.starts_with(USER)).collect();
    names.extend(foreign(metadata).map(|(_, name)| name).filter(|name| name != USER));
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether there are any.
#[must_use]
pub fn has_any(metadata: &Metadata) -> bool {
    metadata.contains_key(KEY) || foreign(metadata).next().is_some()
}

/// The value of an attribute.
#[must_use]
pub fn get(metadata: &Metadata, name: &str) -> Option<Vec<u8>> {
    if let Some(text) = kept(metadata).get(name) {
        return decode(text);
    }
    let (key, _) = foreign(metadata).find(|(_, shown)| shown == name)?;
    metadata.get(key).map(|value| unescape(value))
}

/// Makes changes. What is not changed stays as it is, to the byte.
pub fn apply(metadata: &mut Metadata, changes: &Changes) {
    if changes.is_empty() {
        return;
    }
    let mut kept = kept(metadata);
    for (name, value) in changes {
        let key = foreign(metadata).find(|(_, shown)| shown == name).map(|(key, _)| key.to_owned());
        match (key, value.as_deref()) {
            (Some(key), Some(value)) if !kept.contains_key(name) && is_plain(value) => {
                metadata.insert(key, escape(value));
                continue;
            }
            (Some(key), _) => drop(metadata.remove(&key)),
            (None, _) => {}
        }
        match value {
            Some(value) => drop(kept.insert(name.clone(), BASE64.encode(value))),
            None => drop(kept.remove(name)),
        }
    }
    if kept.is_empty() {
        metadata.remove(KEY);
        return;
    }
    let json = serde_json::to_string(&kept).expect("names and values are text");
    metadata.insert(KEY.to_owned(), utf8_percent_encode(&json, ENCODED).to_string());
}

/// What stands under s3fs's name; nothing if it cannot be read.
fn kept(metadata: &Metadata) -> BTreeMap<String, String> {
    let Some(text) = metadata.get(KEY) else { return BTreeMap::new() };
    let json = percent_decode_str(text.trim()).collect::<Vec<u8>>();
    serde_json::from_slice(&json).unwrap_or_default()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).or_else(|_| data_encoding::BASE64_NOPAD.decode(text.as_bytes())).ok()
}

/// Metadata that nobody but their author knows, and the names that they are shown under.
fn foreign(metadata: &Metadata) -> impl Iterator<Item = (&str, String)> {
    let known = |key: &str| Posix::READ_NAMES.contains(&key) || key.starts_with("goog-reserved-");
    metadata.keys().filter(move |key| !known(key)).map(|key| {
        let name = String::from_utf8(unescape(key)).unwrap_or_else(|_| key.clone());
        (key.as_str(), format!("{USER}{name}"))
    })
}

/// Whether a header can carry it, and it is read back as it was written.
fn is_plain(value: &[u8]) -> bool {
    let ends = [value.first(), value.last()];
    value.iter().all(|byte| (b' '..=b'~').contains(byte))
        && !ends.iter().any(|end| end.is_none_or(|byte| *byte == b' '))
        && !value.windows(2).any(|pair| pair == b"=?")
}

fn escape(value: &[u8]) -> String {
    value.iter().map(|byte| if *byte == b'%' { "%25".to_owned() } else { char::from(*byte).to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    fn metadata(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn change(name: &str, value: Option<&[u8]>) -> Changes {
        Changes::from([(name.to_owned(), value.map(<[u8]>::to_vec))])
    }

    #[test]
    fn the_form_of_s3fs_is_read_and_written() {
        // What s3fs 1.95 writes for `setfattr -n user.a -v b` beside a label of another class.
        let theirs = metadata(&[("xattr", "%7B%22security.x%22%3A%22AA%3D%3D%22%2C%22user.a%22%3A%22Yg%3D%3D%22%7D")]);
        assert_eq!(names(&theirs), ["user.a"], "other classes are not shown");
        assert_eq!(get(&theirs, "user.a").as_deref(), Some(&b"b"[..]));
        let mut ours = Metadata::new();
        apply(&mut ours, &change("user.a", Some(b"b")));
        assert_eq!(ours, metadata(&[("xattr", "%7B%22user.a%22%3A%22Yg%3D%3D%22%7D")]));
        let mut less = theirs.clone();
        apply(&mut less, &change("user.a", None));
        assert_eq!(less, metadata(&[("xattr", "%7B%22security.x%22%3A%22AA%3D%3D%22%7D")]), "nor lost");
        apply(&mut ours, &change("user.a", None));
        assert_eq!(ours, Metadata::new(), "the last one takes the key along");
        let unpadded = metadata(&[("xattr", "{\"user.a\":\"Yg\"}")]);
        assert_eq!(get(&unpadded, "user.a").as_deref(), Some(&b"b"[..]), "neither encoded nor padded");
        let broken = metadata(&[("xattr", "%7B")]);
        assert_eq!((names(&broken).len(), get(&broken, "user.a")), (0, None));
    }

    #[test]
    fn other_metadata_are_attributes_and_are_changed_where_they_are() {
        let rows: &[(&str, &str, &str, &[u8])] = &[
            ("colour", "red", "user.colour", b"red"),
            ("a%20b", "100%25", "user.a b", b"100%"),
            ("half", "100%", "user.half", b"100%"),
            ("word", "=?UTF-8?B?w7w=?=", "user.word", "ü".as_bytes()),
        ];
        for (key, text, name, value) in rows {
            let theirs = metadata(&[(key, text), ("mode", "33188"), ("goog-reserved-posix-uid", "1")]);
            assert_eq!(names(&theirs), [*name]);
            assert_eq!(get(&theirs, name).as_deref(), Some(*value), "{text}");
            let mut changed = theirs.clone();
            apply(&mut changed, &change(name, Some(b"50% off")));
            assert_eq!(changed.get(*key).map(String::as_str), Some("50%25 off"));
            assert_eq!(get(&changed, name).as_deref(), Some(&b"50% off"[..]));
            for odd in [&b"\0"[..], b" x", b"", b"=?UTF-8?B?w7w=?="] {
                apply(&mut changed, &change(name, Some(odd)));
                assert_eq!(changed.get(*key), None, "what no header carries goes where s3fs keeps it");
                assert_eq!(get(&changed, name).as_deref(), Some(odd));
            }
            apply(&mut changed, &change(name, None));
            assert_eq!((names(&changed).len(), changed.len()), (0, 2), "gone, and nothing else is");
        }
    }

    proptest! {
        #[test]
        fn what_is_set_is_there_and_what_is_removed_is_not(
            foreign in btree_map("[a-c]", "[ -~]{0,4}", 0..3),
            rounds in vec(btree_map("user\\.[a-eü\"]", option::of(vec(any::<u8>(), 0..5)), 0..4), 1..5),
        ) {
            let mut metadata: Metadata = foreign.clone();
            let mut want: BTreeMap<String, Vec<u8>> =
                foreign.iter().map(|(key, value)| (format!("user.{key}"), unescape(value))).collect();
            for changes in rounds {
                let before = metadata.clone();
                apply(&mut metadata, &changes);
                let mut again = metadata.clone();
                apply(&mut again, &changes);
                prop_assert_eq!(&again, &metadata, "twice is once");
                prop_assert!(!changes.is_empty() || before == metadata);
                for (name, value) in changes {
                    match value {
                        Some(value) => drop(want.insert(name, value)),
                        None => drop(want.remove(&name)),
                    }
                }
                prop_assert_eq!(names(&metadata), want.keys().cloned().collect::<Vec<_>>());
                for (name, value) in &want {
                    prop_assert_eq!(get(&metadata, name), Some(value.clone()), "{}", name);
                }
            }
        }
    }
}
