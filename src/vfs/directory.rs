//! What a directory is known to hold, and how that follows the changes of this mount.

use crate::base::clock;
use crate::store::ListObjects;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::listing::Listing;
use crate::vfs::listing::Pages;
use crate::vfs::listing::Seen;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// After so many lookups by requests of their own, one listing is cheaper.
const LOOKUPS_BEFORE_LISTING: u32 = 2;

/// How long a name that led to nothing is believed to lead to nothing: programs look before they make something, and the
/// kernel does once more.
const ABSENCE_BELIEVED: Duration = Duration::from_secs(1);

/// What the remembered listing of a directory says of a name.
pub enum Remembered {
    /// It stands for this, as of that moment.
    Entry(Seen, Instant),
    /// Nothing has this name.
    Absent,
    /// There is no listing, or it is too old.
    Unknown,
}

impl Vfs {
    /// The directory with this id.
    pub(super) fn directory(&self, id: InodeId) -> Result<Arc<Inode>> {
        let inode = self.tree.get(id)?;
        if inode.kind == Kind::Directory { Ok(inode) } else { Err(Error::NotDirectory) }
    }

    /// What is known of a name without asking.
    pub(super) fn remembered(&self, directory: &Inode, name: &str) -> Remembered {
        let absent_ttl = ABSENCE_BELIEVED.min(self.options.metadata_ttl);
        let state = directory.state();
        match &state.directory.listing {
            Some(listing) if listing.asked.elapsed() < self.options.metadata_ttl => match listing.entries.get(name) {
                Some(seen) => Remembered::Entry(seen.clone(), listing.asked),
                None => Remembered::Absent,
            },
            Some(_) | None => match &state.directory.absent {
                Some((absent, asked)) if **absent == *name && asked.elapsed() < absent_ttl => Remembered::Absent,
                Some(_) | None => Remembered::Unknown,
            },
        }
    }

    /// Lists a directory if that is likely cheaper than asking for one name after the other, and says whether it did.
    /// Costs one request at most: a directory of more than one page is marked and not tried again.
    pub(super) async fn list_for_lookups(&self, directory: &Inode) -> Result<bool> {
        let changes = {
            let mut state = directory.state();
            let worth = state.directory.listing.is_some() || state.directory.lookups >= LOOKUPS_BEFORE_LISTING;
            state.directory.lookups += 1;
            if !worth || state.directory.large {
                return Ok(false);
            }
            state.directory.changes
        };
        let prefix = self.key_of(directory)?;
        let asked = clock::monotonic();
        let request = ListObjects { prefix: prefix.clone(), delimiter: Some("/".into()), ..ListObjects::default() };
        let page = self.store.list_objects(&request).await?;
        if page.next.is_some() {
            let mut state = directory.state();
            state.directory.large = true;
            state.directory.listing = None;
            return Ok(false);
        }
        let mut pages = Pages::new(prefix);
        let mut entries = pages.add(page);
        entries.append(&mut pages.end());
        let listing = Listing { entries: entries.into_iter().collect(), asked };
        Ok(self.remember(directory, listing, pages.has_marker(), changes))
    }

    /// Keeps a complete listing, unless this mount has changed the directory since it was asked for.
    pub(super) fn remember(&self, directory: &Inode, listing: Listing, marker: bool, changes: u64) -> bool {
        let mut state = directory.state();
        state.directory.marker = Some(marker);
        if state.directory.changes != changes {
            return false;
        }
        state.directory.listing = Some(listing);
        state.directory.lookups = 0;
        state.directory.large = false;
        true
    }

    /// This mount has put something under a name.
    pub(super) fn entry_added(&self, directory: &Inode, name: &Arc<str>, seen: Seen) {
        let mut state = directory.state();
        state.directory.changes += 1;
        state.directory.absent = None;
        if let Some(listing) = &mut state.directory.listing {
            listing.entries.insert(Arc::clone(name), seen);
        }
    }

    /// This mount has taken what stood under a name away.
    pub(super) fn entry_removed(&self, directory: &Inode, name: &str) {
        let mut state = directory.state();
        state.directory.changes += 1;
        state.directory.removed = Some(clock::monotonic());
        if let Some(listing) = &mut state.directory.listing {
            listing.entries.remove(name);
        }
    }
}
