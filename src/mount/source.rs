//! What is to be mounted, as a value: `s3://BUCKET[/PREFIX]`, the same with `jss://` or `wos://`, or `local:PATH`. Pure;
//! opens and reaches nothing.

use crate::store::Dialect;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The bucket of a `local:` source.
pub const LOCAL_BUCKET: &str = "local";

/// Where the files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A bucket at an endpoint; the prefix is empty or ends in `/`.
    Bucket {
        /// How it is spoken to.
        dialect: Dialect,
        /// The bucket's name.
        bucket: String,
        /// Keys begin so.
        prefix: String,
    },
    /// The bundled backend, run inside the mount process.
    Local {
        /// Its data directory.
        data: PathBuf,
    },
}

/// Why a text names no source.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Neither scheme, or none.
    #[error("not a source; write s3://BUCKET[/PREFIX], jss://BUCKET[/PREFIX], wos://BUCKET[/PREFIX] or local:PATH")]
    Unknown,
    /// Nothing, or letters that no bucket has.
    #[error("{0:?} is not a bucket name; it has 1 to 255 letters, digits, dots, dashes and underscores")]
    Bucket(String),
    /// `local:` alone.
    #[error("local: needs the path of a data directory, as in local:bucket-data")]
    NoPath,
}

impl FromStr for Source {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if let Some(path) = text.strip_prefix("local:") {
            return if path.is_empty() { Err(ParseError::NoPath) } else { Ok(Self::Local { data: path.into() }) };
        }
        let (scheme, rest) = text.split_once("://").ok_or(ParseError::Unknown)?;
        let dialect = Dialect::ALL.into_iter().find(|dialect| dialect.scheme() == scheme).ok_or(ParseError::Unknown)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if !is_bucket_name(bucket) {
            return Err(ParseError::Bucket(bucket.to_owned()));
        }
        Ok(Self::Bucket { dialect, bucket: bucket.to_owned(), prefix: directory_prefix(prefix) })
    }
}

// Only what keeps the name inside its place in an URL; the store knows its own rules, and old buckets break today's.
fn is_bucket_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=255).contains(&text.len()) && text.bytes().all(legal) && !text.bytes().all(|b| b == b'.')
}

/// A prefix that ends where a directory ends: `a/b` and `a/b/` both become `a/b/`, nothing stays nothing.
#[must_use]
pub fn directory_prefix(text: &str) -> String {
    match text.trim_matches('/') {
        "" => String::new(),
        inner => format!("{inner}/"),
    }
}

impl Source {
    /// The bucket's name.
    #[must_use]
    pub fn bucket(&self) -> &str {
        match self {
            Self::Bucket { bucket, .. } => bucket,
            Self::Local { .. } => LOCAL_BUCKET,
        }
    }

    /// How it is spoken to; the bundled backend of a local source speaks S3.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Bucket { dialect, .. } => *dialect,
            Self::Local { .. } => Dialect::S3,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket { dialect, bucket, prefix } => {
                let slash = if prefix.is_empty() { "" } else { "/" };
                write!(f, "{}://{bucket}{slash}{}", dialect.scheme(), prefix.trim_end_matches('/'))
            }
            Self::Local { data } => write!(f, "local:{}", data.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_documented() {
        let of = |dialect: Dialect, bucket: &str, prefix: &str| {
            Ok(Source::Bucket { dialect, bucket: bucket.into(), prefix: prefix.into() })
        };
        let s3 = |bucket: &str, prefix: &str| of(Dialect::S3, bucket, prefix);
        let rows: &[(&str, Result<Source, ParseError>, &str)] = &[
            ("s3://b", s3("b", ""), "a bucket"),
            ("s3://b/", s3("b", ""), "a slash adds nothing"),
            ("s3://my.bucket-1/a/b", s3("my.bucket-1", "a/b/"), "a prefix is a directory"),
            ("s3://b//a//", s3("b", "a/"), "slashes around a prefix"),
            ("local:data", Ok(Source::Local { data: "data".into() }), "a relative path"),
            ("local:/a b/c", Ok(Source::Local { data: "/a b/c".into() }), "an absolute path"),
            ("local:", Err(ParseError::NoPath), "no path"),
            ("s3://", Err(ParseError::Bucket(String::new())), "no bucket"),
            ("s3://..", Err(ParseError::Bucket("..".into())), "dots would leave the URL's path"),
            ("s3://a?b", Err(ParseError::Bucket("a?b".into())), "a query is not part of a name"),
            ("wos://b/a", of(Dialect::Wos, "b", "a/"), "another dialect"),
            ("jss://b", of(Dialect::Jss, "b", ""), "and another"),
            ("S3://b", Err(ParseError::Unknown), "schemes are written small"),
            ("gs://b", Err(ParseError::Unknown), "a dialect that nobody here speaks"),
            ("b", Err(ParseError::Unknown), "no scheme"),
            ("", Err(ParseError::Unknown), "nothing"),
        ];
        for (text, want, why) in rows {
            assert_eq!(&text.parse::<Source>(), want, "{text:?}: {why}");
        }
    }

    #[test]
    fn a_source_is_shown_as_it_can_be_typed() {
        for text in ["s3://b", "s3://b/a/c", "jss://b", "wos://b/a", "local:/srv/data"] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
    }
}
