//! Pages of keys against a naive reading of the whole key set.

use super::*;
use crate::store::ETag;
use proptest::collection::btree_set;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::UNIX_EPOCH;

fn listed(key: &str) -> Listed {
    Listed { key: key.into(), size: 1, etag: ETag::new("e"), last_modified: UNIX_EPOCH, metadata: None }
}

/// What a store answers: keys under the prefix, rolled up, in pages of `limit` entries.
fn pages(keys: &BTreeSet<String>, prefix: &str, limit: usize) -> Vec<ListPage> {
    let mut entries: Vec<(String, bool)> = Vec::new();
    for key in keys.iter().filter(|key| key.starts_with(prefix)) {
        let entry = match key[prefix.len()..].find('/') {
            Some(at) => (key[..=prefix.len() + at].to_owned(), true),
            None => (key.clone(), false),
        };
        if entries.last() != Some(&entry) {
            entries.push(entry);
        }
    }
    let page = |chunk: &[(String, bool)]| ListPage {
        objects: chunk.iter().filter(|(_, rolled)| !rolled).map(|(key, _)| listed(key)).collect(),
        prefixes: chunk.iter().filter(|(_, rolled)| *rolled).map(|(key, _)| key.clone()).collect(),
        next: None,
    };
    entries.chunks(limit).map(page).collect()
}

proptest! {
    #[test]
    fn every_name_is_shown_once_and_directories_win(
        keys in btree_set("d/[ab./-]{0,4}", 0..12),
        limit in 1usize..5,
    ) {
        let mut accumulator = Pages::new("d/".into());
        let mut shown: Vec<(Arc<str>, Seen)> = Vec::new();
        for page in pages(&keys, "d/", limit) {
            shown.extend(accumulator.add(page));
        }
        shown.extend(accumulator.end());
        let mut want: BTreeMap<&str, bool> = BTreeMap::new();
        for key in &keys {
            if let Some((name, shape)) = child_name("d/", key) {
                *want.entry(name).or_default() |= shape == Shape::Prefix;
            }
        }
        prop_assert_eq!(shown.len(), want.len(), "{:?}", shown);
        for (name, seen) in &shown {
            prop_assert_eq!(want.get(&**name), Some(&(*seen == Seen::Directory)), "{}", name);
        }
        prop_assert_eq!(accumulator.has_marker(), keys.contains("d/"));
    }
}

#[test]
fn a_prefix_far_behind_its_object_still_wins() {
    let keys = ["d/a", "d/a-", "d/a-b", "d/a.", "d/a/x", "d/b"].map(str::to_owned).into();
    let mut accumulator = Pages::new("d/".into());
    let mut shown: Vec<_> = pages(&keys, "d/", 1).into_iter().flat_map(|page| accumulator.add(page)).collect();
    shown.extend(accumulator.end());
    let directories: Vec<_> = shown.iter().filter(|(_, seen)| *seen == Seen::Directory).map(|(n, _)| &**n).collect();
    assert_eq!(directories, ["a"]);
    assert_eq!(shown.len(), 5);
}
