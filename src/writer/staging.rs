//! What holds bytes of a file which is not committed yet, because memory cannot hold them or must not be the only one: a
//! file on local disk where there is one to be had, and hidden objects. They are there for one version of one file, and go
//! with it; what a crash leaves behind in the bucket a later mount removes, unless a journal needs it.

use crate::journal::data::DataFile;
use crate::store::Condition;
use crate::store::Error;
use crate::store::Payload;
use crate::store::Store;
use crate::writer::disk::Disk;
use crate::writer::disk::Extent;
use crate::writer::stream::Base;
use crate::writer::stream::Destination;
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;

/// What one version has, one change at a time.
#[derive(Default)]
pub struct Staging {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: Vec<String>,
    file: Option<Arc<DataFile>>,
    /// The disk has refused bytes once, and somebody was told.
    refused: bool,
    /// What the last record in the journal needs of the file.
    sealed: Vec<Arc<Extent>>,
}

/// What it has, for who may change it now.
pub struct Staged<'a> {
    held: MutexGuard<'a, Held>,
}

impl Staging {
    /// What a crash has left.
    #[must_use]
    pub fn recovered(keys: Vec<String>, file: Arc<DataFile>, sealed: Vec<Arc<Extent>>) -> Self {
        Self { held: Mutex::new(Held { keys, file: Some(file), refused: false, sealed }) }
    }

    /// Waits until nobody else changes them.
    pub async fn lock(&self) -> Staged<'_> {
        Staged { held: self.held.lock().await }
    }
}

impl Staged<'_> {
    /// Appends bytes to the file on the disk, which is made if there is none yet.
    ///
    /// # Errors
    /// When the disk does not take them.
    pub async fn append(&mut self, disk: &Disk, pieces: Vec<Bytes>) -> io::Result<Vec<(u64, Arc<Extent>)>> {
        let (known, disk) = (self.held.file.clone(), disk.clone());
        let appended = tokio::task::spawn_blocking(move || {
            let file = match known {
                Some(file) => file,
                None => Arc::new(disk.begin()?),
            };
            Ok((Extent::append(&file, &pieces, disk.limit())?, file))
        });
        let (extents, file) = appended.await.map_err(io::Error::other).flatten()?;
        self.held.file = Some(file);
        Ok(extents)
    }

    /// As [`append`](Self::append) where hidden objects can take the bytes as well: `None` when the disk does not take
    /// them; the log says so once.
    pub async fn append_or_not(&mut self, disk: &Disk, pieces: Vec<Bytes>) -> Option<Vec<(u64, Arc<Extent>)>> {
        match self.append(disk, pieces).await {
            Ok(extents) => Some(extents),
            Err(error) => {
                if !std::mem::replace(&mut self.held.refused, true) {
                    tracing::warn!(%error, "the journal directory takes no more; changed files go to hidden objects instead");
                }
                None
            }
        }
    }

    /// The file on the disk, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<&Arc<DataFile>> {
        self.held.file.as_ref()
    }

    /// What a new record in the journal needs of the file; what only the one before needed is given back.
    pub fn seal(&mut self, needed: Vec<Arc<Extent>>) {
        let before = std::mem::replace(&mut self.held.sealed, needed);
        for extent in before {
            let still = self.held.sealed.iter().any(|needed| Arc::ptr_eq(needed, &extent));
            extent.seal(still);
        }
    }

    /// Everything, for another version to go on with.
    #[must_use]
    pub fn hand_over(&mut self) -> Staging {
        Staging { held: Mutex::new(std::mem::take(&mut *self.held)) }
    }

    /// Puts bytes into a new hidden object.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn put(
        &mut self,
        store: &dyn Store,
        destination: &dyn Destination,
        payload: Payload,
    ) -> Result<Base, Error> {
        let (key, headers) = destination.stage();
        let size = payload.len();
        // Noted before: without an answer it may be there all the same.
        self.held.keys.push(key.clone());
        let etag = store.put_object(&key, payload, &headers, &Condition::None).await?;
        Ok(Base { key, etag, size })
    }

    /// Removes everything.
    pub async fn discard(&mut self, store: &dyn Store) {
        let Held { keys, file, .. } = std::mem::take(&mut *self.held);
        drop(file);
        let failed = match &keys[..] {
            [] => Ok(Vec::new()),
            [key] => store.delete_object(key).await.map(|()| Vec::new()),
            keys => store.delete_objects(keys).await,
        };
        let failed = failed.unwrap_or_else(|error| vec![error]);
        for error in failed {
            let key = &error.key;
            tracing::warn!(key, %error, "bytes that are not needed any more stay in the bucket; a later mount removes them");
        }
    }
}
