//! The headers of a request by name, with those that a presigned URL carries in its query.

use crate::http::HeaderMap;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::wire::error_code::ErrorCode;
use bytes::Bytes;
use std::collections::BTreeMap;

/// Parameters of the signature; all other `x-amz-` parameters of a presigned URL stand for headers.
const SIGNATURE_PARAMETERS: [&str; 7] = [
    "x-amz-algorithm",
    "x-amz-credential",
    "x-amz-date",
    "x-amz-expires",
    "x-amz-signedheaders",
    "x-amz-signature",
    "x-amz-security-token",
];

/// Values by lower-case name; repeated headers are joined by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(BTreeMap<String, Bytes>);

impl Fields {
    /// Gathers headers, then what the query has in the place of headers. A header that is there wins.
    #[must_use]
    pub fn new(headers: &HeaderMap, query: &[(String, String)]) -> Self {
        let mut fields = BTreeMap::new();
        for name in headers.keys() {
            let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
            fields.insert(name.as_str().to_owned(), Bytes::from(values.join(&b","[..])));
        }
        for (name, value) in query {
            let name = name.to_ascii_lowercase();
            if is_hoisted(&name) {
                fields.entry(name).or_insert_with(|| Bytes::from(value.clone()));
            }
        }
        Self(fields)
    }

    /// A value as it came.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&Bytes> {
        self.0.get(name)
    }

    /// A value that must be text.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        match std::str::from_utf8(value) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(Fault::new(ErrorCode::InvalidArgument, format!("The header {name} is not valid UTF-8."))),
        }
    }

    /// Whether there is such a header at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All fields but those whose names are dropped.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        let kept = self.0.iter().filter(|(name, _)| !drop(name));
        Self(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    /// All names with their values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// Whether a query parameter (lower case) stands for a header.
#[must_use]
pub fn is_hoisted(name: &str) -> bool {
    name.starts_with("x-amz-") && !SIGNATURE_PARAMETERS.contains(&name)
}

/// Whether a query parameter (lower case) belongs to the signature.
#[must_use]
pub fn is_signature(name: &str) -> bool {
    SIGNATURE_PARAMETERS.contains(&name)
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Fields {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.into_iter().map(|(name, value)| (name.to_owned(), Bytes::from(value.to_owned()))).collect())
    }
}
