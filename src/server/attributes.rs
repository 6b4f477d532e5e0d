//! The headers kept with an object: from a request, and into an answer.

use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::HeaderValue;
use crate::server::backend::record::Attributes;
use crate::server::backend::record::ENCRYPTION;
use crate::server::backend::record::ENCRYPTION_HEADER;
use crate::server::backend::record::Protection;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Fields;
use crate::server::storage_class;
use crate::wire::dialect::Dialect;
use crate::wire::error_code::ErrorCode;
use bytes::Bytes;

const METADATA_PREFIX: &str = "x-amz-meta-";
/// Bytes; names and values of user metadata together.
const METADATA_BYTES_MAX: usize = 2048;
/// Kept as they come. `content-encoding` is kept without `aws-chunked`.
const KEPT: [&str; 5] = ["cache-control", "content-disposition", "content-language", "content-type", "expires"];
/// What an object without a type is said to be.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// What a writing request says about its object, but for its storage class.
pub fn from_fields(fields: &Fields) -> Result<Attributes> {
    let mut headers = Vec::new();
    for name in KEPT {
        if let Some(value) = fields.bytes(name).filter(|value| !value.is_empty()) {
            headers.push((name.to_owned(), value.clone()));
        }
    }
    if let Some(encoding) = content_encoding(fields)? {
        headers.push(("content-encoding".to_owned(), encoding));
    }
    let metadata: Vec<(String, Bytes)> = fields
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(METADATA_PREFIX)?.to_owned(), value.clone())))
        .collect();
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        return Err(Fault::from(ErrorCode::MetadataTooLarge)
            .with("Size", bytes.to_string())
            .with("MaxSizeAllowed", METADATA_BYTES_MAX.to_string()));
    }
    let mut attributes = Attributes { headers, metadata, storage_class: None };
    attributes.set_protection(protection(fields)?.unwrap_or(Protection::Plain));
    Ok(attributes)
}

/// The encryption asked for, if any is.
pub fn protection(fields: &Fields) -> Result<Option<Protection>> {
    match fields.text(ENCRYPTION_HEADER)? {
        None => Ok(None),
        Some(ENCRYPTION) => Ok(Some(Protection::Sealed)),
        Some("aws:kms" | "aws:kms:dsse") => {
            Err(Fault::new(ErrorCode::NotImplemented, "Objects can be encrypted with keys of the server only: AES256."))
        }
        Some(other) => {
            Err(Fault::argument(ENCRYPTION_HEADER, other, "The encryption method specified is not supported."))
        }
    }
}

fn content_encoding(fields: &Fields) -> Result<Option<Bytes>> {
    let Some(text) = fields.text("content-encoding")? else { return Ok(None) };
    let others = text.split(',').map(str::trim).filter(|c| !c.is_empty() && !c.eq_ignore_ascii_case("aws-chunked"));
    let others: Vec<&str> = others.collect();
    Ok((!others.is_empty()).then(|| Bytes::from(others.join(","))))
}

/// Puts what is kept into an answer.
pub fn into_headers(attributes: &Attributes, dialect: Dialect, headers: &mut HeaderMap) {
    insert(headers, "content-type", DEFAULT_TYPE.as_bytes());
    for (name, value) in &attributes.headers {
        insert(headers, name, value);
    }
    for (name, value) in &attributes.metadata {
        insert(headers, &format!("{METADATA_PREFIX}{name}"), value);
    }
    if let Some(class) = storage_class::header(attributes.storage_class.as_deref(), dialect) {
        insert(headers, "x-amz-storage-class", class.as_bytes());
    }
}

/// Sets a header whose value came from a header, or is text of ours.
pub fn insert(headers: &mut HeaderMap, name: &str, value: &[u8]) {
    match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value)) {
        (Ok(name), Ok(value)) => {
            headers.insert(name, value);
        }
        // A parameter of a presigned URL may hold what no header can.
        (Ok(_) | Err(_), Ok(_) | Err(_)) => tracing::debug!(name, "a value cannot stand in a header"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_comes_back() {
        let fields = Fields::from([
            ("content-type", "text/plain"),
            ("content-encoding", "aws-chunked, gzip"),
            ("x-amz-meta-mode", "33188"),
            ("x-amz-meta-name", "caf\u{e9}"),
            ("x-other", "dropped"),
        ]);
        let mut headers = HeaderMap::new();
        let kept = Attributes { storage_class: Some("STANDARD_IA".into()), ..from_fields(&fields).unwrap() };
        into_headers(&kept, Dialect::S3, &mut headers);
        let got = |name: &str| headers.get(name).map(|value| value.as_bytes().to_vec());
        assert_eq!(got("content-type"), Some(b"text/plain".to_vec()));
        assert_eq!(got("content-encoding"), Some(b"gzip".to_vec()));
        assert_eq!(got("x-amz-meta-mode"), Some(b"33188".to_vec()));
        assert_eq!(got("x-amz-meta-name"), Some("caf\u{e9}".as_bytes().to_vec()));
        assert_eq!(got("x-amz-storage-class"), Some(b"STANDARD_IA".to_vec()));
        assert_eq!(headers.len(), 5);
    }

    #[test]
    fn defaults_and_limits_are_those_of_s3() {
        let mut headers = HeaderMap::new();
        into_headers(&from_fields(&Fields::default()).unwrap(), Dialect::S3, &mut headers);
        assert_eq!(headers.get("content-type").unwrap(), DEFAULT_TYPE);
        assert_eq!(headers.len(), 1);
        assert_eq!(from_fields(&Fields::from([("content-encoding", "aws-chunked")])).unwrap().headers, []);
        let most = "x".repeat(METADATA_BYTES_MAX - 1);
        assert!(from_fields(&Fields::from([("x-amz-meta-a", most.as_str())])).is_ok());
        let refused = |fields: Fields| from_fields(&fields).unwrap_err().code;
        let more = format!("{most}x");
        assert_eq!(refused(Fields::from([("x-amz-meta-a", more.as_str())])), ErrorCode::MetadataTooLarge);
    }
}
