//! Which journal a mount has: where it is, and what an earlier mount has left in it.

use crate::journal::Journal;
use crate::journal::directory;
use crate::journal::directory::Directory;
use crate::journal::limit::Limit;
use crate::journal::log;
use crate::mount::plan::Plan;
use crate::mount::reach::Error;
use crate::mount::source::Source;
use crate::mount::uploads::identity;
use crate::store::UploadId;
use crate::vfs::Durability;
use crate::writer::disk::Disk;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How often a journal that another mount has is asked for, and the time between: two seconds.
const ATTEMPTS: u32 = 41;
const PAUSE: Duration = Duration::from_millis(50);

/// What a mount keeps on local disk.
pub struct Local {
    /// For what memory cannot hold, or must not be the only one to hold.
    pub disk: Option<Disk>,
    /// The journal, if the mount has one or an earlier one has left something in it.
    pub journal: Option<Arc<Journal>>,
}

/// Opens the journal that a mount asks for, or that an earlier mount of the same source has not emptied.
///
/// # Errors
/// When the directory cannot be used, or another mount has it.
pub async fn open(plan: &Plan) -> Result<Local, Error> {
    let scratch = plan.vfs.journal_dir.as_deref().map(Disk::new);
    let Some(place) = place(plan).filter(|_| !plan.vfs.read_only) else {
        return Ok(Local { disk: scratch.filter(|_| !plan.vfs.read_only), journal: None });
    };
    let wanted = plan.vfs.durability == Durability::Journal;
    let left =
        place.exists() && log::peek(&place).is_ok_and(|state| !state.drafts.is_empty() || !state.removals.is_empty());
    if !wanted && !left {
        if let (Some(disk), Some(dir)) = (&scratch, &plan.vfs.journal_dir) {
            disk.check().map_err(|cause| Error::Journal { dir: dir.clone(), cause })?;
        }
        return Ok(Local { disk: scratch, journal: None });
    }
    let directory = open_soon(&place).await.map_err(Error::JournalDirectory)?;
    let journal = Journal::open(directory).map_err(|cause| Error::Journal { dir: place, cause })?;
    let journal = Arc::new(journal);
    let disk = Disk::journal(Arc::clone(&journal), Limit::new(plan.journal_limit));
    Ok(Local { disk: Some(disk), journal: Some(journal) })
}

/// A mount that is ending holds its journal for a moment after it is unmounted, or has been killed.
async fn open_soon(place: &Path) -> Result<Directory, directory::Error> {
    for _ in 1..ATTEMPTS {
        match Directory::open(place) {
            Err(directory::Error::Busy(_)) => tokio::time::sleep(PAUSE).await,
            done => return done,
        }
    }
    Directory::open(place)
}

/// Where the journal of a source is: beside those of others.
fn place(plan: &Plan) -> Option<PathBuf> {
    let beside_state = || plan.state_dir.as_ref().map(|dir| dir.join("journal"));
    let base = plan.vfs.journal_dir.clone().or_else(beside_state)?;
    let whole = match &plan.source {
        Source::Local { .. } => identity(&plan.source, &plan.endpoint),
        Source::Bucket { .. } => format!("{} below {}", identity(&plan.source, &plan.endpoint), plan.vfs.prefix),
    };
    Some(base.join(directory::name(&whole)))
}

/// The uploads that will be gone on with: they are not left behind.
#[must_use]
pub fn resumed(journal: &Journal) -> BTreeSet<(String, UploadId)> {
    let uploads = journal.state().drafts.into_values().filter_map(|kept| kept.upload);
    uploads.map(|(key, upload)| (key, UploadId(upload))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    #[tokio::test(start_paused = true)]
    async fn a_mount_that_is_ending_is_waited_for_and_one_that_stays_is_not() {
        let home = TempDir::new().unwrap();
        let held = Directory::open(home.path()).unwrap();
        assert!(matches!(open_soon(home.path()).await, Err(directory::Error::Busy(_))));
        let ends = async {
            tokio::time::sleep(PAUSE * 3).await;
            drop(held);
        };
        let (opened, ()) = tokio::join!(open_soon(home.path()), ends);
        assert!(opened.is_ok());
    }
}
