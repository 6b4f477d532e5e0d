//! What a directory is known to hold, and how that follows the changes of this mount.

use crate::base::clock;
use crate::store::ListObjects;
use crate::store::Listed;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::listing::Listing;
use crate::vfs::listing::Pages;
use crate::vfs::listing::Seen;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// After so many lookups by requests of their own, one listing is cheaper; at once where it tells all that lookups do.
const LOOKUPS_BEFORE_LISTING: u32 = 2;
/// Pages that are read to answer lookups: a thousand files and their directory's marker are one key more than a page.
const PAGES_MAX: u32 = 2;
/// A directory with more pages is tried again after so many lookups, and each time that they have doubled, ...
const LOOKUPS_BEFORE_MORE: u32 = 64;
/// ... with one page for so many of them, so that going through a directory name by name costs little more than listings.
const LOOKUPS_PER_PAGE: u32 = 8;

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

    /// Whether a listing answers for its entries as lookups of their own would.
    pub(super) fn listings_tell_all(&self) -> bool {
        self.store.facts().listing_metadata && self.keeps_attributes()
    }

    /// Lists a directory if that is likely cheaper than asking for one name after the other, and says whether it did.
    pub(super) async fn list_for_lookups(&self, directory: &Inode) -> Result<bool> {
        let pages_max = {
            let mut state = directory.state();
            let of = &mut state.directory;
            of.lookups = of.lookups.saturating_add(1);
            let worth = self.listings_tell_all() || of.listing.is_some() || of.lookups > LOOKUPS_BEFORE_LISTING;
            let again = of.lookups >= LOOKUPS_BEFORE_MORE && of.lookups.is_power_of_two();
            match (of.large, worth) {
                (true, _) if again => of.lookups / LOOKUPS_PER_PAGE,
                (false, true) => PAGES_MAX,
                (true, _) | (false, false) => return Ok(false),
            }
        };
        let (_, kept) = self.list_pages(directory, pages_max).await?;
        Ok(kept)
    }

    /// Lists a directory of so many pages at most: its marker, and whether all of it is remembered now. One that has
    /// more is marked as large.
    pub(super) async fn list_pages(&self, directory: &Inode, pages_max: u32) -> Result<(Option<Listed>, bool)> {
        let changes = directory.state().directory.changes;
        let prefix = self.key_of(directory)?;
        let asked = clock::monotonic();
        let mut request = ListObjects { prefix: prefix.clone(), delimiter: Some("/".into()), ..ListObjects::default() };
        let mut pages = Pages::new(prefix);
        let mut entries = BTreeMap::new();
        for _ in 0..pages_max {
            let mut page = self.store.list_objects(&request).await?;
            request.continuation = page.next.take();
            entries.extend(pages.add(page));
            if request.continuation.is_none() {
                entries.extend(pages.end());
                let listing = Listing { entries, asked };
                let kept = self.remember(directory, listing, pages.has_marker(), changes);
                return Ok((pages.marker().cloned(), kept));
            }
        }
        let mut state = directory.state();
        state.directory.large = true;
        state.directory.listing = None;
        Ok((pages.marker().cloned(), false))
    }

    /// The marker of a directory that was only seen as a prefix, where listings have its metadata. What it holds is
    /// remembered with it: who looks at a directory mostly goes on into it.
    pub(super) async fn listed_marker(&self, directory: &Inode) -> Result<Option<Listed>> {
        Ok(self.list_pages(directory, PAGES_MAX).await?.0)
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
