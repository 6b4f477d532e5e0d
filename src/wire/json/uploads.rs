//! Documents of the upload family: begin, complete, list parts, list uploads.

use crate::wire::date;
use crate::wire::document::Error;
use crate::wire::etag::ETag;
use crate::wire::json::Document;
use crate::wire::json::Result;
use crate::wire::json::filled;
use crate::wire::json::from_slice;
use crate::wire::json::tag;
use crate::wire::json::time;
use crate::wire::json::to_string;
use crate::wire::xml::Checksums;
use crate::wire::xml::CompletePart;
use crate::wire::xml::CompleteRequest;
use crate::wire::xml::CompleteResult;
use crate::wire::xml::Encoding;
use crate::wire::xml::InitiateResult;
use crate::wire::xml::ListParts;
use crate::wire::xml::ListUploads;
use crate::wire::xml::StoredPart;
use crate::wire::xml::Upload;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::de::value::SeqAccessDeserializer;
use std::borrow::Cow;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Initiated {
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    key: String,
    #[serde(alias = "UploadID", alias = "uploadId", default)]
    upload_id: String,
}

impl Document for InitiateResult {
    fn parse(document: &[u8]) -> Result<Self> {
        let Initiated { bucket, key, upload_id } = from_slice(document)?;
        if upload_id.is_empty() {
            return Err(Error::Missing("UploadId"));
        }
        Ok(Self { bucket, key, upload_id })
    }

    fn write(&self) -> String {
        let Self { bucket, key, upload_id } = self.clone();
        to_string(&Initiated { bucket, key, upload_id })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NamedPart {
    #[serde(alias = "partNumber")]
    part_number: u32,
    #[serde(rename = "ETag", alias = "Etag", alias = "etag", alias = "eTag")]
    etag: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct CompleteBody {
    part: Vec<NamedPart>,
}

/// The parts: a member `Part`, or the bare array that an old client sends. Told apart by hand, since serde's way holds
/// the whole document in memory, unknown members too, at thirty times its size.
struct AnyCompleteBody(Vec<NamedPart>);

impl<'de> Deserialize<'de> for AnyCompleteBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(CompleteBodyVisitor)
    }
}

struct CompleteBodyVisitor;

impl<'de> Visitor<'de> for CompleteBodyVisitor {
    type Value = AnyCompleteBody;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object with the member Part, or an array of parts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> std::result::Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(seq)).map(AnyCompleteBody)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
        let mut parts = None;
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            if !matches!(name.as_ref(), "Part" | "part") {
                map.next_value::<IgnoredAny>()?;
            } else if parts.replace(map.next_value()?).is_some() {
                return Err(serde::de::Error::duplicate_field("Part"));
            }
        }
        parts.map(AnyCompleteBody).ok_or_else(|| serde::de::Error::missing_field("Part"))
    }
}

impl Document for CompleteRequest {
    fn parse(document: &[u8]) -> Result<Self> {
        let AnyCompleteBody(parts) = from_slice(document)?;
        let part = |NamedPart { part_number, etag }| CompletePart {
            number: part_number,
            etag: ETag::new(&etag),
            checksums: Checksums::new(),
        };
        Ok(Self { parts: parts.into_iter().map(part).collect() })
    }

    fn write(&self) -> String {
        let part = |part: &CompletePart| NamedPart { part_number: part.number, etag: part.etag.as_str().to_owned() };
        to_string(&CompleteBody { part: self.parts.iter().map(part).collect() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Completed {
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    key: String,
    #[serde(rename = "ETag", alias = "Etag", alias = "etag", alias = "eTag", default)]
    etag: String,
}

impl Document for CompleteResult {
    /// A failure comes with a sentence in the place of the tag: what is no tag is an error.
    fn parse(document: &[u8]) -> Result<Self> {
        let Completed { bucket, key, etag } = from_slice(document)?;
        if etag.is_empty() {
            return Err(Error::Missing("ETag"));
        }
        let etag = tag(&etag)?;
        Ok(Self { location: String::new(), bucket, key, etag, checksums: Checksums::new(), checksum_type: None })
    }

    fn write(&self) -> String {
        let etag = self.etag.as_str().to_owned();
        to_string(&Completed { bucket: self.bucket.clone(), key: self.key.clone(), etag })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PartEntry {
    part_number: u32,
    #[serde(default)]
    last_modified: Option<String>,
    #[serde(rename = "ETag", alias = "Etag", alias = "etag")]
    etag: String,
    size: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parts {
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    key: String,
    #[serde(alias = "UploadID", default)]
    upload_id: String,
    #[serde(default)]
    part: Vec<PartEntry>,
    #[serde(default)]
    storage_class: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    part_number_marker: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_part_number_marker: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_parts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    has_next: Option<bool>,
}

impl Document for ListParts {
    fn parse(document: &[u8]) -> Result<Self> {
        let list: Parts = from_slice(document)?;
        let part = |part: PartEntry| {
            Ok(StoredPart {
                number: part.part_number,
                last_modified: part.last_modified.map(|text| time("LastModified", &text)).transpose()?,
                etag: ETag::new(&part.etag),
                size: part.size,
                checksums: Checksums::new(),
            })
        };
        Ok(Self {
            bucket: list.bucket,
            key: list.key,
            upload_id: list.upload_id,
            part_number_marker: list.part_number_marker.unwrap_or(0),
            next_part_number_marker: list.next_part_number_marker,
            max_parts: list.max_parts.unwrap_or(0),
            is_truncated: list.has_next.unwrap_or(false),
            storage_class: filled(list.storage_class),
            checksum_algorithm: None,
            checksum_type: None,
            parts: list.part.into_iter().map(part).collect::<Result<_>>()?,
        })
    }

    /// The markers are written when a limit was asked for: a page without one has all parts.
    fn write(&self) -> String {
        let part = |part: &StoredPart| PartEntry {
            part_number: part.number,
            last_modified: part.last_modified.map(date::http),
            etag: part.etag.as_str().to_owned(),
            size: part.size,
        };
        let is_page = self.max_parts > 0;
        to_string(&Parts {
            bucket: self.bucket.clone(),
            key: self.key.clone(),
            upload_id: self.upload_id.clone(),
            part: self.parts.iter().map(part).collect(),
            storage_class: self.storage_class.clone(),
            part_number_marker: is_page.then_some(self.part_number_marker),
            next_part_number_marker: self.next_part_number_marker.filter(|_| is_page),
            max_parts: is_page.then_some(self.max_parts),
            has_next: is_page.then_some(self.is_truncated),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct UploadEntry {
    key: String,
    #[serde(alias = "UploadID")]
    upload_id: String,
    initiated: String,
    #[serde(rename = "Enable-Encryption", default, skip_serializing_if = "Option::is_none")]
    enable_encryption: Option<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    storage_class: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Uploads {
    #[serde(default)]
    bucket: String,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delimiter: Option<String>,
    #[serde(default)]
    upload: Vec<UploadEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    common_prefixes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_marker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_key_marker: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_upload_id_marker: Option<String>,
}

impl Document for ListUploads {
    fn parse(document: &[u8]) -> Result<Self> {
        let list: Uploads = from_slice(document)?;
        let next_key_marker = filled(list.next_key_marker);
        let upload = |upload: UploadEntry| {
            Ok(Upload {
                key: upload.key,
                upload_id: upload.upload_id,
                initiated: time("Initiated", &upload.initiated)?,
                storage_class: filled(upload.storage_class),
                is_encrypted: upload.enable_encryption.map(|text| text == "true"),
                owner: None,
            })
        };
        Ok(Self {
            bucket: list.bucket,
            key_marker: list.key_marker.unwrap_or_default(),
            upload_id_marker: String::new(),
            is_truncated: next_key_marker.is_some(),
            next_key_marker,
            next_upload_id_marker: filled(list.next_upload_id_marker),
            prefix: list.prefix.unwrap_or_default(),
            delimiter: filled(list.delimiter),
            max_uploads: 0,
            encoding: Encoding::Plain,
            uploads: list.upload.into_iter().map(upload).collect::<Result<_>>()?,
            common_prefixes: list.common_prefixes.unwrap_or_default(),
        })
    }

    fn write(&self) -> String {
        let upload = |upload: &Upload| UploadEntry {
            key: upload.key.clone(),
            upload_id: upload.upload_id.clone(),
            initiated: date::http(upload.initiated),
            enable_encryption: Some(upload.is_encrypted.unwrap_or(false).to_string()),
            summary: None,
            storage_class: upload.storage_class.clone(),
        };
        to_string(&Uploads {
            bucket: self.bucket.clone(),
            prefix: Some(self.prefix.clone()).filter(|prefix| !prefix.is_empty()),
            delimiter: self.delimiter.clone(),
            upload: self.uploads.iter().map(upload).collect(),
            common_prefixes: (!self.common_prefixes.is_empty()).then(|| self.common_prefixes.clone()),
            key_marker: Some(self.key_marker.clone()).filter(|marker| !marker.is_empty()),
            next_key_marker: self.next_key_marker.clone(),
            next_upload_id_marker: self.next_upload_id_marker.clone(),
        })
    }
}
