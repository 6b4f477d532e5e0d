//! The headers of a request by S3's names, whatever its dialect calls them, with those that a presigned URL carries
//! in its query.

use crate::http::HeaderMap;
use crate::server::backend::record::ENCRYPTION;
use crate::server::backend::record::ENCRYPTION_HEADER;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::wire::dialect::Dialect;
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

/// Parameters of the older signatures in a URL.
const OLD_SIGNATURE_PARAMETERS: [&str; 5] = ["AWSAccessKeyId", "WOSAccessKeyId", "AccessKey", "Expires", "Signature"];
/// What all names of S3's own begin with.
const S3_PREFIX: &str = "x-amz-";

/// Which parameters of a query may stand for headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hoisting {
    /// Those of the dialect's own prefix: the signature covers the whole query.
    Own,
    /// None: anyone could have added one.
    None,
}

/// Values by S3's lower-case name; repeated headers are joined by commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    dialect: Dialect,
    values: BTreeMap<String, Bytes>,
}

impl Fields {
    /// Gathers headers, then what the query has in the place of headers. A header that is there wins. A header of S3's
    /// own in another dialect is not signed there, and is dropped.
    ///
    /// # Errors
    /// When a value that must be exchanged has no counterpart.
    pub fn new(headers: &HeaderMap, query: &[(String, String)], dialect: Dialect, hoisting: Hoisting) -> Result<Self> {
        let mut fields = BTreeMap::new();
        for name in headers.keys().filter(|name| !is_foreign(name.as_str(), dialect)) {
            let values: Vec<&[u8]> = headers.get_all(name).iter().map(|value| value.as_bytes()).collect();
            fields.insert(dialect.s3_name(name.as_str()).into_owned(), Bytes::from(values.join(&b","[..])));
        }
        for (name, value) in query.iter().filter(|_| hoisting == Hoisting::Own) {
            let name = name.to_ascii_lowercase();
            if is_hoisted(&name, dialect) {
                let name = dialect.s3_name(&name).into_owned();
                fields.entry(name).or_insert_with(|| Bytes::from(value.clone()));
            }
        }
        let mut fields = Self { dialect, values: fields };
        if dialect == Dialect::Jss {
            fields.exchange_encryption()?;
        }
        Ok(fields)
    }

    fn exchange_encryption(&mut self) -> Result<()> {
        let asked = match self.text(ENCRYPTION_HEADER)? {
            None => return Ok(()),
            Some("true") => true,
            Some("false") => false,
            Some(other) => {
                let message = "x-jss-server-side-encryption must be true or false.";
                return Err(Fault::argument("x-jss-server-side-encryption", other, message));
            }
        };
        self.values.remove(ENCRYPTION_HEADER);
        if asked {
            self.values.insert(ENCRYPTION_HEADER.to_owned(), Bytes::from_static(ENCRYPTION.as_bytes()));
        }
        Ok(())
    }

    /// The dialect that the request speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// A value as it came.
    #[must_use]
    pub fn bytes(&self, name: &str) -> Option<&Bytes> {
        self.values.get(name)
    }

    /// A value that must be text.
    pub fn text(&self, name: &'static str) -> Result<Option<&str>> {
        let Some(value) = self.values.get(name) else { return Ok(None) };
        match std::str::from_utf8(value) {
            Ok(text) => Ok(Some(text.trim())),
            Err(_) => Err(Fault::new(ErrorCode::InvalidArgument, format!("The header {name} is not valid UTF-8."))),
        }
    }

    /// Whether there is such a header at all.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// All fields but those whose names are dropped.
    #[must_use]
    pub fn without(&self, drop: impl Fn(&str) -> bool) -> Self {
        let kept = self.values.iter().filter(|(name, _)| !drop(name));
        let values = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        Self { dialect: self.dialect, values }
    }

    /// All names with their values, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }
}

/// A header that S3 would heed and the dialect does not have.
fn is_foreign(name: &str, dialect: Dialect) -> bool {
    dialect != Dialect::S3 && name.starts_with(S3_PREFIX)
}

/// Whether a query parameter (lower case) stands for a header.
#[must_use]
pub fn is_hoisted(name: &str, dialect: Dialect) -> bool {
    name.starts_with(dialect.header_prefix()) && !is_new_signature(name, dialect)
}

/// Whether a query parameter belongs to the signature.
#[must_use]
pub fn is_signature(name: &str, dialect: Dialect) -> bool {
    is_new_signature(&name.to_ascii_lowercase(), dialect)
}

/// Whether a query parameter belongs to one of the older signatures.
#[must_use]
pub fn is_old_signature(name: &str) -> bool {
    OLD_SIGNATURE_PARAMETERS.contains(&name)
}

fn is_new_signature(name: &str, dialect: Dialect) -> bool {
    name.starts_with(dialect.header_prefix()) && SIGNATURE_PARAMETERS.contains(&&*dialect.s3_name(name))
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Fields {
    fn from(pairs: [(&str, &str); N]) -> Self {
        let values = pairs.into_iter().map(|(name, value)| (name.to_owned(), Bytes::from(value.to_owned())));
        Self { dialect: Dialect::S3, values: values.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::HeaderName;
    use crate::http::HeaderValue;
    use crate::wire::uri::parse_query;

    fn fields(dialect: Dialect, headers: &[(&str, &str)], query: &str, hoisting: Hoisting) -> Result<Fields> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Fields::new(&map, &parse_query(query).unwrap(), dialect, hoisting)
    }

    #[test]
    fn each_dialect_has_its_own_headers_and_no_others() {
        let headers =
            [("x-amz-meta-a", "s3"), ("x-jss-meta-a", "jss"), ("x-wos-meta-a", "wos"), ("content-type", "text/plain")];
        for (dialect, want) in [(Dialect::S3, "s3"), (Dialect::Jss, "jss"), (Dialect::Wos, "wos")] {
            let fields = fields(dialect, &headers, "", Hoisting::Own).unwrap();
            assert_eq!(fields.text("x-amz-meta-a").unwrap(), Some(want));
            assert_eq!(fields.text("content-type").unwrap(), Some("text/plain"));
            let foreign = fields.iter().filter(|(name, _)| name.starts_with("x-amz-")).count();
            assert_eq!(foreign, 1, "{dialect}");
        }
    }

    #[test]
    fn only_a_signed_query_stands_for_headers() {
        let query = "X-Wos-Meta-A=1&x-amz-meta-b=2&X-Wos-Signature=3&X-Wos-Date=4";
        let own = fields(Dialect::Wos, &[], query, Hoisting::Own).unwrap();
        assert_eq!(own.iter().collect::<Vec<_>>(), [("x-amz-meta-a", &Bytes::from_static(b"1"))]);
        assert_eq!(fields(Dialect::Wos, &[], query, Hoisting::None).unwrap().iter().count(), 0);
    }

    #[test]
    fn jss_asks_for_encryption_by_true_and_false() {
        let asked = |value| fields(Dialect::Jss, &[("x-jss-server-side-encryption", value)], "", Hoisting::None);
        assert_eq!(asked("true").unwrap().text(ENCRYPTION_HEADER).unwrap(), Some(ENCRYPTION));
        assert!(!asked("false").unwrap().has(ENCRYPTION_HEADER));
        for bad in ["AES256", "True", "1", ""] {
            assert_eq!(asked(bad).unwrap_err().code, ErrorCode::InvalidArgument, "{bad:?}");
        }
    }
}
