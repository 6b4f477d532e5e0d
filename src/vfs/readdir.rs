//! Reading directories: pages of keys become entries while they arrive.
//!
//! One listing answers both names and attributes. What this mount has not committed yet is shown first.

use crate::base::clock;
use crate::store::ListObjects;
use crate::vfs::Entry;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::directory::Remembered;
use crate::vfs::error::Result;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::listing::ENTRIES_MAX;
use crate::vfs::listing::Listing;
use crate::vfs::listing::Pages;
use crate::vfs::listing::Seen;
use crate::vfs::lookup::Found;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Entries kept behind the place that was read last, for a program that goes back a little.
const KEPT_BEHIND: usize = 2048;

/// One entry of a directory.
pub struct Item {
    /// Where reading goes on after it.
    pub next: u64,
    /// Its name.
    pub name: Arc<str>,
    /// What it is, as far as the listing tells.
    pub kind: Kind,
    /// The number to show; [`UNKNOWN_ID`] where none is known.
    pub id: u64,
    /// The inode and its attributes, if they were wanted; not to be believed for any time where the listing did not tell
    /// all of them.
    pub entry: Option<Entry>,
}

/// Shown where no number is known: not 0, which the C library takes for a deleted entry.
pub const UNKNOWN_ID: u64 = u32::MAX as u64;

/// Whether the caller has room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It took the entry.
    Taken,
    /// It had no room for the entry; reading goes on with it.
    Full,
}

/// Which attributes a reader of a directory wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Names and kinds.
    Names,
    /// Attributes too; every entry that is given out with them counts as a lookup.
    Attributes,
}

/// Where a program stands in an open directory.
pub struct Cursor {
    directory: Arc<Inode>,
    pass: Option<Pass>,
}

/// Where an entry comes from.
#[derive(Clone)]
enum Shown {
    /// From this mount, which has not committed it yet.
    Local,
    /// From a listing that was asked for then.
    Listed(Seen, Instant),
}

/// One pass from the start of a directory to its end.
struct Pass {
    pages: Pages,
    next_page: Option<String>,
    complete: bool,
    asked: Instant,
    changes: u64,
    /// Index of the first entry of `window` in the whole directory.
    first: usize,
    window: VecDeque<(Arc<str>, Shown)>,
    /// Names of this mount that the bucket does not have yet, or not in this version.
    local: HashSet<Arc<str>>,
    /// All entries, to be remembered; given up when there are too many.
    collected: Option<BTreeMap<Arc<str>, Seen>>,
}

impl Cursor {
    /// At the start.
    #[must_use]
    pub fn new(directory: Arc<Inode>) -> Self {
        Self { directory, pass: None }
    }

    /// The directory that it is in.
    #[must_use]
    pub fn directory(&self) -> InodeId {
        self.directory.id
    }
}

impl Vfs {
    /// Opens a directory for reading.
    ///
    /// # Errors
    /// [`Error::NotDirectory`](crate::vfs::Error::NotDirectory).
    pub fn opendir(&self, id: InodeId) -> Result<HandleId> {
        let directory = self.directory(id)?;
        Ok(self.handles.add_directory(Cursor::new(directory)))
    }

    /// Closes a directory.
    pub fn releasedir(&self, handle: HandleId) {
        self.handles.remove_directory(handle);
    }

    /// Gives the entries from `offset` on (0 for the first) to `take`, until it has no more room.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn readdir(
        &self,
        handle: HandleId,
        offset: u64,
        detail: Detail,
        mut take: impl FnMut(Item) -> Room,
    ) -> Result<()> {
        let cursor = self.handles.directory(handle)?;
        let mut cursor = cursor.lock().await;
        let directory = Arc::clone(&cursor.directory);
        let mut index = usize::try_from(offset).unwrap_or(usize::MAX);
        for (at, name) in [".", ".."].into_iter().enumerate().skip(index) {
            let id =
                if at == 0 { directory.id.0 } else { self.tree.parent(directory.id).map_or(UNKNOWN_ID, |up| up.id.0) };
            let item = Item { next: at as u64 + 1, name: name.into(), kind: Kind::Directory, id, entry: None };
            if take(item) == Room::Full {
                return Ok(());
            }
        }
        index = index.saturating_sub(2);
        if cursor.pass.as_ref().is_none_or(|pass| index == 0 || index < pass.first) {
            cursor.pass = Some(self.begin_pass(&directory)?);
        }
        let pass = cursor.pass.as_mut().expect("just begun");
        while let Some((name, shown)) = self.entry_at(&directory, pass, index).await? {
            let Some(item) = self.item(&directory, index, name, shown, detail) else {
                index += 1;
                continue;
            };
            let counted = item.entry.as_ref().map(|entry| entry.inode.id);
            if take(item) == Room::Full {
                counted.into_iter().for_each(|id| self.tree.forget(id, 1));
                break;
            }
            index += 1;
        }
        Ok(())
    }

    fn begin_pass(&self, directory: &Arc<Inode>) -> Result<Pass> {
        let prefix = self.key_of(directory)?;
        let local = self.local_names(directory.id);
        let mut window: VecDeque<_> = local.iter().map(|name| (Arc::clone(name), Shown::Local)).collect();
        let state = directory.state();
        let (mut complete, mut asked, mut collected) = (false, clock::monotonic(), Some(BTreeMap::new()));
        let fresh = |listing: &&Listing| listing.asked.elapsed() < self.options.metadata_ttl;
        if let Some(listing) = state.directory.listing.as_ref().filter(fresh) {
            (complete, asked, collected) = (true, listing.asked, None);
            let others = listing.entries.iter().filter(|(name, _)| !local.contains(*name));
            window.extend(others.map(|(name, seen)| (Arc::clone(name), Shown::Listed(seen.clone(), asked))));
        }
        let changes = state.directory.changes;
        let pages = Pages::new(prefix);
        Ok(Pass { pages, next_page: None, complete, asked, changes, first: 0, window, local, collected })
    }

    /// Names whose files are being written and are not in the bucket yet.
    fn local_names(&self, directory: InodeId) -> HashSet<Arc<str>> {
        let children = self.tree.children(directory).into_iter();
        let ahead = |inode: &Inode| {
            let state = inode.state();
            state.version.is_none() && state.draft.is_some()
        };
        children.filter(|(_, inode)| ahead(inode)).map(|(name, _)| name).collect()
    }

    async fn entry_at(
        &self,
        directory: &Arc<Inode>,
        pass: &mut Pass,
        index: usize,
    ) -> Result<Option<(Arc<str>, Shown)>> {
        while index >= pass.first + pass.window.len() && !pass.complete {
            self.next_page(directory, pass).await?;
        }
        if pass.collected.is_none() && !pass.complete {
            while index.saturating_sub(pass.first) > KEPT_BEHIND && pass.window.pop_front().is_some() {
                pass.first += 1;
            }
        }
        Ok(index.checked_sub(pass.first).and_then(|at| pass.window.get(at)).cloned())
    }

    async fn next_page(&self, directory: &Arc<Inode>, pass: &mut Pass) -> Result<()> {
        let request = ListObjects {
            prefix: self.key_of(directory)?,
            delimiter: Some("/".into()),
            continuation: pass.next_page.take(),
            ..ListObjects::default()
        };
        let asked = clock::monotonic();
        let page = self.store.list_objects(&request).await?;
        pass.next_page.clone_from(&page.next);
        let mut entries = pass.pages.add(page);
        if pass.next_page.is_none() {
            entries.append(&mut pass.pages.end());
            pass.complete = true;
        }
        if let Some(collected) = &mut pass.collected {
            collected.extend(entries.iter().cloned());
        }
        pass.collected.take_if(|collected| collected.len() > ENTRIES_MAX);
        let others = entries.into_iter().filter(|(name, _)| !pass.local.contains(name));
        pass.window.extend(others.map(|(name, seen)| (name, Shown::Listed(seen, asked))));
        if pass.complete
            && let Some(entries) = pass.collected.take()
        {
            let listing = Listing { entries, asked: pass.asked };
            self.remember(directory, listing, pass.pages.has_marker(), pass.changes);
        }
        Ok(())
    }

    /// The entry to show, with attributes if they are wanted and known. `None` for what has gone meanwhile.
    fn item(&self, directory: &Arc<Inode>, index: usize, name: Arc<str>, shown: Shown, detail: Detail) -> Option<Item> {
        let next = index as u64 + 3;
        let (mut seen, asked) = match shown {
            Shown::Listed(seen, asked) => (seen, asked),
            Shown::Local => {
                let inode = self.tree.child(directory.id, &name)?;
                let (kind, id) = (inode.kind, inode.id.0);
                let entry = (detail == Detail::Attributes).then(|| self.counted(inode));
                return Some(Item { next, name, kind, id, entry });
            }
        };
        if let Remembered::Absent = self.remembered(directory, &name) {
            return None;
        }
        if let Seen::Object(version, posix @ None) = &mut seen {
            *posix = self.known_metadata(&format!("{}{name}", self.tree.key(directory)?), version);
        }
        let kind = match &seen {
            Seen::Directory => Kind::Directory,
            Seen::Object(_, posix) => posix.unwrap_or_default().kind(),
        };
        let known = self.tree.child(directory.id, &name).map(|inode| inode.id.0);
        if detail == Detail::Names {
            let id = known.unwrap_or(UNKNOWN_ID);
            return Some(Item { next, name, kind, id, entry: None });
        }
        let found = Found { seen, headers: None, marker: None, asked };
        let inode = self.admit_seen(directory.id, &name, &found);
        // What this mount has removed since then must not come to life again by being listed: whoever wants it asks.
        if known.is_none() && directory.state().directory.removed.is_some_and(|removed| removed >= asked) {
            inode.state().checked = None;
        }
        let entry = self.counted(inode);
        let (kind, id, entry) = (entry.inode.kind, entry.inode.id.0, Some(entry));
        Some(Item { next, name, kind, id, entry })
    }
}
