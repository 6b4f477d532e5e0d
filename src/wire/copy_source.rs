//! The header that names the source of a copy.

use crate::wire::uri;

/// An object to copy from: `x-amz-copy-source`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// The bucket.
    pub bucket: String,
    /// The key, decoded.
    pub key: String,
    /// `?versionId=`, if one is named.
    pub version_id: Option<String>,
}

/// Why a header does not name an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not percent-encoded UTF-8.
    #[error("the copy source is not valid: {0}")]
    Encoding(#[from] uri::DecodeError),
    /// No bucket or no key.
    #[error("the copy source must be /bucket/key")]
    Shape,
}

impl CopySource {
    /// Reads `/bucket/key` or `bucket/key`, percent-encoded, with an optional `?versionId=`.
    ///
    /// # Errors
    /// When it names no object.
    pub fn parse(header: &str) -> Result<Self, ParseError> {
        // A question mark of the key itself arrives as %3F.
        let (path, version_id) = match header.split_once("?versionId=") {
            Some((path, version)) => (path, Some(uri::decode(version)?)),
            None => (header, None),
        };
        let path = uri::decode(path)?;
        let path = path.strip_prefix('/').unwrap_or(&path);
        match path.split_once('/') {
            Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                Ok(Self { bucket: bucket.to_owned(), key: key.to_owned(), version_id })
            }
            Some(_) | None => Err(ParseError::Shape),
        }
    }

    /// Writes the header.
    #[must_use]
    pub fn header(&self) -> String {
        let path = format!("/{}/{}", uri::encode(&self.bucket), uri::encode_path(&self.key));
        match &self.version_id {
            Some(version) => format!("{path}?versionId={}", uri::encode(version)),
            None => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source(bucket: &str, key: &str, version: Option<&str>) -> CopySource {
        CopySource { bucket: bucket.into(), key: key.into(), version_id: version.map(Into::into) }
    }

    #[test]
    fn sources_are_read_in_every_spelling() {
        let rows: &[(&str, Result<CopySource, ParseError>, &str)] = &[
            ("/b/k", Ok(source("b", "k", None)), "as documented"),
            ("b/k", Ok(source("b", "k", None)), "without the slash"),
            ("b/a%2Fb", Ok(source("b", "a/b", None)), "slashes escaped"),
            ("%2Fb%2Fk", Ok(source("b", "k", None)), "all escaped"),
            ("b/a%20b+c", Ok(source("b", "a b+c", None)), "a plus is a plus"),
            ("b//k", Ok(source("b", "/k", None)), "the key begins with a slash"),
            ("b/k%3FversionId=1", Ok(source("b", "k?versionId=1", None)), "a question mark of the key"),
            ("b/k?versionId=1", Ok(source("b", "k", Some("1"))), "a version"),
            ("b", Err(ParseError::Shape), "no key"),
            ("/b/", Err(ParseError::Shape), "no key"),
            ("//k", Err(ParseError::Shape), "no bucket"),
            ("", Err(ParseError::Shape), "nothing"),
            ("b/%zz", Err(ParseError::Encoding(uri::DecodeError::Escape)), "a bad escape"),
        ];
        for (header, want, why) in rows {
            assert_eq!(&CopySource::parse(header), want, "{header:?}: {why}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(bucket in "[a-z0-9.-]{3,10}", key in ".{1,20}", version in prop::option::of(".{0,9}")) {
            let source = CopySource { bucket, key, version_id: version };
            prop_assert_eq!(CopySource::parse(&source.header()), Ok(source));
        }
    }
}
