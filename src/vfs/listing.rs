//! From pages of keys to the entries of a directory. Pure.

use crate::store::ListPage;
use crate::store::Listed;
use crate::vfs::attr::Posix;
use crate::vfs::inode::Version;
use crate::vfs::key::Shape;
use crate::vfs::key::child_name;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// More entries than this are not remembered: such a directory is read page by page, each time.
pub const ENTRIES_MAX: usize = 100_000;

/// What a listing shows under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Keys begin with `name/`.
    Directory,
    /// An object has the key.
    Object(Version, Option<Posix>),
}

/// All entries of a directory, as of some moment.
#[derive(Clone, Debug)]
pub struct Listing {
    /// What stands under each name.
    pub entries: BTreeMap<Arc<str>, Seen>,
    /// When the bucket was asked.
    pub asked: Instant,
}

/// Turns pages into entries. A name that stands for an object and a prefix is shown as the directory, since it has
/// entries of its own that could not be reached otherwise; the object is hidden.
#[derive(Debug)]
pub struct Pages {
    directory: String,
    marker: Option<Listed>,
    /// Objects whose names may turn out to be directories: each one's name is a prefix of the next one's.
    undecided: Vec<(Arc<str>, Seen)>,
}

impl Pages {
    /// For the directory whose keys begin with `directory`.
    #[must_use]
    pub fn new(directory: String) -> Self {
        Self { directory, marker: None, undecided: Vec::new() }
    }

    /// Whether the directory's own marker was among the keys.
    #[must_use]
    pub fn has_marker(&self) -> bool {
        self.marker.is_some()
    }

    /// The directory's own marker, if it was among the keys.
    #[must_use]
    pub fn marker(&self) -> Option<&Listed> {
        self.marker.as_ref()
    }

    /// The entries that are certain after this page. Names come in any order.
    pub fn add(&mut self, page: ListPage) -> Vec<(Arc<str>, Seen)> {
        let mut certain = Vec::new();
        let mut objects = page.objects.into_iter().peekable();
        let mut prefixes = page.prefixes.into_iter().peekable();
        loop {
            // Both lists ascend; together they are in the order of the keys, also from page to page.
            let object_first = match (objects.peek(), prefixes.peek()) {
                (Some(object), Some(prefix)) => object.key < *prefix,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return certain,
            };
            if object_first {
                objects.next().into_iter().for_each(|object| self.object(object, &mut certain));
            } else {
                prefixes.next().into_iter().for_each(|prefix| self.prefix(&prefix, &mut certain));
            }
        }
    }

    /// The entries that only the end of the listing makes certain.
    pub fn end(&mut self) -> Vec<(Arc<str>, Seen)> {
        std::mem::take(&mut self.undecided)
    }

    fn object(&mut self, object: Listed, certain: &mut Vec<(Arc<str>, Seen)>) {
        if object.key == self.directory {
            self.marker = Some(object);
            return;
        }
        match child_name(&self.directory, &object.key) {
            Some((name, Shape::Object)) => {
                let name = Arc::from(name);
                self.decide(&name, certain);
                let posix = object.metadata.as_ref().map(Posix::parse);
                let Listed { size, etag, last_modified, .. } = object;
                self.undecided.push((name, Seen::Object(Version { etag, size, last_modified }, posix)));
            }
            // A store that rolled nothing up: the key lies deeper.
            Some((name, Shape::Prefix)) => self.directory_named(name, certain),
            None => {}
        }
    }

    fn prefix(&mut self, prefix: &str, certain: &mut Vec<(Arc<str>, Seen)>) {
        if let Some((name, _)) = child_name(&self.directory, prefix) {
            self.directory_named(name, certain);
        }
    }

    fn directory_named(&mut self, name: &str, certain: &mut Vec<(Arc<str>, Seen)>) {
        let name = Arc::from(name);
        self.decide(&name, certain);
        self.undecided.retain(|(undecided, _)| *undecided != name);
        if certain.last().is_none_or(|(last, _)| *last != name) {
            certain.push((name, Seen::Directory));
        }
    }

    /// Names that are no prefix of this one cannot turn out to be directories any more: their keys would have come.
    fn decide(&mut self, name: &Arc<str>, certain: &mut Vec<(Arc<str>, Seen)>) {
        while let Some((last, _)) = self.undecided.last() {
            if name.starts_with(&**last) {
                break;
            }
            certain.extend(self.undecided.pop());
        }
    }
}

#[cfg(test)]
mod tests;
