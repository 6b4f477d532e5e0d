//! Removing blobs: those that were dropped, as soon as nobody reads them, and those that a crash left behind.

use crate::server::backend::Handle;
use crate::server::backend::blobs::BlobDirectory;
use crate::server::backend::blobs::Blobs;
use crate::server::backend::error::Result;
use crate::server::backend::readers::Readers;
use crate::server::backend::record::BlobId;
use crossbeam_channel::Receiver;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The thread that removes blobs. It ends when the backend is dropped.
pub struct Collector {
    /// The blobs.
    pub blobs: Arc<Blobs>,
    /// Who reads them.
    pub readers: Weak<Readers>,
    /// Whether the backend is being dropped.
    pub stopping: Arc<AtomicBool>,
}

impl Collector {
    /// Starts it. `woken` gets a call whenever there may be blobs to remove.
    pub fn start(self, index: Handle, woken: Receiver<()>) -> io::Result<()> {
        std::thread::Builder::new().name("blob-remover".into()).spawn(move || self.run(index, &woken))?;
        Ok(())
    }

    fn run(&self, index: Handle, woken: &Receiver<()>) {
        if let Err(error) = self.collect_unnamed(&index) {
            tracing::warn!(%error, "cannot collect what an earlier run left behind");
        }
        drop(index);
        while woken.recv().is_ok() {
            let Some(readers) = self.readers.upgrade() else { return };
            self.blobs.remove(readers.take_removable());
        }
    }

    /// Removes the blobs of earlier runs that the index does not name. It never names one of those anew, so a blob
    /// that it does not name now may go, whatever else happens meanwhile.
    fn collect_unnamed(&self, index: &Handle) -> Result<()> {
        for directory in self.blobs.old_directories()? {
            if self.stopping.load(Ordering::Relaxed) {
                return Ok(());
            }
            let unnamed = unnamed(index, &directory)?;
            if !unnamed.is_empty() {
                tracing::info!(count = unnamed.len(), "removing blobs that an earlier run left behind");
            }
            self.blobs.remove(unnamed);
            directory.remove_if_empty();
        }
        Ok(())
    }
}

fn unnamed(index: &Handle, directory: &BlobDirectory) -> Result<Vec<BlobId>> {
    // The files first: a blob that is dropped in between is removed twice, which does no harm.
    let files = directory.ids()?;
    let named = index.snapshot()?.blobs(directory.first.0, directory.last().0)?;
    let named: BTreeSet<u64> = named.into_iter().collect();
    Ok(files.into_iter().filter(|id| !named.contains(&id.0)).collect())
}
