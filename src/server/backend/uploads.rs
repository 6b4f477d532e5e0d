//! Changes to the index: unfinished uploads, their parts, and what they become.

use crate::server::backend::blobs::Pending;
use crate::server::backend::error::Error;
use crate::server::backend::error::Result;
use crate::server::backend::index;
use crate::server::backend::record::Content;
use crate::server::backend::record::FinishedRecord;
use crate::server::backend::record::Millis;
use crate::server::backend::record::ObjectChecksum;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::record::PartRecord;
use crate::server::backend::record::UploadRecord;
use crate::server::backend::record::blobs_of;
use crate::server::backend::record::encode;
use crate::server::backend::tables::Copied;
use crate::server::backend::tables::Name;
use crate::server::backend::tables::Tables;
use crate::server::condition::ReadCondition;
use crate::server::condition::WriteCondition;
use crate::wire::checksum;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::checksum::Scope;
use crate::wire::dialect::Dialect;
use crate::wire::etag::ETag;
use md5::Digest;
use md5::Md5;
use redb::ReadableTable;
use redb::ReadableTableMetadata;
use std::ops::Range;

/// Completed uploads that are remembered, to answer a repeated request.
const FINISHED_MAX: u64 = 10_000;
/// Bytes; the largest object, which is S3's: ten thousand parts of 5 GiB.
const OBJECT_BYTES_MAX: u64 = 10_000 * (5 << 30);

/// An unfinished upload of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadName {
    /// What it will write.
    pub name: Name,
    /// Its id.
    pub id: String,
}

/// A part made of bytes that are there.
pub struct CopyPart {
    /// Of which upload.
    pub upload: UploadName,
    /// The part's number.
    pub number: u32,
    /// From where.
    pub source: Name,
    /// What is asked of the source.
    pub source_condition: ReadCondition,
    /// Which bytes; all of them if `None`.
    pub range: Option<Range<u64>>,
    /// Bytes; a larger part is refused.
    pub bytes_max: u64,
    /// When this happens.
    pub now: Millis,
}

impl CopyPart {
    /// The part of a source, without its pieces, and the range that they are.
    pub(super) fn part(&self, upload: &UploadRecord, source: &ObjectRecord) -> Result<(PartRecord, Range<u64>)> {
        let range = self.range.clone().unwrap_or(0..source.size);
        if range.end > source.size {
            return Err(Error::RangeOutside(source.size));
        }
        let size = range.end - range.start;
        if size > self.bytes_max {
            return Err(Error::TooLarge(size));
        }
        let whole = range == (0..source.size);
        let part = PartRecord {
            size,
            md5: copied_md5(source, &range),
            modified: self.now,
            checksum: upload.checksum.and_then(|(algorithm, _)| copied_checksum(source, whole, algorithm)),
            pieces: Vec::new(),
        };
        Ok((part, range))
    }
}

/// A part named by complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedPart {
    /// Its number.
    pub number: u32,
    /// The tag that it must have.
    pub etag: ETag,
    /// The checksums that it must have.
    pub checksums: Vec<Checksum>,
}

/// What complete asks for.
pub struct Complete {
    /// Of which upload.
    pub upload: UploadName,
    /// Which parts.
    pub parts: Vec<WantedPart>,
    /// What is asked of the object there.
    pub condition: WriteCondition,
    /// What the object's checksum must be.
    pub checksum: Option<Checksum>,
    /// What the object's size must be.
    pub size: Option<u64>,
    /// Bytes; smallest part that is not the last.
    pub part_bytes_min: u64,
    /// Whose rule makes the object's tag. Only S3 answers a repeated request as the first one.
    pub dialect: Dialect,
    /// When this happens.
    pub now: Millis,
}

impl Tables<'_> {
    /// Begins an upload.
    pub fn create_upload(&mut self, upload: &UploadName, record: &UploadRecord) -> Result<()> {
        self.require_bucket(&upload.name.bucket)?;
        let key = upload.name.index_key();
        self.uploads.insert((key.as_slice(), upload.id.as_str()), encode(record).as_slice())?;
        Ok(())
    }

    fn upload(&self, upload: &UploadName) -> Result<Option<UploadRecord>> {
        self.require_bucket(&upload.name.bucket)?;
        index::get(&self.uploads, (upload.name.index_key().as_slice(), upload.id.as_str()))
    }

    /// Stores a part whose bytes are written already; one of the same number is replaced.
    pub fn put_part(
        &mut self,
        upload: &UploadName,
        number: u32,
        part: &PartRecord,
        pending: Option<Pending>,
    ) -> Result<()> {
        let record = self.upload(upload)?.ok_or(Error::NoSuchUpload)?;
        self.keep(record.attributes.protection(), &part.pieces, pending)?;
        self.replace_part(upload, number, part)
    }

    fn replace_part(&mut self, upload: &UploadName, number: u32, part: &PartRecord) -> Result<()> {
        let old: Option<PartRecord> = match self.parts.insert((upload.id.as_str(), number), encode(part).as_slice())? {
            Some(old) => Some(index::parse(old.value())?),
            None => None,
        };
        self.release(old.iter().flat_map(|part| blobs_of(&part.pieces)))
    }

    /// Makes a part by naming blobs of another object once more. [`super::rewrite`] makes parts that differ.
    pub fn copy_part(&mut self, copy: &CopyPart) -> Result<Copied<PartRecord>> {
        let upload = self.upload(&copy.upload)?.ok_or(Error::NoSuchUpload)?;
        let source = self.source(&copy.source, &copy.source_condition)?;
        let (mut part, range) = copy.part(&upload, &source)?;
        if source.attributes.protection() != upload.attributes.protection() {
            return Ok(Copied::Differs);
        }
        part.pieces = self.content(&copy.source)?.slice(range);
        self.retain(blobs_of(&part.pieces))?;
        self.replace_part(&copy.upload, copy.number, &part)?;
        Ok(Copied::Shared(part))
    }

    /// Drops an upload and its parts.
    pub fn abort_upload(&mut self, upload: &UploadName) -> Result<()> {
        self.upload(upload)?.ok_or(Error::NoSuchUpload)?;
        let parts = self.take_parts(&upload.id)?;
        for (_, part) in parts {
            self.release(blobs_of(&part.pieces))?;
        }
        let key = upload.name.index_key();
        self.uploads.remove((key.as_slice(), upload.id.as_str()))?;
        Ok(())
    }

    /// Turns parts into the object. What a first request answered, a repeated one is answered too.
    pub fn complete_upload(&mut self, complete: &Complete) -> Result<ObjectRecord> {
        let Some(upload) = self.upload(&complete.upload)? else {
            return match complete.dialect {
                Dialect::S3 => self.completed(complete),
                Dialect::Jss | Dialect::Wos => Err(Error::NoSuchUpload),
            };
        };
        let parts = self.wanted(complete)?;
        self.check(&complete.upload.name, &complete.condition)?;
        let size = parts.iter().map(|part| part.size).sum();
        if size > OBJECT_BYTES_MAX {
            return Err(Error::TooLarge(size));
        }
        if complete.size.is_some_and(|expected| expected != size) {
            return Err(Error::SizeMismatch);
        }
        let record = ObjectRecord {
            size,
            etag: complete.dialect.etag_of_parts(parts.iter().map(|part| part.md5)),
            modified: complete.now,
            attributes: upload.attributes,
            checksum: object_checksum(upload.checksum, &parts, complete.checksum.as_ref())?,
        };
        self.finish(complete, &record, parts)?;
        Ok(record)
    }

    /// The parts named, if all of them are as they should be.
    fn wanted(&self, complete: &Complete) -> Result<Vec<PartRecord>> {
        let mut parts = Vec::with_capacity(complete.parts.len());
        let mut before = 0;
        for wanted in &complete.parts {
            if wanted.number <= before {
                return Err(Error::InvalidPartOrder);
            }
            before = wanted.number;
            let part: Option<PartRecord> = index::get(&self.parts, (complete.upload.id.as_str(), wanted.number))?;
            let part = part.ok_or(Error::InvalidPart(wanted.number))?;
            let fits =
                |sum: &Checksum| part.checksum.as_ref().is_none_or(|own| own.algorithm != sum.algorithm || own == sum);
            if ETag::of_md5(part.md5) != wanted.etag || !wanted.checksums.iter().all(fits) {
                return Err(Error::InvalidPart(wanted.number));
            }
            parts.push(part);
        }
        let last = parts.len().saturating_sub(1);
        for (part, wanted) in parts.iter().zip(&complete.parts).take(last) {
            if part.size < complete.part_bytes_min {
                return Err(Error::PartTooSmall { number: wanted.number, bytes: part.size });
            }
        }
        Ok(parts)
    }

    fn finish(&mut self, complete: &Complete, record: &ObjectRecord, parts: Vec<PartRecord>) -> Result<()> {
        let upload = &complete.upload;
        let used = complete.parts.iter().map(|part| part.number).collect::<std::collections::BTreeSet<_>>();
        for (number, part) in self.take_parts(&upload.id)? {
            if !used.contains(&number) {
                self.release(blobs_of(&part.pieces))?;
            }
        }
        let part_sizes = parts.iter().map(|part| part.size).collect();
        let pieces = parts.into_iter().flat_map(|part| part.pieces).collect();
        self.replace(&upload.name, record, &Content { pieces, part_sizes })?;
        let key = upload.name.index_key();
        self.uploads.remove((key.as_slice(), upload.id.as_str()))?;
        let parts = complete.parts.iter().map(|part| (part.number, part.etag.clone())).collect();
        let finished = FinishedRecord { key, parts, object: record.clone() };
        self.finished.insert(upload.id.as_str(), encode(&finished).as_slice())?;
        // Ids begin with the time, so that the first is the oldest.
        while self.finished.len()? > FINISHED_MAX {
            self.finished.pop_first()?;
        }
        Ok(())
    }

    fn completed(&self, complete: &Complete) -> Result<ObjectRecord> {
        let finished: Option<FinishedRecord> = index::get(&self.finished, complete.upload.id.as_str())?;
        let finished = finished.filter(|finished| finished.key == complete.upload.name.index_key());
        let same = |finished: &FinishedRecord| {
            let wanted = complete.parts.iter().map(|part| (part.number, &part.etag));
            finished.parts.iter().map(|(number, etag)| (*number, etag)).eq(wanted)
        };
        Ok(finished.filter(same).ok_or(Error::NoSuchUpload)?.object)
    }

    fn take_parts(&mut self, id: &str) -> Result<Vec<(u32, PartRecord)>> {
        let mut out = Vec::new();
        for entry in self.parts.range((id, 0)..=(id, u32::MAX))? {
            let (key, part) = entry?;
            out.push((key.value().1, index::parse(part.value())?));
        }
        for (number, _) in &out {
            self.parts.remove((id, *number))?;
        }
        Ok(out)
    }
}

/// The digest that stands for a copied part. Its bytes are not read, so unless all of an object with a plain tag is
/// copied this is not their MD5; it names them as well, being made of the source's tag and the range.
fn copied_md5(source: &ObjectRecord, range: &Range<u64>) -> [u8; 16] {
    match source.etag.md5() {
        Some(md5) if *range == (0..source.size) => md5,
        Some(_) | None => Md5::digest(format!("copy {} {}-{}", source.etag, range.start, range.end)).into(),
    }
}

/// The checksum of a copied part, when it is known without reading the bytes.
fn copied_checksum(source: &ObjectRecord, whole: bool, algorithm: Algorithm) -> Option<Checksum> {
    let own = source.checksum.as_ref()?;
    let fits = whole && own.scope == Scope::FullObject && own.checksum.algorithm == algorithm;
    fits.then(|| own.checksum.clone())
}

/// The checksum of the object; fails when the sender's is another. Unknown when that of a copied part is.
fn object_checksum(
    wanted: Option<(Algorithm, Scope)>,
    parts: &[PartRecord],
    expected: Option<&Checksum>,
) -> Result<Option<ObjectChecksum>> {
    let known: Option<Vec<(&Checksum, u64)>> =
        parts.iter().map(|part| Some((part.checksum.as_ref()?, part.size))).collect();
    let known = known.filter(|_| wanted.is_some() || expected.is_some());
    let algorithm = wanted.map(|(algorithm, _)| algorithm).or(expected.map(|sum| sum.algorithm));
    let scope = wanted.map_or(Scope::FullObject, |(_, scope)| scope);
    let computed = match (known, algorithm, scope) {
        (Some(known), Some(algorithm), Scope::FullObject) => checksum::full_object(algorithm, known),
        (Some(known), Some(algorithm), Scope::Composite) => {
            checksum::composite(algorithm, known.into_iter().map(|(sum, _)| sum))
        }
        (Some(_) | None, Some(_) | None, _) => None,
    };
    // One that cannot be checked is refused as well: whoever sends it relies on the check.
    if expected.is_some() && expected != computed.as_ref() {
        return Err(Error::ChecksumMismatch);
    }
    let parts = u32::try_from(parts.len()).expect("at most ten thousand");
    Ok(computed.map(|checksum| ObjectChecksum { checksum, scope, parts }))
}
