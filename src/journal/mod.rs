//! What must outlive the process, on local disk: sealed drafts, and the uploads that this machine has begun.
//!
//! [`directory`] keeps two processes apart, [`frame`] tells whole records from torn ones, [`log`] appends [`record`]s
//! and [`recover`] says what they amount to; bytes of files are in [`data`], counted by [`limit`]. [`uploads`] is the
//! memory of multipart uploads, [`removals`] that of objects that are to go. Nothing here speaks to a store: whoever mounts does what the journal asks for.
//! `docs/decisions/0002-journal.md` has the format and why it is so.

pub mod data;
pub mod directory;
pub mod frame;
pub mod limit;
pub mod log;
pub mod record;
pub mod recover;
pub mod removals;
pub mod uploads;

use crate::journal::data::DataFile;
use crate::journal::directory::Directory;
use crate::journal::log::Log;
use crate::journal::record::DraftId;
use crate::journal::record::Record;
use crate::journal::record::Sealed;
use crate::journal::recover::State;
use std::io;
use std::sync::Arc;

/// The journal of one mount: its log and the data files of its drafts.
pub struct Journal {
    directory: Directory,
    log: Log,
}

impl Journal {
    /// Opens it, and removes the data of drafts that were never sealed: nobody was told that they are safe.
    ///
    /// # Errors
    /// When files cannot be read or written.
    pub fn open(directory: Directory) -> io::Result<Self> {
        let log = Log::open(directory.path())?;
        let known = log.state();
        for id in DataFile::ids(directory.path())? {
            if !known.drafts.contains_key(&id) {
                DataFile::remove_id(directory.path(), id)?;
            }
        }
        Ok(Self { directory, log })
    }

    /// What the log amounts to now; after [`open`](Self::open), what is to be recovered.
    #[must_use]
    pub fn state(&self) -> State {
        self.log.state()
    }

    /// How many drafts are acknowledged and not stored.
    #[must_use]
    pub fn drafts(&self) -> usize {
        self.log.drafts()
    }

    pub(in crate::journal) fn log(&self) -> &Log {
        &self.log
    }

    /// A new draft's number and its data file, empty.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn begin(&self) -> io::Result<(DraftId, DataFile)> {
        let id = self.log.next_draft();
        Ok((id, DataFile::create(self.directory.path(), id)?))
    }

    /// The data file of a draft that was recovered.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn data(&self, draft: DraftId) -> io::Result<DataFile> {
        DataFile::open(self.directory.path(), draft)
    }

    /// Makes a draft safe: when this returns, the next mount will publish it. The data is on the disk before the record
    /// that names it is written.
    ///
    /// # Errors
    /// When the disk is full or fails; nothing may be acknowledged then.
    pub async fn seal(&self, data: &Arc<DataFile>, sealed: Sealed) -> io::Result<()> {
        let data = Arc::clone(data);
        tokio::task::spawn_blocking(move || data.sync()).await.map_err(io::Error::other)??;
        self.note(Record::Sealed(Box::new(sealed))).await
    }

    /// Appends a record that outlives this process, and the machine from the next [`note`](Self::note) on.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        self.log.append(record)
    }

    /// Returns when everything that was appended is on the disk.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn sync(&self) -> io::Result<()> {
        self.log.sync().await
    }

    /// Appends a record; when this returns it is on the disk.
    ///
    /// # Errors
    /// When the disk is full or fails.
    pub async fn note(&self, record: Record) -> io::Result<()> {
        self.log.append(&record)?;
        self.log.sync().await
    }

    /// Removes the data of a draft that was never sealed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn remove(&self, draft: DraftId) -> io::Result<()> {
        DataFile::remove_id(self.directory.path(), draft)
    }

    /// A draft is done with, stored or dropped (`record` says which): first the record, then its data goes. Should the
    /// record be refused, it goes nevertheless: without it nobody can store the draft once more, over what came later.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn finish(&self, record: Record, draft: DraftId) -> io::Result<()> {
        let noted = self.note(record).await;
        self.remove(draft).and(noted)
    }
}

#[cfg(test)]
mod tests;
