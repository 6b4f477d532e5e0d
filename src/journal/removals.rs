//! Objects that are to be removed, noted in a log until they are: in that of a mount's slot, or in the journal's.

use crate::base::clock;
use crate::journal::Journal;
use crate::journal::log::Log;
use crate::journal::record::Record;
use crate::journal::record::RemovalId;
use crate::journal::recover::OpenRemoval;
use crate::journal::recover::State;
use crate::journal::uploads::Uploads;
use crate::store::layers::removals::Intents;
use crate::store::layers::removals::Left;
use crate::wire::etag::ETag;
use async_trait::async_trait;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

/// The removals of one log.
struct Noted {
    place: Place,
    complained: AtomicBool,
}

enum Place {
    /// Outlives the process.
    Slot(Arc<Uploads>),
    /// Outlives the machine.
    Journal(Arc<Journal>),
}

/// Removals noted in the slot of a mount: they outlive its process.
#[must_use]
pub fn of_slot(slot: &Arc<Uploads>) -> Arc<dyn Intents> {
    Arc::new(Noted { place: Place::Slot(Arc::clone(slot)), complained: AtomicBool::new(false) })
}

/// Removals noted in a journal: they outlive the machine, as all that is in it.
#[must_use]
pub fn of_journal(journal: &Arc<Journal>) -> Arc<dyn Intents> {
    Arc::new(Noted { place: Place::Journal(Arc::clone(journal)), complained: AtomicBool::new(false) })
}

/// What a log had that is not over.
#[must_use]
pub fn left(intents: Arc<dyn Intents>, state: &State) -> Vec<Left> {
    let one = |(removal, open): (&RemovalId, &OpenRemoval)| Left {
        key: open.key.clone(),
        etag: open.etag.clone(),
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(open.at_ms),
        removal: removal.0,
        intents: Arc::clone(&intents),
    };
    state.removals.iter().map(one).collect()
}

impl Noted {
    fn log(&self) -> &Log {
        match &self.place {
            Place::Slot(slot) => slot.log(),
            Place::Journal(journal) => journal.log(),
        }
    }

    // One complaint is enough: the disk will not be better for the next.
    fn complain(&self, error: &io::Error) {
        if !self.complained.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "cannot note removals: each is carried out before it is acknowledged");
        }
    }
}

#[async_trait]
impl Intents for Noted {
    fn intend(&self, key: &str, etag: &ETag) -> io::Result<u64> {
        let removal = self.log().next_removal();
        let since = clock::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let record = Record::Removing { removal, key: key.to_owned(), etag: etag.clone(), at_ms };
        self.log().append(&record).inspect_err(|error| self.complain(error))?;
        Ok(removal.0)
    }

    async fn secure(&self) -> io::Result<()> {
        match &self.place {
            Place::Slot(_) => Ok(()),
            Place::Journal(journal) => journal.sync().await,
        }
    }

    // Synced in either case: should the machine lose this and keep the note, the next mount would remove what was put
    // under the key meanwhile, if it is the same.
    async fn ended(&self, removals: Vec<u64>) {
        let record = Record::Removed { removals: removals.into_iter().map(RemovalId).collect() };
        let done = match self.log().append(&record) {
            Ok(()) => self.log().sync().await,
            Err(error) => Err(error),
        };
        if let Err(error) = done {
            self.complain(&error);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::directory::Directory;
    use tempfile::TempDir;

    fn keys(left: Vec<Left>) -> Vec<(String, u64)> {
        left.into_iter().map(|left| (left.key, left.removal)).collect()
    }

    #[tokio::test]
    async fn the_next_mount_finds_in_a_slot_what_is_not_over() {
        let home = TempDir::new().unwrap();
        let (slot, leftovers) = Uploads::open(home.path()).unwrap();
        assert!(leftovers.removals().is_empty());
        let noted = of_slot(&slot);
        let [a, b, c] = ["a", "b", "c"].map(|key| noted.intend(key, &ETag::new("tag")).unwrap());
        noted.ended(vec![a, c]).await;
        drop((slot, leftovers, noted));
        let (slot, leftovers) = Uploads::open(home.path()).unwrap();
        let left = leftovers.removals();
        assert_eq!((left[0].etag.as_str(), clock::now() >= left[0].at), ("tag", true));
        left[0].intents.ended(vec![b]).await;
        assert!(of_slot(&slot).intend("d", &ETag::new("tag")).unwrap() > c, "no number is used twice");
        drop((slot, leftovers, left));
        let (_slot, leftovers) = Uploads::open(home.path()).unwrap();
        assert_eq!(keys(leftovers.removals()), [("d".to_owned(), c + 1)]);
    }

    #[tokio::test]
    async fn a_journal_keeps_removals_beside_its_drafts() {
        let home = TempDir::new().unwrap();
        let open = || Arc::new(Journal::open(Directory::open(home.path()).unwrap()).unwrap());
        let journal = open();
        let noted = of_journal(&journal);
        let removals: Vec<u64> =
            (0..3000).map(|i| noted.intend(&format!("k{i}"), &ETag::new("tag")).unwrap()).collect();
        noted.secure().await.unwrap();
        noted.ended(removals[1..].to_vec()).await;
        drop((noted, journal));
        let journal = open();
        assert_eq!(keys(left(of_journal(&journal), &journal.state())), [("k0".to_owned(), removals[0])]);
    }
}
