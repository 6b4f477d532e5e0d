//! Buckets and objects on disk: an index that changes by transactions, and immutable blobs that it names.
//!
//! A read looks into one snapshot of the index and streams blobs, which stay while it does. A write brings its bytes
//! to disk as a blob first and names it in the index then. Nothing here knows of HTTP or of S3's documents.

pub mod blobs;
pub mod collect;
pub mod error;
pub mod index;
pub mod key_file;
pub mod listing;
pub mod readers;
pub mod reading;
pub mod record;
pub mod rewrite;
pub mod seal;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod uploads;
pub mod usage;
pub mod writer;

use crate::server::backend::blobs::Blobs;
use crate::server::backend::collect::Collector;
use crate::server::backend::error::Error;
use crate::server::backend::error::Result;
use crate::server::backend::index::OpenError;
use crate::server::backend::index::Snapshot;
use crate::server::backend::key_file::KeyFile;
use crate::server::backend::listing::Cursor;
use crate::server::backend::listing::Page;
use crate::server::backend::listing::Query;
use crate::server::backend::readers::Readers;
use crate::server::backend::readers::Reading;
use crate::server::backend::reading::Reader;
use crate::server::backend::record::Millis;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::record::Piece;
use crate::server::backend::record::UploadRecord;
use crate::server::backend::seal::Seals;
use crate::server::backend::tables::Tables;
use crate::server::backend::writer::Writer;
use bytes::Bytes;
use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use futures_util::stream::BoxStream;
use redb::Database;
use std::convert::Infallible;
use std::io;
use std::ops::Bound;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// Name of the index within the data directory.
pub const INDEX_FILE: &str = "index.redb";
/// Name of the directory of blobs within it.
pub const BLOBS_DIRECTORY: &str = "blobs";

/// Bytes that stay free on the disk. The index cannot be written to any more after a write to it has failed, so
/// that what makes it grow is refused before; deleting still works.
const RESERVE_BYTES: u64 = 64 << 20;

/// The store. Dropped, it commits what waits and closes the index.
pub struct Backend {
    writer: Option<Writer>,
    index: Option<Handle>,
    blobs: Arc<Blobs>,
    readers: Arc<Readers>,
    sync: bool,
    stopping: Arc<AtomicBool>,
    // Hung up when the last handle is gone.
    closed: Receiver<Infallible>,
}

/// Keeps the index open. Whoever closes it waits until all handles are gone: opened again before, it would be in use.
#[derive(Clone)]
pub struct Handle {
    // Dropped in this order.
    database: Arc<Database>,
    _open: Sender<Infallible>,
}

impl Handle {
    /// The state now.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::new(&self.database)
    }
}

impl Backend {
    /// Opens the store in a directory that is there. With `sync`, what was answered is on disk.
    pub fn open(data: &Path, sync: bool) -> std::result::Result<Self, OpenError> {
        let opened = index::open(&data.join(INDEX_FILE))?;
        let storage = |error: io::Error| OpenError::Storage(error.to_string());
        let root = data.join(BLOBS_DIRECTORY);
        let keys = KeyFile::open(data, opened.sealed).map_err(OpenError::Key)?;
        let blobs = Arc::new(Blobs::open(root.clone(), opened.run, keys).map_err(storage)?);
        let (open, closed) = crossbeam_channel::bounded(0);
        let index = Handle { database: Arc::new(opened.database), _open: open };
        let (readers, woken) = Readers::new();
        let database = Arc::clone(&index.database);
        let writer = Writer::start(database, Arc::clone(&readers), root, sync).map_err(storage)?;
        let stopping = Arc::new(AtomicBool::new(false));
        let collector =
            Collector { blobs: Arc::clone(&blobs), readers: Arc::downgrade(&readers), stopping: Arc::clone(&stopping) };
        collector.start(index.clone(), woken).map_err(storage)?;
        Ok(Self { writer: Some(writer), index: Some(index), blobs, readers, sync, stopping, closed })
    }

    /// Where blobs are made.
    #[must_use]
    pub fn blobs(&self) -> &Arc<Blobs> {
        &self.blobs
    }

    /// Fails when the disk is as good as full.
    pub fn check_room(&self) -> Result<()> {
        let free = self.blobs.free_bytes()?;
        if free < RESERVE_BYTES { Err(Error::DiskFull(free)) } else { Ok(()) }
    }

    /// Whether blobs must be flushed before they are named.
    #[must_use]
    pub fn syncs(&self) -> bool {
        self.sync
    }

    /// Looks into the index.
    pub async fn read<T, F>(&self, look: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot) -> Result<T> + Send + 'static,
    {
        self.read_at(None, look).await
    }

    /// The state of the index now, to be looked into later. It keeps what the index would forget: hold it briefly.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let index = self.index.clone().expect("open until it is dropped");
        let taken = tokio::task::spawn_blocking(move || index.snapshot()).await;
        taken.unwrap_or_else(|error| Err(Error::Storage(error.to_string())))
    }

    /// Looks into the index as it is, or as it was.
    pub async fn read_at<T, F>(&self, past: Option<Arc<Snapshot>>, look: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot) -> Result<T> + Send + 'static,
    {
        let index = self.index.clone().expect("open until it is dropped");
        let looked = tokio::task::spawn_blocking(move || match past {
            Some(past) => look(&past),
            None => look(&index.snapshot()?),
        });
        let looked = looked.await;
        looked.unwrap_or_else(|error| Err(Error::Storage(error.to_string())))
    }

    /// Changes the index; answers when the change is committed.
    pub async fn write<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.as_ref().expect("open until it is dropped").run(change).await
    }

    /// To be held from before the index is looked into until the bytes found there have been read.
    #[must_use]
    pub fn enter(&self) -> Reading {
        self.readers.enter()
    }

    /// The bytes of pieces, with the keys of those that are sealed.
    pub fn stream(
        &self,
        pieces: Vec<Piece>,
        seals: Seals,
        reading: Reading,
    ) -> Result<BoxStream<'static, io::Result<Bytes>>> {
        Ok(reading::stream(Reader::new(Arc::clone(&self.blobs), pieces, seals, reading)?))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        // First the writer, which commits what waits.
        self.writer = None;
        self.index = None;
        // Nothing is ever sent: this ends when all handles are gone.
        let _ = self.closed.recv();
    }
}

/// One page of the objects of a bucket, or of those that were written within some times.
pub fn list_objects(
    snapshot: &Snapshot,
    bucket: &str,
    query: &Query,
    written: Option<&RangeInclusive<Millis>>,
) -> Result<Page<ObjectRecord>> {
    snapshot.require_bucket(bucket)?;
    let mut cursor = Objects { snapshot, bucket, range: None, written };
    listing::page(query, &mut cursor)
}

struct Objects<'a> {
    snapshot: &'a Snapshot,
    bucket: &'a str,
    range: Option<redb::Range<'static, &'static [u8], &'static [u8]>>,
    written: Option<&'a RangeInclusive<Millis>>,
}

impl Cursor for Objects<'_> {
    type Entry = ObjectRecord;
    type Error = Error;

    fn seek(&mut self, place: Bound<&[u8]>) -> Result<()> {
        let name = |key: &[u8]| [self.bucket.as_bytes(), b"\0", key].concat();
        let place = place.map(name);
        let from = place.as_ref().map(Vec::as_slice);
        self.range = Some(self.snapshot.objects.range::<&[u8]>((from, Bound::Unbounded))?);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<(String, ObjectRecord)>> {
        while let Some(entry) = self.range.as_mut().and_then(Iterator::next) {
            let (key, record) = entry?;
            let Some(key) = index::key_of(self.bucket, key.value()) else { return Ok(None) };
            let record: ObjectRecord = index::parse(record.value())?;
            if self.written.is_none_or(|times| times.contains(&record.modified)) {
                let key =
                    std::str::from_utf8(key).map_err(|_| Error::Storage("a key of the index is damaged".into()))?;
                return Ok(Some((key.to_owned(), record)));
            }
        }
        Ok(None)
    }
}

/// Which unfinished uploads of a bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadsQuery {
    /// Keys begin so.
    pub prefix: String,
    /// Where keys are rolled up.
    pub delimiter: Option<String>,
    /// They come after this key…
    pub key_marker: String,
    /// …and with this key, if it is not empty, after this id.
    pub upload_id_marker: String,
    /// At most so many, common prefixes counted.
    pub limit: usize,
}

/// One page of unfinished uploads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadsPage {
    /// Key, id, record.
    pub uploads: Vec<(String, String, UploadRecord)>,
    /// Common prefixes.
    pub prefixes: Vec<String>,
    /// Markers of the next page.
    pub next: Option<(String, String)>,
}

/// One page of the unfinished uploads of a bucket. There are few of them: what is rolled up is read and passed over.
pub fn list_uploads(snapshot: &Snapshot, bucket: &str, query: &UploadsQuery) -> Result<UploadsPage> {
    snapshot.require_bucket(bucket)?;
    let mut page = UploadsPage::default();
    if query.limit == 0 {
        return Ok(page);
    }
    let start = query.prefix.as_str().max(query.key_marker.as_str());
    let start = index::object_key(bucket, start);
    let mut last = (String::new(), String::new());
    for entry in snapshot.uploads.range((start.as_slice(), "")..)? {
        let (name, record) = entry?;
        let (key, id) = name.value();
        let Some(key) = index::key_of(bucket, key).and_then(|key| std::str::from_utf8(key).ok()) else { break };
        let Some(rest) = key.strip_prefix(&query.prefix) else { break };
        let rolled = query.delimiter.as_deref().and_then(|d| rest.find(d).map(|at| at + d.len()));
        let name = rolled.map_or(key, |bytes| &key[..query.prefix.len() + bytes]);
        let marker = query.key_marker.as_str();
        let on_marker = rolled.is_none() && name == marker && id > query.upload_id_marker.as_str();
        let goes_on_marker = on_marker && !query.upload_id_marker.is_empty();
        let is_repeated = rolled.is_some() && page.prefixes.last().is_some_and(|prefix| prefix == name);
        if (name <= marker && !goes_on_marker) || is_repeated {
            continue;
        }
        if page.uploads.len() + page.prefixes.len() == query.limit {
            page.next = Some(last);
            break;
        }
        if rolled.is_some() {
            page.prefixes.push(name.to_owned());
            last = (name.to_owned(), String::new());
        } else {
            page.uploads.push((key.to_owned(), id.to_owned(), index::parse(record.value())?));
            last = (key.to_owned(), id.to_owned());
        }
    }
    Ok(page)
}
