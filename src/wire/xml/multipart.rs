//! Documents of the upload family: begin, complete, list parts.

use crate::wire::date;
use crate::wire::etag::ETag;
use crate::wire::xml::Checksums;
use crate::wire::xml::Document;
use crate::wire::xml::Error;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::read_checksums;
use crate::wire::xml::tree::Element;
use crate::wire::xml::write_checksums;
use std::time::SystemTime;

/// `InitiateMultipartUploadResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitiateResult {
    /// The bucket.
    pub bucket: String,
    /// The key that the upload will write.
    pub key: String,
    /// The upload's id.
    pub upload_id: String,
}

impl Document for InitiateResult {
    const ROOT: &'static str = "InitiateMultipartUploadResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let text = |name| root.text(name).unwrap_or_default().to_owned();
        let upload_id =
            root.filled("UploadId").or_else(|| root.filled("UploadID")).ok_or(Error::Missing("UploadId"))?;
        Ok(Self { bucket: text("Bucket"), key: text("Key"), upload_id })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.leaf("Bucket", &self.bucket);
        out.leaf("Key", &self.key);
        out.leaf("UploadId", &self.upload_id);
        out.finish()
    }
}

/// `CompleteMultipartUpload`: the parts that make the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompleteRequest {
    /// In the order given.
    pub parts: Vec<CompletePart>,
}

/// A part named in a complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletePart {
    /// Its number, as given; the range is checked by the store.
    pub number: u32,
    /// Its tag.
    pub etag: ETag,
    /// Its checksums, where the sender knows them.
    pub checksums: Checksums,
}

impl Document for CompleteRequest {
    const ROOT: &'static str = "CompleteMultipartUpload";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let part = |element: &Element<'_>| {
            let etag = ETag::new(&element.filled("ETag").ok_or(Error::Missing("ETag"))?);
            Ok(CompletePart { number: element.number("PartNumber")?, etag, checksums: read_checksums(element) })
        };
        Ok(Self { parts: root.all("Part").map(part).collect::<Result<_>>()? })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        for part in &self.parts {
            out.open("Part");
            out.value("PartNumber", part.number);
            out.leaf("ETag", &part.etag.quoted());
            write_checksums(&part.checksums, &mut out);
            out.close("Part");
        }
        out.finish()
    }
}

/// `CompleteMultipartUploadResult`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompleteResult {
    /// The object's URL, for people.
    pub location: String,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The object's tag.
    pub etag: ETag,
    /// The object's checksums, if it has some.
    pub checksums: Checksums,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
}

impl Document for CompleteResult {
    const ROOT: &'static str = "CompleteMultipartUploadResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let text = |name| root.text(name).unwrap_or_default().to_owned();
        Ok(Self {
            location: text("Location"),
            bucket: text("Bucket"),
            key: text("Key"),
            etag: ETag::new(&root.filled("ETag").ok_or(Error::Missing("ETag"))?),
            checksums: read_checksums(&root),
            checksum_type: root.filled("ChecksumType"),
        })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.leaf("Location", &self.location);
        out.leaf("Bucket", &self.bucket);
        out.leaf("Key", &self.key);
        let etag = if style.quotes_completed { self.etag.quoted() } else { self.etag.as_str().to_owned() };
        out.leaf("ETag", &etag);
        write_checksums(&self.checksums, &mut out);
        out.leaf_if("ChecksumType", self.checksum_type.as_deref());
        out.finish()
    }
}

/// `ListPartsResult`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListParts {
    /// The bucket.
    pub bucket: String,
    /// The key that the upload will write.
    pub key: String,
    /// The upload's id.
    pub upload_id: String,
    /// The page begins after this number.
    pub part_number_marker: u32,
    /// The next page begins after this number.
    pub next_part_number_marker: Option<u32>,
    /// How many were asked for.
    pub max_parts: u32,
    /// Whether there are more.
    pub is_truncated: bool,
    /// Storage class of the object to be.
    pub storage_class: Option<String>,
    /// Which checksum the parts have.
    pub checksum_algorithm: Option<String>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub checksum_type: Option<String>,
    /// The parts, ascending.
    pub parts: Vec<StoredPart>,
}

/// A part that the store holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPart {
    /// Its number.
    pub number: u32,
    /// When it was written.
    pub last_modified: Option<SystemTime>,
    /// Its tag.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// Its checksums.
    pub checksums: Checksums,
}

impl Document for ListParts {
    const ROOT: &'static str = "ListPartsResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let text = |name| root.text(name).unwrap_or_default().to_owned();
        let next = match root.filled("NextPartNumberMarker") {
            Some(_) => Some(root.number("NextPartNumberMarker")?),
            None => None,
        };
        Ok(Self {
            bucket: text("Bucket"),
            key: text("Key"),
            upload_id: text("UploadId"),
            part_number_marker: root.number_or("PartNumberMarker", 0)?,
            next_part_number_marker: next,
            max_parts: root.number_or("MaxParts", 0)?,
            is_truncated: root.flag("IsTruncated")?,
            storage_class: root.filled("StorageClass"),
            checksum_algorithm: root.filled("ChecksumAlgorithm"),
            checksum_type: root.filled("ChecksumType"),
            parts: root.all("Part").map(StoredPart::read).collect::<Result<_>>()?,
        })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.leaf("Bucket", &self.bucket);
        out.leaf("Key", &self.key);
        out.leaf("UploadId", &self.upload_id);
        out.leaf_if("StorageClass", self.storage_class.as_deref());
        out.value("PartNumberMarker", self.part_number_marker);
        if let Some(next) = self.next_part_number_marker {
            out.value("NextPartNumberMarker", next);
        }
        out.value("MaxParts", self.max_parts);
        out.value("IsTruncated", self.is_truncated);
        out.leaf_if("ChecksumAlgorithm", self.checksum_algorithm.as_deref());
        out.leaf_if("ChecksumType", self.checksum_type.as_deref());
        for part in &self.parts {
            part.write(&mut out);
        }
        out.finish()
    }
}

impl StoredPart {
    fn read(element: &Element<'_>) -> Result<Self> {
        let last_modified = match element.filled("LastModified") {
            Some(text) => Some(date::parse(&text).ok_or(Error::Invalid("LastModified"))?),
            None => None,
        };
        Ok(Self {
            number: element.number("PartNumber")?,
            last_modified,
            etag: ETag::new(element.required("ETag")?),
            size: element.number("Size")?,
            checksums: read_checksums(element),
        })
    }

    fn write(&self, out: &mut Out) {
        out.open("Part");
        out.value("PartNumber", self.number);
        out.leaf_if("LastModified", self.last_modified.map(date::iso8601).as_deref());
        out.leaf("ETag", &self.etag.quoted());
        out.value("Size", self.size);
        write_checksums(&self.checksums, out);
        out.close("Part");
    }
}
