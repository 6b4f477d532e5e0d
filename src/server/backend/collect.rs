//! Removing blobs: those that were dropped, as soon as nobody reads them, and those that a crash left behind.

use crate::server::backend::blobs::BlobDirectory;
use crate::server::backend::blobs::Blobs;
use crate::server::backend::error::Result;
use crate::server::backend::index::Snapshot;
use crate::server::backend::readers::Readers;
use crate::server::backend::record::BlobId;
use crossbeam_channel::Receiver;
use redb::Database;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Weak;

/// Starts the thread that removes blobs. It ends when the backend is dropped.
pub fn start(
    database: Weak<Database>,
    blobs: Arc<Blobs>,
    readers: Weak<Readers>,
    woken: Receiver<()>,
) -> io::Result<()> {
    let run = move || {
        if let Err(error) = collect_unnamed(&database, &blobs) {
            tracing::warn!(%error, "cannot collect what an earlier run left behind");
        }
        while woken.recv().is_ok() {
            let Some(readers) = readers.upgrade() else { return };
            blobs.remove(readers.take_removable());
        }
    };
    std::thread::Builder::new().name("blob-remover".into()).spawn(run)?;
    Ok(())
}

/// Removes the blobs of earlier runs that the index does not name. It never names one of those anew, so a blob that
/// it does not name now may go, whatever else happens meanwhile.
fn collect_unnamed(database: &Weak<Database>, blobs: &Blobs) -> Result<()> {
    for directory in blobs.old_directories()? {
        let Some(database) = database.upgrade() else { return Ok(()) };
        let unnamed = unnamed(&Snapshot::new(&database)?, &directory)?;
        drop(database);
        if !unnamed.is_empty() {
            tracing::info!(count = unnamed.len(), "removing blobs that an earlier run left behind");
        }
        blobs.remove(unnamed);
        directory.remove_if_empty();
    }
    Ok(())
}

fn unnamed(snapshot: &Snapshot, directory: &BlobDirectory) -> Result<Vec<BlobId>> {
    // The files first: a blob is only ever dropped, so what is in the list of names was there before.
    let files = directory.ids()?;
    let named: BTreeSet<u64> = snapshot.blobs(directory.first.0, directory.last().0)?.into_iter().collect();
    Ok(files.into_iter().filter(|id| !named.contains(&id.0)).collect())
}
