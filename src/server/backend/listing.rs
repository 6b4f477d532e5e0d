//! Pages of names: pure, over any ordered set of keys.
//!
//! The names of a listing are the keys under a prefix, but keys that go on behind the prefix with a delimiter
//! somewhere are rolled into one common prefix. Names ascend by their bytes; a page begins after a name. Keys that
//! are rolled up are skipped, not read.

use std::ops::Bound;

/// An ordered set of keys to walk through.
pub trait Cursor {
    /// What belongs to a key.
    type Entry;
    /// Why it cannot be read.
    type Error;
    /// Goes to the first key at or after a place.
    fn seek(&mut self, place: Bound<&[u8]>) -> Result<(), Self::Error>;
    /// The next key.
    fn next(&mut self) -> Result<Option<(String, Self::Entry)>, Self::Error>;
}

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Keys begin so.
    pub prefix: String,
    /// Where keys are rolled up; not empty.
    pub delimiter: Option<String>,
    /// Names come after this one.
    pub after: String,
    /// At most so many names.
    pub limit: usize,
}

/// One page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<E> {
    /// Keys that are not rolled up.
    pub keys: Vec<(String, E)>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// The last name, if there are more behind it.
    pub next: Option<String>,
}

/// Walks through one page.
pub fn page<C: Cursor>(query: &Query, cursor: &mut C) -> Result<Page<C::Entry>, C::Error> {
    let mut page = Page { keys: Vec::new(), prefixes: Vec::new(), next: None };
    if query.limit == 0 {
        return Ok(page);
    }
    let mut last = String::new();
    seek_first(query, cursor)?;
    while let Some((key, entry)) = cursor.next()? {
        let Some(rest) = key.strip_prefix(&query.prefix) else { break };
        let rolled = roll_up(rest, query.delimiter.as_deref());
        if page.keys.len() + page.prefixes.len() == query.limit {
            page.next = Some(last);
            break;
        }
        match rolled {
            Some(bytes) => {
                let common = key[..query.prefix.len() + bytes].to_owned();
                cursor.seek(Bound::Included(&behind(&common)))?;
                last.clone_from(&common);
                page.prefixes.push(common);
            }
            None => {
                last.clone_from(&key);
                page.keys.push((key, entry));
            }
        }
    }
    Ok(page)
}

fn seek_first<C: Cursor>(query: &Query, cursor: &mut C) -> Result<(), C::Error> {
    match query.after.strip_prefix(&query.prefix).map(|rest| roll_up(rest, query.delimiter.as_deref())) {
        // A name inside of a common prefix, or that prefix itself: all of it lies at or before the name.
        Some(Some(bytes)) => cursor.seek(Bound::Included(&behind(&query.after[..query.prefix.len() + bytes]))),
        Some(None) if query.after.is_empty() => cursor.seek(Bound::Included(b"")),
        Some(None) => cursor.seek(Bound::Excluded(query.after.as_bytes())),
        None if query.after.as_bytes() > query.prefix.as_bytes() => {
            cursor.seek(Bound::Excluded(query.after.as_bytes()))
        }
        None => cursor.seek(Bound::Included(query.prefix.as_bytes())),
    }
}

/// How many bytes of what stands behind the prefix belong to a common prefix.
fn roll_up(rest: &str, delimiter: Option<&str>) -> Option<usize> {
    let delimiter = delimiter?;
    rest.find(delimiter).map(|at| at + delimiter.len())
}

/// The least byte string behind everything that begins with `prefix`.
fn behind(prefix: &str) -> Vec<u8> {
    let mut out = prefix.as_bytes().to_vec();
    // No byte of UTF-8 is 0xff.
    *out.last_mut().expect("a common prefix ends with a delimiter") += 1;
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_set;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    struct Keys<'a> {
        all: &'a BTreeSet<String>,
        at: Bound<Vec<u8>>,
        read: usize,
    }

    impl Cursor for Keys<'_> {
        type Entry = ();
        type Error = Infallible;

        fn seek(&mut self, place: Bound<&[u8]>) -> Result<(), Infallible> {
            self.at = place.map(<[u8]>::to_vec);
            Ok(())
        }

        fn next(&mut self) -> Result<Option<(String, ())>, Infallible> {
            self.read += 1;
            let lies_behind = |key: &&String| match &self.at {
                Bound::Included(at) => key.as_bytes() >= at.as_slice(),
                Bound::Excluded(at) => key.as_bytes() > at.as_slice(),
                Bound::Unbounded => true,
            };
            let found = self.all.iter().find(lies_behind).cloned();
            if let Some(key) = &found {
                self.at = Bound::Excluded(key.clone().into_bytes());
            }
            Ok(found.map(|key| (key, ())))
        }
    }

    fn keys(all: &BTreeSet<String>) -> Keys<'_> {
        Keys { all, at: Bound::Unbounded, read: 0 }
    }

    /// All names, by the definition.
    fn names(all: &BTreeSet<String>, query: &Query) -> BTreeSet<String> {
        let under = all.iter().filter(|key| key.starts_with(&query.prefix));
        let rolled = under.map(|key| match &query.delimiter {
            Some(delimiter) => match key[query.prefix.len()..].find(delimiter.as_str()) {
                Some(at) => key[..query.prefix.len() + at + delimiter.len()].to_owned(),
                None => key.clone(),
            },
            None => key.clone(),
        });
        // A name in a common prefix stands for that prefix: a page after it does not show the prefix once more.
        rolled.filter(|name| name.as_str() > query.after.as_str()).collect()
    }

    #[test]
    fn keys_that_are_rolled_up_are_not_read() {
        let all: BTreeSet<String> = (0..1000).map(|n| format!("a/{n}")).chain(["b".to_owned()]).collect();
        let mut cursor = keys(&all);
        let query = Query { delimiter: Some("/".into()), limit: 10, ..Query::default() };
        let page = page(&query, &mut cursor).unwrap();
        assert_eq!((page.prefixes, page.keys, page.next), (vec!["a/".into()], vec![("b".into(), ())], None));
        assert_eq!(cursor.read, 3);
    }

    proptest! {
        #[test]
        fn a_page_is_what_the_definition_says(
            all in btree_set("[ab/é]{1,5}", 0..25),
            prefix in "[ab/é]{0,2}",
            delimiter in prop::option::of("[ab/é]{1,2}"),
            after in "[ab/é]{0,4}",
            limit in 0usize..6,
        ) {
            let query = Query { prefix, delimiter, after, limit };
            let want: Vec<String> = names(&all, &query).into_iter().collect();
            let got = page(&query, &mut keys(&all)).unwrap();
            let mut shown: Vec<String> = got.keys.into_iter().map(|(key, ())| key).chain(got.prefixes).collect();
            shown.sort();
            prop_assert_eq!(&shown[..], &want[..limit.min(want.len())]);
            let more = limit > 0 && want.len() > limit;
            prop_assert_eq!(got.next, more.then(|| shown.last().unwrap().clone()));
        }

        #[test]
        fn pages_together_are_the_whole(
            all in btree_set("[ab/]{1,5}", 0..25),
            delimiter in prop::option::of(Just("/".to_owned())),
            limit in 1usize..4,
        ) {
            let mut query = Query { delimiter, limit, ..Query::default() };
            let want = names(&all, &Query { after: String::new(), ..query.clone() });
            let mut got = BTreeSet::new();
            loop {
                let page = page(&query, &mut keys(&all)).unwrap();
                got.extend(page.keys.into_iter().map(|(key, ())| key).chain(page.prefixes));
                match page.next {
                    Some(next) => query.after = next,
                    None => break,
                }
            }
            prop_assert_eq!(got, want);
        }
    }
}
