//! Documents about buckets and objects: both listings, the result of a copy, errors.

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
use crate::wire::xml::Bucket;
use crate::wire::xml::Checksums;
use crate::wire::xml::Content;
use crate::wire::xml::CopyObjectResult;
use crate::wire::xml::Encoding;
use crate::wire::xml::ErrorDocument;
use crate::wire::xml::ListBuckets;
use crate::wire::xml::ListObjects;
use crate::wire::xml::Owner;
use crate::wire::xml::Paging;
use serde::Deserialize;
use serde::Serialize;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    key: String,
    last_modified: String,
    #[serde(rename = "ETag", alias = "Etag", alias = "etag", default)]
    etag: String,
    size: u64,
    #[serde(default)]
    storage_class: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listing {
    #[serde(default)]
    name: String,
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    marker: Option<String>,
    #[serde(default)]
    next_marker: Option<String>,
    #[serde(default)]
    delimiter: Option<String>,
    #[serde(default)]
    max_keys: u32,
    #[serde(default)]
    has_next: bool,
    // Contradicts the prefixes in the vendor's own examples; not read.
    #[serde(skip_deserializing)]
    has_common_prefix: bool,
    #[serde(default)]
    contents: Option<Vec<Entry>>,
    #[serde(default)]
    common_prefixes: Option<Vec<String>>,
}

impl Document for ListObjects {
    /// Common prefixes come without their delimiter, and have it here.
    fn parse(document: &[u8]) -> Result<Self> {
        let list: Listing = from_slice(document)?;
        // Nearly all members may be missing, but then any JSON would be a listing of nothing.
        if list.name.is_empty() && list.contents.is_none() && list.common_prefixes.is_none() {
            return Err(Error::Missing("Contents"));
        }
        let delimiter = filled(list.delimiter);
        let asked = list.prefix.unwrap_or_default();
        let whole = |common: String| match &delimiter {
            Some(delimiter) => {
                // What was asked for may end with a delimiter of its own.
                let rest = common.strip_prefix(asked.as_str()).unwrap_or(&common);
                if rest.ends_with(delimiter.as_str()) { common } else { common + delimiter }
            }
            None => common,
        };
        let content = |entry: Entry| {
            Ok(Content {
                last_modified: time("LastModified", &entry.last_modified)?,
                key: entry.key,
                etag: ETag::new(&entry.etag),
                size: entry.size,
                storage_class: filled(entry.storage_class),
                owner: None,
                user_metadata: None,
            })
        };
        Ok(Self {
            name: list.name,
            max_keys: list.max_keys,
            is_truncated: list.has_next,
            encoding: Encoding::Plain,
            paging: Paging::V1 { marker: list.marker.unwrap_or_default(), next_marker: filled(list.next_marker) },
            contents: list.contents.unwrap_or_default().into_iter().map(content).collect::<Result<_>>()?,
            common_prefixes: list.common_prefixes.unwrap_or_default().into_iter().map(whole).collect(),
            prefix: asked,
            delimiter,
        })
    }

    /// Common prefixes are written without their delimiter, as the vendor's page has them.
    fn write(&self) -> String {
        let bare = |prefix: &String| match &self.delimiter {
            Some(delimiter) => prefix.strip_suffix(delimiter.as_str()).unwrap_or(prefix).to_owned(),
            None => prefix.clone(),
        };
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let (marker, next_marker) = match &self.paging {
            Paging::V1 { marker, next_marker } => (some(marker), next_marker.clone()),
            Paging::V2 { .. } => (None, None),
        };
        let entry = |content: &Content| Entry {
            key: content.key.clone(),
            last_modified: date::http(content.last_modified),
            etag: content.etag.as_str().to_owned(),
            size: content.size,
            storage_class: content.storage_class.clone(),
        };
        to_string(&Listing {
            name: self.name.clone(),
            prefix: some(&self.prefix),
            marker,
            next_marker,
            delimiter: self.delimiter.clone(),
            max_keys: self.max_keys,
            has_next: self.is_truncated,
            has_common_prefix: !self.common_prefixes.is_empty(),
            contents: Some(self.contents.iter().map(entry).collect()),
            common_prefixes: Some(self.common_prefixes.iter().map(bare).collect()),
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BucketEntry {
    name: String,
    creation_date: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Buckets {
    #[serde(default)]
    buckets: Vec<BucketEntry>,
}

impl Document for ListBuckets {
    fn parse(document: &[u8]) -> Result<Self> {
        let bucket =
            |entry: BucketEntry| Ok(Bucket { created: time("CreationDate", &entry.creation_date)?, name: entry.name });
        let list: Buckets = from_slice(document)?;
        Ok(Self { owner: Owner::default(), buckets: list.buckets.into_iter().map(bucket).collect::<Result<_>>()? })
    }

    fn write(&self) -> String {
        let entry = |bucket: &Bucket| BucketEntry {
            name: bucket.name.clone(),
            creation_date: date::http(bucket.created),
            location: None,
        };
        to_string(&Buckets { buckets: self.buckets.iter().map(entry).collect() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Copied {
    #[serde(alias = "lastModified", default)]
    last_modified: Option<String>,
    // One client reads `Etag`, the management API says `etag`.
    #[serde(rename = "Etag", alias = "ETag", alias = "etag", alias = "eTag", default)]
    etag: String,
}

impl Document for CopyObjectResult {
    fn parse(document: &[u8]) -> Result<Self> {
        let Copied { last_modified, etag } = from_slice(document)?;
        if etag.is_empty() {
            return Err(Error::Missing("ETag"));
        }
        let last_modified = last_modified.map(|text| time("LastModified", &text)).transpose()?;
        Ok(Self { etag: tag(&etag)?, last_modified, checksums: Checksums::new() })
    }

    fn write(&self) -> String {
        to_string(&Copied { last_modified: self.last_modified.map(date::http), etag: self.etag.as_str().to_owned() })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Failed {
    #[serde(alias = "Code", default)]
    code: String,
    #[serde(alias = "Message", default)]
    message: Option<String>,
    #[serde(alias = "Resource", default)]
    resource: Option<String>,
    #[serde(alias = "RequestId", alias = "requestID", default)]
    request_id: Option<String>,
}

impl Document for ErrorDocument {
    fn parse(document: &[u8]) -> Result<Self> {
        let Failed { code, message, resource, request_id } = from_slice(document)?;
        if code.is_empty() {
            return Err(Error::Missing("code"));
        }
        let message = message.unwrap_or_default();
        Ok(Self { code: code.trim().to_owned(), message, resource, request_id, ..Self::default() })
    }

    /// Only the four members that the vendor's page has; details are for XML.
    fn write(&self) -> String {
        to_string(&Failed {
            code: self.code.clone(),
            message: Some(self.message.clone()),
            resource: self.resource.clone(),
            request_id: self.request_id.clone(),
        })
    }
}
