//! The index: its tables, how keys are made, opening it, and looking things up in one consistent state of it.
//!
//! Changes are made in [`super::tables`], all of them by the thread of [`super::writer`].

use crate::server::backend::error::Error;
use crate::server::backend::error::Result;
use crate::server::backend::key_file;
use crate::server::backend::record::BlobId;
use crate::server::backend::record::BucketRecord;
use crate::server::backend::record::Content;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::record::PartRecord;
use crate::server::backend::record::Protection;
use crate::server::backend::record::UploadRecord;
use crate::server::backend::record::blobs_of;
use crate::server::backend::record::decode;
use crate::server::backend::seal::Seals;
use crate::server::backend::seal::WrappedKey;
use crate::server::condition::Permission;
use crate::server::condition::ReadCondition;
use crate::server::condition::Verdict;
use crate::server::condition::WriteCondition;
use redb::Database;
use redb::Durability;
use redb::ReadOnlyTable;
use redb::ReadableDatabase;
use redb::ReadableTable;
use redb::TableDefinition;
use serde::de::DeserializeOwned;
use std::path::Path;

/// Version of what is in the tables. Another one is refused.
pub const FORMAT: u64 = 1;
/// The version once something was sealed: one that knows only the first would take sealed bytes for the content.
pub const FORMAT_SEALED: u64 = 2;
/// Bytes of the index kept in memory.
const CACHE_BYTES: usize = 32 << 20;

pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// By name.
pub const BUCKETS: TableDefinition<&str, &[u8]> = TableDefinition::new("buckets");
/// By [`object_key`].
pub const OBJECTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("objects");
/// By [`object_key`]; apart from the records, so that a listing reads no lists of pieces.
pub const CONTENTS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("contents");
/// By [`object_key`] and upload id.
pub const UPLOADS: TableDefinition<(&[u8], &str), &[u8]> = TableDefinition::new("uploads");
/// By upload id and part number.
pub const PARTS: TableDefinition<(&str, u32), &[u8]> = TableDefinition::new("parts");
/// How many pieces name a blob.
pub const BLOBS: TableDefinition<u64, u32> = TableDefinition::new("blobs");
/// The wrapped keys of sealed blobs.
pub const SEALS: TableDefinition<u64, &[u8]> = TableDefinition::new("seals");
/// By upload id.
pub const FINISHED: TableDefinition<&str, &[u8]> = TableDefinition::new("finished");

/// Storage class of objects that ask for none, by bucket; of most buckets there is none.
pub const BUCKET_CLASSES: TableDefinition<&str, &str> = TableDefinition::new("bucket-classes");

/// Bucket and key as one key. A bucket's name has no zero byte, so that keys of one bucket stand together, in order.
#[must_use]
pub fn object_key(bucket: &str, key: &str) -> Vec<u8> {
    assert!(!bucket.as_bytes().contains(&0), "names of buckets were checked");
    [bucket.as_bytes(), b"\0", key.as_bytes()].concat()
}

/// The key within the bucket.
#[must_use]
pub fn key_of<'a>(bucket: &str, object_key: &'a [u8]) -> Option<&'a [u8]> {
    object_key.strip_prefix(bucket.as_bytes())?.strip_prefix(b"\0")
}

/// The index after it was opened.
pub struct Opened {
    /// The database.
    pub database: Database,
    /// How often it has been opened, this time included.
    pub run: u64,
    /// One wrapped key of those that are there, if any is.
    pub sealed: Option<(BlobId, WrappedKey)>,
}

/// Why the index cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("in use")]
    InUse,
    /// Written by another version of this program.
    #[error("it has format {0}, this program writes formats {FORMAT} and {FORMAT_SEALED}")]
    Format(u64),
    /// The key of encrypted objects cannot be used.
    #[error(transparent)]
    Key(key_file::Error),
    /// Everything else.
    #[error("{0}")]
    Storage(String),
}

impl From<Error> for OpenError {
    fn from(error: Error) -> Self {
        Self::Storage(error.to_string())
    }
}

/// Opens the index, or makes an empty one.
pub fn open(path: &Path) -> std::result::Result<Opened, OpenError> {
    let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => OpenError::InUse,
        other => OpenError::Storage(other.to_string()),
    })?;
    let format = begin_run(&database)?;
    let run = match format {
        Ok(run) => run,
        Err(format) => return Err(OpenError::Format(format)),
    };
    let sealed = Snapshot::new(&database)?.any_seal()?;
    Ok(Opened { database, run, sealed })
}

/// Checks the format, makes the tables and counts the run. The inner error is another format.
fn begin_run(database: &Database) -> Result<std::result::Result<u64, u64>> {
    let mut txn = database.begin_write()?;
    txn.set_durability(Durability::Immediate)?;
    let run = {
        let mut meta = txn.open_table(META)?;
        let format = meta.get("format")?.map_or(FORMAT, |format| format.value());
        if format != FORMAT && format != FORMAT_SEALED {
            return Ok(Err(format));
        }
        meta.insert("format", format)?;
        let run = meta.get("run")?.map_or(0, |run| run.value()) + 1;
        meta.insert("run", run)?;
        run
    };
    txn.open_table(BUCKETS)?;
    txn.open_table(OBJECTS)?;
    txn.open_table(CONTENTS)?;
    txn.open_table(UPLOADS)?;
    txn.open_table(PARTS)?;
    txn.open_table(BLOBS)?;
    txn.open_table(SEALS)?;
    txn.open_table(FINISHED)?;
    txn.open_table(BUCKET_CLASSES)?;
    txn.commit()?;
    Ok(Ok(run))
}

/// Reads the value under a key.
pub fn get<K: redb::Key + 'static, T: DeserializeOwned>(
    table: &impl ReadableTable<K, &'static [u8]>,
    key: K::SelfType<'_>,
) -> Result<Option<T>> {
    match table.get(key)? {
        Some(value) => Ok(Some(parse(value.value())?)),
        None => Ok(None),
    }
}

/// Reads a value.
pub fn parse<T: DeserializeOwned>(value: &[u8]) -> Result<T> {
    decode(value).ok_or_else(|| Error::Storage("a record of the index is damaged".into()))
}

/// Fails if the condition of a write does not hold for what is there.
pub fn permit(condition: &WriteCondition, current: Option<&ObjectRecord>) -> Result<()> {
    match condition.check(current.map(|record| &record.etag)) {
        Permission::Go => Ok(()),
        Permission::NoObject => Err(Error::NoSuchKey),
        Permission::Failed(header) => Err(Error::PreconditionFailed(header)),
    }
}

/// Fails if a condition does not hold for a copy's source.
pub fn admit(condition: &ReadCondition, source: ObjectRecord) -> Result<ObjectRecord> {
    match condition.check(&source.etag, source.modified.time()) {
        Verdict::Go => Ok(source),
        Verdict::NotModified => Err(Error::PreconditionFailed("x-amz-copy-source-If-None-Match")),
        Verdict::Failed(header) => Err(Error::PreconditionFailed(header)),
    }
}

/// One state of the index, unmoved by what happens meanwhile.
pub struct Snapshot {
    buckets: ReadOnlyTable<&'static str, &'static [u8]>,
    /// Records of objects.
    pub objects: ReadOnlyTable<&'static [u8], &'static [u8]>,
    contents: ReadOnlyTable<&'static [u8], &'static [u8]>,
    /// Unfinished uploads.
    pub uploads: ReadOnlyTable<(&'static [u8], &'static str), &'static [u8]>,
    parts: ReadOnlyTable<(&'static str, u32), &'static [u8]>,
    blobs: ReadOnlyTable<u64, u32>,
    seals: ReadOnlyTable<u64, &'static [u8]>,
    bucket_classes: ReadOnlyTable<&'static str, &'static str>,
}

impl Snapshot {
    /// The state now.
    pub fn new(database: &Database) -> Result<Self> {
        let txn = database.begin_read()?;
        Ok(Self {
            buckets: txn.open_table(BUCKETS)?,
            objects: txn.open_table(OBJECTS)?,
            contents: txn.open_table(CONTENTS)?,
            uploads: txn.open_table(UPLOADS)?,
            parts: txn.open_table(PARTS)?,
            blobs: txn.open_table(BLOBS)?,
            seals: txn.open_table(SEALS)?,
            bucket_classes: txn.open_table(BUCKET_CLASSES)?,
        })
    }

    /// All buckets by name.
    pub fn buckets(&self) -> Result<Vec<(String, BucketRecord)>> {
        let mut out = Vec::new();
        for entry in self.buckets.iter()? {
            let (name, record) = entry?;
            out.push((name.value().to_owned(), parse(record.value())?));
        }
        Ok(out)
    }

    /// Fails if there is no such bucket.
    pub fn require_bucket(&self, bucket: &str) -> Result<BucketRecord> {
        get(&self.buckets, bucket)?.ok_or(Error::NoSuchBucket)
    }

    /// The storage class of objects in a bucket that ask for none, if it is not the standard one.
    pub fn bucket_class(&self, bucket: &str) -> Result<Option<String>> {
        Ok(self.bucket_classes.get(bucket)?.map(|class| class.value().to_owned()))
    }

    /// An object. Tells a missing bucket from a missing key.
    pub fn object(&self, bucket: &str, key: &str) -> Result<ObjectRecord> {
        match get(&self.objects, object_key(bucket, key).as_slice())? {
            Some(record) => Ok(record),
            None => {
                self.require_bucket(bucket)?;
                Err(Error::NoSuchKey)
            }
        }
    }

    /// Fails if a write would fail now.
    pub fn check_write(&self, bucket: &str, key: &str, condition: &WriteCondition) -> Result<()> {
        self.require_bucket(bucket)?;
        if *condition == WriteCondition::default() {
            return Ok(());
        }
        permit(condition, get(&self.objects, object_key(bucket, key).as_slice())?.as_ref())
    }

    /// The bytes of an object that was found in this snapshot.
    pub fn content(&self, bucket: &str, key: &str) -> Result<Content> {
        get(&self.contents, object_key(bucket, key).as_slice())?
            .ok_or_else(|| Error::Storage("an object has no content".into()))
    }

    /// The wrapped keys of an object's blobs, to be taken from the snapshot that the object was found in: they go with
    /// the last object that names them, the files only when nobody reads them.
    pub fn seals(&self, record: &ObjectRecord, content: &Content) -> Result<Seals> {
        match record.attributes.protection() {
            Protection::Plain => Ok(Seals::new()),
            Protection::Sealed => blobs_of(&content.pieces).map(|id| Ok((id, self.seal(id)?))).collect(),
        }
    }

    fn seal(&self, id: BlobId) -> Result<WrappedKey> {
        let kept = self.seals.get(id.0)?.and_then(|kept| WrappedKey::from_bytes(kept.value()));
        kept.ok_or_else(|| Error::Storage("a sealed blob has no key in the index".into()))
    }

    fn any_seal(&self) -> Result<Option<(BlobId, WrappedKey)>> {
        let Some(entry) = self.seals.iter()?.next() else { return Ok(None) };
        let id = BlobId(entry?.0.value());
        Ok(Some((id, self.seal(id)?)))
    }

    /// An unfinished upload.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<UploadRecord> {
        self.require_bucket(bucket)?;
        get(&self.uploads, (object_key(bucket, key).as_slice(), id))?.ok_or(Error::NoSuchUpload)
    }

    /// Parts of an upload after a number, at most so many.
    pub fn parts(&self, id: &str, after: u32, limit: usize) -> Result<Vec<(u32, PartRecord)>> {
        let mut out = Vec::new();
        let Some(first) = after.checked_add(1) else { return Ok(out) };
        for entry in self.parts.range((id, first)..=(id, u32::MAX))?.take(limit) {
            let (key, record) = entry?;
            out.push((key.value().1, parse(record.value())?));
        }
        Ok(out)
    }

    /// The blobs that are named, within a range of ids.
    pub fn blobs(&self, first: u64, last: u64) -> Result<Vec<u64>> {
        self.blobs.range(first..=last)?.map(|entry| Ok(entry?.0.value())).collect()
    }
}
