//! Listings of objects, in both versions of the request.

use crate::wire::date;
use crate::wire::etag::ETag;
use crate::wire::uri;
use crate::wire::xml::Document;
use crate::wire::xml::Error;
use crate::wire::xml::Owner;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::out::can_carry;
use crate::wire::xml::out::is_name;
use crate::wire::xml::tree::Element;
use std::collections::BTreeMap;
use std::time::SystemTime;

/// Before the names of user metadata inside a listing, as in headers.
const METADATA_PREFIX: &str = "X-Amz-Meta-";

/// `ListBucketResult`. All texts are as they are in the bucket; encoding happens when the document is written and
/// read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjects {
    /// The bucket.
    pub name: String,
    /// Keys begin so.
    pub prefix: String,
    /// What keys are rolled up at.
    pub delimiter: Option<String>,
    /// How many entries were asked for.
    pub max_keys: u32,
    /// Whether there are more.
    pub is_truncated: bool,
    /// Whether keys are percent-encoded in the document, so that it can carry all of them.
    pub encoding: Encoding,
    /// Where this page begins and the next one does.
    pub paging: Paging,
    /// Objects, by key.
    pub contents: Vec<Content>,
    /// Common prefixes, delimiter included.
    pub common_prefixes: Vec<String>,
}

/// How keys stand in the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    #[default]
    Plain,
    /// Percent-encoded: `encoding-type=url`.
    Url,
}

/// What tells the two versions of listings apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Version 1: keys are the places.
    V1 {
        /// The page begins after this key.
        marker: String,
        /// The next page begins after this key.
        next_marker: Option<String>,
    },
    /// Version 2: opaque tokens are.
    V2 {
        /// The token of this page.
        continuation_token: Option<String>,
        /// The token of the next page.
        next_continuation_token: Option<String>,
        /// The first page begins after this key.
        start_after: Option<String>,
        /// Objects and prefixes on this page.
        key_count: u32,
    },
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its key.
    pub key: String,
    /// When it was written.
    pub last_modified: SystemTime,
    /// Its tag.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// Its storage class.
    pub storage_class: Option<String>,
    /// Whose it is, if that was asked for.
    pub owner: Option<Owner>,
    /// Its user metadata, if that was asked for (`metadata=true`): lower-case names without prefix. `None` also when
    /// a name or value is such that the document cannot carry it; the reader then has to ask for that object.
    pub user_metadata: Option<BTreeMap<String, String>>,
}

impl Document for ListObjects {
    const ROOT: &'static str = "ListBucketResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let encoding = match root.filled("EncodingType").as_deref() {
            None => Encoding::Plain,
            Some("url") => Encoding::Url,
            Some(_) => return Err(Error::Invalid("EncodingType")),
        };
        let is_v2 = ["KeyCount", "ContinuationToken", "NextContinuationToken", "StartAfter"]
            .iter()
            .any(|name| root.child(name).is_some());
        let prefixes = root.all("CommonPrefixes").flat_map(|element| element.all("Prefix"));
        Ok(Self {
            name: root.text("Name").unwrap_or_default().to_owned(),
            prefix: encoding.decode("Prefix", root.text("Prefix").unwrap_or_default())?,
            delimiter: encoding.decode_if("Delimiter", root.filled("Delimiter"))?,
            max_keys: root.number_or("MaxKeys", 0)?,
            is_truncated: root.flag("IsTruncated")?,
            encoding,
            paging: if is_v2 { Paging::read_v2(&root, encoding)? } else { Paging::read_v1(&root, encoding)? },
            contents: root.all("Contents").map(|element| Content::read(element, encoding)).collect::<Result<_>>()?,
            common_prefixes: prefixes.map(|element| encoding.decode("Prefix", &element.text)).collect::<Result<_>>()?,
        })
    }

    fn write_in(&self, style: Style) -> String {
        let mut out = Out::new(style, Self::ROOT);
        out.leaf("Name", &self.name);
        out.leaf("Prefix", &self.encoding.encode(&self.prefix));
        self.paging.write(self.encoding, &mut out);
        out.leaf_if("Delimiter", self.delimiter.as_deref().map(|text| self.encoding.encode(text)).as_deref());
        out.value("MaxKeys", self.max_keys);
        if self.encoding == Encoding::Url {
            out.leaf("EncodingType", "url");
        }
        out.value("IsTruncated", self.is_truncated);
        for content in &self.contents {
            content.write(self.encoding, &mut out);
        }
        for prefix in &self.common_prefixes {
            out.open("CommonPrefixes");
            out.leaf("Prefix", &self.encoding.encode(prefix));
            out.close("CommonPrefixes");
        }
        out.finish()
    }
}

impl Encoding {
    pub(super) fn encode(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => uri::encode_path(text),
        }
    }

    /// Amazon writes a space as `+` here, so a plus of the key itself always comes escaped.
    pub(super) fn decode(self, element: &'static str, text: &str) -> Result<String> {
        match self {
            Self::Plain => Ok(text.to_owned()),
            Self::Url => uri::decode_form(text).map_err(|_| Error::Invalid(element)),
        }
    }

    fn decode_if(self, element: &'static str, text: Option<String>) -> Result<Option<String>> {
        text.map(|text| self.decode(element, &text)).transpose()
    }
}

impl Paging {
    fn read_v1(root: &Element<'_>, encoding: Encoding) -> Result<Self> {
        Ok(Self::V1 {
            marker: encoding.decode("Marker", root.text("Marker").unwrap_or_default())?,
            next_marker: encoding.decode_if("NextMarker", root.filled("NextMarker"))?,
        })
    }

    fn read_v2(root: &Element<'_>, encoding: Encoding) -> Result<Self> {
        Ok(Self::V2 {
            continuation_token: root.filled("ContinuationToken"),
            next_continuation_token: root.filled("NextContinuationToken"),
            start_after: encoding.decode_if("StartAfter", root.filled("StartAfter"))?,
            key_count: root.number_or("KeyCount", 0)?,
        })
    }

    fn write(&self, encoding: Encoding, out: &mut Out) {
        match self {
            Self::V1 { marker, next_marker } => {
                out.leaf("Marker", &encoding.encode(marker));
                out.leaf_if("NextMarker", next_marker.as_deref().map(|text| encoding.encode(text)).as_deref());
            }
            Self::V2 { continuation_token, next_continuation_token, start_after, key_count } => {
                out.leaf_if("StartAfter", start_after.as_deref().map(|text| encoding.encode(text)).as_deref());
                out.leaf_if("ContinuationToken", continuation_token.as_deref());
                out.leaf_if("NextContinuationToken", next_continuation_token.as_deref());
                out.value("KeyCount", key_count);
            }
        }
    }
}

impl Content {
    fn read(element: &Element<'_>, encoding: Encoding) -> Result<Self> {
        let last_modified = date::parse(element.required("LastModified")?).ok_or(Error::Invalid("LastModified"))?;
        Ok(Self {
            key: encoding.decode("Key", element.required("Key")?)?,
            last_modified,
            etag: ETag::new(element.text("ETag").unwrap_or_default()),
            size: element.number("Size")?,
            storage_class: element.filled("StorageClass"),
            owner: element.child("Owner").map(Owner::read),
            user_metadata: element.child("UserMetadata").map(read_metadata),
        })
    }

    fn write(&self, encoding: Encoding, out: &mut Out) {
        out.open("Contents");
        out.leaf("Key", &encoding.encode(&self.key));
        out.leaf("LastModified", &date::iso8601(self.last_modified));
        out.leaf("ETag", &self.etag.quoted());
        out.value("Size", self.size);
        if let Some(owner) = &self.owner {
            owner.write("Owner", out);
        }
        out.leaf_if("StorageClass", self.storage_class.as_deref());
        if let Some(metadata) = self.user_metadata.as_ref().filter(|metadata| metadata_fits(metadata)) {
            out.open("UserMetadata");
            for (name, value) in metadata {
                out.leaf(&format!("{METADATA_PREFIX}{name}"), value);
            }
            out.close("UserMetadata");
        }
        out.close("Contents");
    }
}

/// Half of an object's metadata would be taken for all of it, so all names and values must fit or none is written.
fn metadata_fits(metadata: &BTreeMap<String, String>) -> bool {
    metadata.iter().all(|(name, value)| is_name(&format!("{METADATA_PREFIX}{name}")) && can_carry(value))
}

fn read_metadata(element: &Element<'_>) -> BTreeMap<String, String> {
    let user = |child: &Element<'_>| {
        let (prefix, name) = child.name.split_at_checked(METADATA_PREFIX.len())?;
        prefix.eq_ignore_ascii_case(METADATA_PREFIX).then(|| (name.to_ascii_lowercase(), child.text.to_string()))
    };
    element.children.iter().filter_map(user).collect()
}
