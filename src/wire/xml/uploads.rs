//! Listings of unfinished uploads.

use crate::wire::date;
use crate::wire::xml::Document;
use crate::wire::xml::Encoding;
use crate::wire::xml::Error;
use crate::wire::xml::Owner;
use crate::wire::xml::Result;
use crate::wire::xml::Style;
use crate::wire::xml::out::Out;
use crate::wire::xml::tree::Element;
use std::time::SystemTime;

/// `ListMultipartUploadsResult`. Texts are as they are in the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListUploads {
    /// The bucket.
    pub bucket: String,
    /// The page begins after this key…
    pub key_marker: String,
    /// …and, for the same key, after this id.
    pub upload_id_marker: String,
    /// The next page begins after this key…
    pub next_key_marker: Option<String>,
    /// …and, for the same key, after this id.
    pub next_upload_id_marker: Option<String>,
    /// Keys begin so.
    pub prefix: String,
    /// What keys are rolled up at.
    pub delimiter: Option<String>,
    /// How many were asked for.
    pub max_uploads: u32,
    /// Whether there are more.
    pub is_truncated: bool,
    /// Whether keys are percent-encoded in the document.
    pub encoding: Encoding,
    /// The uploads, by key and then by time or id.
    pub uploads: Vec<Upload>,
    /// Common prefixes, delimiter included.
    pub common_prefixes: Vec<String>,
}

/// An unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The key that it will write.
    pub key: String,
    /// Its id.
    pub upload_id: String,
    /// When it was begun.
    pub initiated: SystemTime,
    /// Storage class of the object to be.
    pub storage_class: Option<String>,
    /// Whether its parts are encrypted at rest, where a dialect tells it.
    pub is_encrypted: Option<bool>,
    /// Who began it.
    pub owner: Option<Owner>,
}

impl Document for ListUploads {
    const ROOT: &'static str = "ListMultipartUploadsResult";

    fn parse(document: &[u8]) -> Result<Self> {
        let root = Element::parse(document, Self::ROOT)?;
        let url = root.text("EncodingType") == Some("url");
        let encoding = if url { Encoding::Url } else { Encoding::Plain };
        let text = |name: &'static str, text: &str| encoding.decode(name, text);
        let optional = |name: &'static str| root.filled(name).map(|value| text(name, &value)).transpose();
        let prefixes = root.all("CommonPrefixes").flat_map(|element| element.all("Prefix"));
        Ok(Self {
            bucket: root.text("Bucket").unwrap_or_default().to_owned(),
            key_marker: optional("KeyMarker")?.unwrap_or_default(),
            upload_id_marker: root.text("UploadIdMarker").unwrap_or_default().to_owned(),
            next_key_marker: optional("NextKeyMarker")?,
            next_upload_id_marker: root.filled("NextUploadIdMarker"),
            prefix: optional("Prefix")?.unwrap_or_default(),
            delimiter: optional("Delimiter")?,
            max_uploads: root.number_or("MaxUploads", 0)?,
            is_truncated: root.flag("IsTruncated")?,
            encoding,
            uploads: root.all("Upload").map(|element| Upload::read(element, encoding)).collect::<Result<_>>()?,
            common_prefixes: prefixes.map(|element| text("Prefix", &element.text)).collect::<Result<_>>()?,
        })
    }

    fn write_in(&self, style: Style) -> String {
        let encode = |text: &str| self.encoding.encode(text);
        let mut out = Out::new(style, Self::ROOT);
        out.leaf("Bucket", &self.bucket);
        out.leaf("KeyMarker", &encode(&self.key_marker));
        out.leaf("UploadIdMarker", &self.upload_id_marker);
        out.leaf_if("NextKeyMarker", self.next_key_marker.as_deref().map(encode).as_deref());
        out.leaf_if("NextUploadIdMarker", self.next_upload_id_marker.as_deref());
        out.leaf("Prefix", &encode(&self.prefix));
        out.leaf_if("Delimiter", self.delimiter.as_deref().map(encode).as_deref());
        if self.encoding == Encoding::Url {
            out.leaf("EncodingType", "url");
        }
        out.value("MaxUploads", self.max_uploads);
        out.value("IsTruncated", self.is_truncated);
        for upload in &self.uploads {
            upload.write(self.encoding, &mut out);
        }
        for prefix in &self.common_prefixes {
            out.open("CommonPrefixes");
            out.leaf("Prefix", &encode(prefix));
            out.close("CommonPrefixes");
        }
        out.finish()
    }
}

impl Upload {
    fn read(element: &Element<'_>, encoding: Encoding) -> Result<Self> {
        Ok(Self {
            key: encoding.decode("Key", element.required("Key")?)?,
            upload_id: element.required("UploadId")?.to_owned(),
            initiated: date::parse(element.required("Initiated")?).ok_or(Error::Invalid("Initiated"))?,
            storage_class: element.filled("StorageClass"),
            is_encrypted: None,
            owner: element.child("Owner").map(Owner::read),
        })
    }

    fn write(&self, encoding: Encoding, out: &mut Out) {
        out.open("Upload");
        out.leaf("Key", &encoding.encode(&self.key));
        out.leaf("UploadId", &self.upload_id);
        if let Some(owner) = &self.owner {
            owner.write("Initiator", out);
            owner.write("Owner", out);
        }
        out.leaf_if("StorageClass", self.storage_class.as_deref());
        out.leaf("Initiated", &date::iso8601(self.initiated));
        out.close("Upload");
    }
}
