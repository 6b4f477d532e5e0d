//! Changes to the index: buckets and objects. Those of uploads are in [`super::uploads`].
//!
//! Many operations share one transaction. Each looks first and changes then: an operation that answers with a refusal
//! has changed nothing. A fault of the disk in the middle of one ends the whole transaction.

use crate::server::backend::blobs::Pending;
use crate::server::backend::error::Error;
use crate::server::backend::error::Result;
use crate::server::backend::index;
use crate::server::backend::index::object_key;
use crate::server::backend::record::Attributes;
use crate::server::backend::record::BlobId;
use crate::server::backend::record::BucketRecord;
use crate::server::backend::record::Content;
use crate::server::backend::record::Millis;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::record::Piece;
use crate::server::backend::record::Protection;
use crate::server::backend::record::blobs_of;
use crate::server::backend::record::encode;
use crate::server::condition::ReadCondition;
use crate::server::condition::WriteCondition;
use redb::ReadableTable;
use redb::ReadableTableMetadata;
use redb::Table;
use redb::WriteTransaction;

/// A name in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
}

impl Name {
    pub(super) fn index_key(&self) -> Vec<u8> {
        object_key(&self.bucket, &self.key)
    }
}

/// An object to be stored: its record, where its bytes are, and the blob that was written for it.
pub struct NewObject {
    /// The record.
    pub record: ObjectRecord,
    /// The bytes.
    pub content: Content,
    /// The blob that `content` names, if it does not live in the index.
    pub pending: Option<Pending>,
}

/// A copy within the backend.
#[derive(Clone)]
pub struct CopyObject {
    /// From where.
    pub source: Name,
    /// What is asked of the source.
    pub source_condition: ReadCondition,
    /// To where.
    pub target: Name,
    /// What is asked of the object there.
    pub target_condition: WriteCondition,
    /// Instead of the source's attributes.
    pub replace: Option<Attributes>,
    /// Instead of the bucket's storage class; `Some(None)` is the standard one.
    pub storage_class: Option<Option<String>>,
    /// The protection that was asked for; the source's if `None`.
    pub protection: Option<Protection>,
    /// Bytes; a larger source is refused.
    pub bytes_max: u64,
    /// When this happens.
    pub now: Millis,
}

impl CopyObject {
    /// The record of the copy, if there may be one; `bucket_class` is the storage class of a copy that asks for none.
    pub(super) fn record(&self, source: ObjectRecord, bucket_class: Option<String>) -> Result<ObjectRecord> {
        if source.size > self.bytes_max {
            return Err(Error::TooLarge(source.size));
        }
        let changes = self.replace.is_some() || self.storage_class.is_some() || self.protection.is_some();
        if self.source == self.target && !changes {
            return Err(Error::CopyOntoItself);
        }
        let protection = self.protection.unwrap_or(source.attributes.protection());
        let mut record = source;
        if let Some(attributes) = &self.replace {
            record.attributes = attributes.clone();
        }
        // The class of the source is not copied.
        record.attributes.storage_class = self.storage_class.clone().unwrap_or(bucket_class);
        record.attributes.set_protection(protection);
        record.modified = self.now;
        Ok(record)
    }
}

/// What became of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Copied<T> {
    /// It shares the source's blobs.
    Shared(T),
    /// Nothing: source and copy have different protections, so that the bytes must be written anew.
    Differs,
}

/// The tables of one transaction, and what its commit brings with it.
pub struct Tables<'t> {
    txn: &'t WriteTransaction,
    buckets: Table<'t, &'static str, &'static [u8]>,
    objects: Table<'t, &'static [u8], &'static [u8]>,
    contents: Table<'t, &'static [u8], &'static [u8]>,
    pub(super) uploads: Table<'t, (&'static [u8], &'static str), &'static [u8]>,
    pub(super) parts: Table<'t, (&'static str, u32), &'static [u8]>,
    blobs: Table<'t, u64, u32>,
    seals: Table<'t, u64, &'static [u8]>,
    pub(super) finished: Table<'t, &'static str, &'static [u8]>,
    bucket_classes: Table<'t, &'static str, &'static str>,
    effects: Effects,
}

/// What happens to blobs when a transaction is committed.
#[derive(Default)]
pub struct Effects {
    /// Files that the index names from then on.
    pub kept: Vec<Pending>,
    /// Blobs that it names no more.
    pub doomed: Vec<BlobId>,
}

impl<'t> Tables<'t> {
    /// Opens the tables of a transaction.
    pub fn open(txn: &'t WriteTransaction) -> Result<Self> {
        Ok(Self {
            txn,
            buckets: txn.open_table(index::BUCKETS)?,
            objects: txn.open_table(index::OBJECTS)?,
            contents: txn.open_table(index::CONTENTS)?,
            uploads: txn.open_table(index::UPLOADS)?,
            parts: txn.open_table(index::PARTS)?,
            blobs: txn.open_table(index::BLOBS)?,
            seals: txn.open_table(index::SEALS)?,
            finished: txn.open_table(index::FINISHED)?,
            bucket_classes: txn.open_table(index::BUCKET_CLASSES)?,
            effects: Effects::default(),
        })
    }

    /// Ends the changes.
    #[must_use]
    pub fn into_effects(self) -> Effects {
        self.effects
    }

    /// Makes a bucket.
    pub fn create_bucket(&mut self, bucket: &str, now: Millis) -> Result<()> {
        if self.buckets.get(bucket)?.is_some() {
            return Err(Error::BucketExists);
        }
        self.buckets.insert(bucket, encode(&BucketRecord { created: now }).as_slice())?;
        Ok(())
    }

    /// Removes a bucket that has no objects and no unfinished uploads.
    pub fn delete_bucket(&mut self, bucket: &str) -> Result<()> {
        self.require_bucket(bucket)?;
        let first = object_key(bucket, "");
        let object = self.objects.range(first.as_slice()..)?.next().transpose()?;
        let has_object = object.is_some_and(|(key, _)| key.value().starts_with(&first));
        let upload = self.uploads.range((first.as_slice(), "")..)?.next().transpose()?;
        let has_upload = upload.is_some_and(|(key, _)| key.value().0.starts_with(&first));
        if has_object || has_upload {
            return Err(Error::BucketNotEmpty);
        }
        self.buckets.remove(bucket)?;
        self.bucket_classes.remove(bucket)?;
        Ok(())
    }

    /// Sets the storage class of objects in a bucket that ask for none.
    pub fn set_bucket_class(&mut self, bucket: &str, class: &str) -> Result<()> {
        self.require_bucket(bucket)?;
        self.bucket_classes.insert(bucket, class)?;
        Ok(())
    }

    /// The storage class of objects in a bucket that ask for none, if it is not the standard one.
    pub fn bucket_class(&self, bucket: &str) -> Result<Option<String>> {
        Ok(self.bucket_classes.get(bucket)?.map(|class| class.value().to_owned()))
    }

    /// Fails if there is no such bucket.
    pub fn require_bucket(&self, bucket: &str) -> Result<()> {
        if self.buckets.get(bucket)?.is_some() { Ok(()) } else { Err(Error::NoSuchBucket) }
    }

    /// An object's record, if there is one.
    pub fn object(&self, name: &Name) -> Result<Option<ObjectRecord>> {
        index::get(&self.objects, name.index_key().as_slice())
    }

    /// The bytes of an object that is there.
    pub fn content(&self, name: &Name) -> Result<Content> {
        index::get(&self.contents, name.index_key().as_slice())?
            .ok_or_else(|| Error::Storage("an object has no content".into()))
    }

    /// Fails if the condition does not hold for what is there.
    pub fn check(&self, name: &Name, condition: &WriteCondition) -> Result<()> {
        index::permit(condition, self.object(name)?.as_ref())
    }

    /// Stores an object whose bytes are written already.
    pub fn put_object(&mut self, name: &Name, new: NewObject, condition: &WriteCondition) -> Result<()> {
        self.require_bucket(&name.bucket)?;
        self.check(name, condition)?;
        self.keep(new.record.attributes.protection(), &new.content.pieces, new.pending)?;
        self.replace(name, &new.record, &new.content)
    }

    /// Removes an object; one that is not there counts as removed.
    pub fn delete_object(&mut self, name: &Name) -> Result<()> {
        self.require_bucket(&name.bucket)?;
        let key = name.index_key();
        self.objects.remove(key.as_slice())?;
        let content: Option<Content> = match self.contents.remove(key.as_slice())? {
            Some(old) => Some(index::parse(old.value())?),
            None => None,
        };
        self.release(content.iter().flat_map(|content| blobs_of(&content.pieces)))
    }

    /// Copies an object by naming its blobs once more. [`super::rewrite`] makes copies that differ.
    pub fn copy_object(&mut self, copy: &CopyObject) -> Result<Copied<ObjectRecord>> {
        self.require_bucket(&copy.target.bucket)?;
        self.check(&copy.target, &copy.target_condition)?;
        let source = self.source(&copy.source, &copy.source_condition)?;
        let protection = source.attributes.protection();
        let record = copy.record(source, self.bucket_class(&copy.target.bucket)?)?;
        if record.attributes.protection() != protection {
            return Ok(Copied::Differs);
        }
        let content = self.content(&copy.source)?;
        self.retain(blobs_of(&content.pieces))?;
        self.replace(&copy.target, &record, &content)?;
        Ok(Copied::Shared(record))
    }

    /// Copies an object and removes its source, at once. The storage class goes with it, unless another one is given.
    pub fn move_object(&mut self, copy: &CopyObject) -> Result<Copied<ObjectRecord>> {
        if copy.source == copy.target {
            return Err(Error::CopyOntoItself);
        }
        let source = self.source(&copy.source, &copy.source_condition)?;
        let storage_class = copy.storage_class.clone().or(Some(source.attributes.storage_class));
        let copied = self.copy_object(&CopyObject { storage_class, ..copy.clone() })?;
        if let Copied::Shared(_) = &copied {
            self.delete_object(&copy.source)?;
        }
        Ok(copied)
    }

    /// The record of a copy's source, if it is there and the condition holds.
    pub fn source(&self, name: &Name, condition: &ReadCondition) -> Result<ObjectRecord> {
        self.require_bucket(&name.bucket)?;
        index::admit(condition, self.object(name)?.ok_or(Error::NoSuchKey)?)
    }

    /// Writes an object whose blobs are counted already over what is there.
    pub(super) fn replace(&mut self, name: &Name, record: &ObjectRecord, content: &Content) -> Result<()> {
        assert_eq!(record.size, content.len(), "a record must tell the size of its content");
        let key = name.index_key();
        self.objects.insert(key.as_slice(), encode(record).as_slice())?;
        let old: Option<Content> = match self.contents.insert(key.as_slice(), encode(content).as_slice())? {
            Some(old) => Some(index::parse(old.value())?),
            None => None,
        };
        self.release(old.iter().flat_map(|content| blobs_of(&content.pieces)))
    }

    /// Takes over a blob that was written for the only piece, and the key that opens it.
    pub(super) fn keep(&mut self, want: Protection, pieces: &[Piece], pending: Option<Pending>) -> Result<()> {
        let inline = pieces.iter().any(|piece| matches!(piece, Piece::Inline(_)));
        assert!(want == Protection::Plain || !inline, "no byte of a sealed object lives in the index");
        let Some(pending) = pending else { return Ok(()) };
        assert_eq!(pending.protection(), want, "what is said of an object must be true of its bytes");
        self.blobs.insert(pending.id().0, 1)?;
        if let Some(key) = pending.wrapped_key() {
            if self.seals.is_empty()? {
                self.txn.open_table(index::META)?.insert("format", index::FORMAT_SEALED)?;
            }
            self.seals.insert(pending.id().0, key.as_bytes())?;
        }
        self.effects.kept.push(pending);
        Ok(())
    }

    /// Counts pieces that name blobs which others name too.
    pub(super) fn retain(&mut self, blobs: impl IntoIterator<Item = BlobId>) -> Result<()> {
        for id in blobs {
            let count = self.blobs.get(id.0)?.map(|count| count.value());
            let count = count.ok_or_else(|| Error::Storage("a blob that is named is not counted".into()))?;
            self.blobs.insert(id.0, count + 1)?;
        }
        Ok(())
    }

    /// Counts pieces that name blobs no more.
    pub(super) fn release(&mut self, blobs: impl IntoIterator<Item = BlobId>) -> Result<()> {
        for id in blobs {
            let count = self.blobs.get(id.0)?.map(|count| count.value());
            match count.ok_or_else(|| Error::Storage("a blob that is named is not counted".into()))? {
                0 | 1 => {
                    self.blobs.remove(id.0)?;
                    // Without its key a sealed blob is noise, whatever becomes of the file.
                    self.seals.remove(id.0)?;
                    self.effects.doomed.push(id);
                }
                more => {
                    self.blobs.insert(id.0, more - 1)?;
                }
            }
        }
        Ok(())
    }

    /// How many blobs are named, for tests.
    pub fn blob_count(&self) -> Result<u64> {
        Ok(self.blobs.len()?)
    }

    /// How many keys of sealed blobs are kept, for tests.
    pub fn seal_count(&self) -> Result<u64> {
        Ok(self.seals.len()?)
    }
}
