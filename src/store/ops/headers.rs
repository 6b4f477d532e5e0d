//! The headers kept with an object, and conditions: to and from HTTP.

use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::header;
use crate::store::Condition;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Object;
use crate::store::Result;
use crate::store::ops::Call;
use crate::store::ops::text;
use crate::wire::date;
use crate::wire::etag::ETag;
use std::time::SystemTime;

const METADATA_PREFIX: &str = "x-amz-meta-";
const STORAGE_CLASS: &str = "x-amz-storage-class";

impl Call {
    /// The same with the headers to be kept with the object.
    pub fn object_headers(mut self, headers: &Headers) -> Result<Self> {
        let fields = [
            (header::CONTENT_TYPE, &headers.content_type),
            (header::CACHE_CONTROL, &headers.cache_control),
            (header::CONTENT_DISPOSITION, &headers.content_disposition),
            (header::CONTENT_ENCODING, &headers.content_encoding),
            (header::CONTENT_LANGUAGE, &headers.content_language),
            (header::EXPIRES, &headers.expires),
            (HeaderName::from_static(STORAGE_CLASS), &headers.storage_class),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                self.insert(name, value)?;
            }
        }
        for (name, value) in &headers.metadata {
            let header = HeaderName::from_bytes(format!("{METADATA_PREFIX}{name}").as_bytes()).map_err(|_| {
                let message = format!("{name:?} cannot be the name of user metadata");
                Error::new(self.op, self.key.clone(), Kind::Invalid, message)
            })?;
            self.insert(header, value)?;
        }
        Ok(self)
    }

    /// The same with a condition on what is there.
    pub fn condition(self, condition: &Condition) -> Result<Self> {
        match condition {
            Condition::None => Ok(self),
            Condition::Absent => self.header("if-none-match", "*"),
            Condition::Matches(etag) => self.header("if-match", &etag.quoted()),
        }
    }
}

/// The object at `key` that the headers of HEAD and GET describe, of `size` bytes.
pub(super) fn read_object(dialect: Dialect, key: &str, headers: &HeaderMap, size: u64, etag: ETag) -> Object {
    // A store that hides the time is served with the earliest; nothing depends on it being right.
    let last_modified =
        text(headers, header::LAST_MODIFIED.as_str()).and_then(date::parse).unwrap_or(SystemTime::UNIX_EPOCH);
    let mut headers = read_headers(headers);
    match dialect {
        Dialect::S3 | Dialect::Wos => {}
        Dialect::Jss => drop_jss_defaults(key, &mut headers),
    }
    Object { size, etag, last_modified, headers }
}

/// JSS answers these where an object says nothing (its page "GetObject"). Taken for the object's own they would be kept
/// with the next copy, and the name of the file outlive it.
fn drop_jss_defaults(key: &str, headers: &mut Headers) {
    headers.cache_control.take_if(|value| value == "max-age=2592000");
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    headers.content_disposition.take_if(|value| *value == format!("inline; filename=\"{quoted}\""));
}

fn read_headers(headers: &HeaderMap) -> Headers {
    let field = |name: HeaderName| headers.get(name).map(|value| lossy(value.as_bytes()));
    let metadata = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix(METADATA_PREFIX)?.to_owned(), lossy(value.as_bytes())))
    });
    Headers {
        content_type: field(header::CONTENT_TYPE),
        cache_control: field(header::CACHE_CONTROL),
        content_disposition: field(header::CONTENT_DISPOSITION),
        content_encoding: field(header::CONTENT_ENCODING),
        content_language: field(header::CONTENT_LANGUAGE),
        expires: field(header::EXPIRES),
        storage_class: field(HeaderName::from_static(STORAGE_CLASS)),
        metadata: metadata.collect(),
    }
}

fn lossy(value: &[u8]) -> String {
    String::from_utf8_lossy(value).into_owned()
}
