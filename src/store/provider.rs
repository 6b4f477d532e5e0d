//! What is true of each provider, as data. The rows are in `rows.rs`; here is what a row is, and how one is found.

mod rows;

use crate::http::Error;
use crate::http::Origin;
use crate::store::Dialect;
use crate::store::Facts;

/// How the bucket is named in a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// As the first segment of the path.
    Path,
    /// As a part of the host's name.
    VirtualHost,
    /// By host where the endpoint has a name of its own and the bucket's name is fit for it, by path otherwise.
    Auto,
}

/// How the bytes that are sent are protected on their way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Integrity {
    /// CRC-64/NVME, kept by the store with the object and compared for the whole of it at complete.
    Crc64Nvme,
    /// CRC-32C, kept by the store with the object or part.
    Crc32c,
    /// `Content-MD5`, which every store of every dialect compares.
    Md5,
    /// The SHA-256 of the body is part of the signature. Costs the most CPU, understood by every store that takes
    /// signatures of version 4.
    SignedSha256,
    /// By what carries it: TLS, or nothing.
    Transport,
}

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// `AWS4-HMAC-SHA256`.
    Aws4,
    /// `jingdong`, HMAC-SHA1.
    Jingdong,
    /// `WOS`, HMAC-SHA1: the first one of Wangsu.
    Wos2,
    /// `WOS-HMAC-SHA256`: the current one of Wangsu.
    Wos4,
}

/// One provider.
#[derive(Debug)]
pub struct Provider {
    /// What `--provider` calls it.
    pub name: &'static str,
    /// How it speaks.
    pub dialect: Dialect,
    /// How requests to it are signed.
    pub signature: Signature,
    /// Whether requests carry `Date` beside the signature's own date.
    pub sends_date: bool,
    /// What its store can do.
    pub facts: Facts,
    /// Nobody knows whether the facts are true of the store at hand; to be found out before they are relied on.
    pub to_be_probed: bool,
    /// How it likes buckets to be named.
    pub addressing: Addressing,
    /// The region to sign for when none is given.
    pub region: &'static str,
    /// Its endpoint, with `{region}` in it; `None` where one must be given.
    pub endpoint: Option<&'static str>,
    /// How bytes are protected over TLS, and over plain HTTP.
    pub integrity: [Integrity; 2],
}

impl Provider {
    /// Every known provider.
    #[must_use]
    pub fn all() -> &'static [Self] {
        rows::ROWS
    }

    /// The row of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        rows::ROWS.iter().find(|row| row.name == name)
    }

    /// The bundled backend.
    #[must_use]
    pub fn brigade() -> &'static Self {
        Self::named("brigade").expect("the row is in the table")
    }

    /// The row that fits an endpoint: its host tells, else it is the dialect's generic one. Without an endpoint it is the
    /// one whose endpoints are known: Amazon, JD Cloud, Wangsu.
    ///
    /// A host that is known to speak another dialect gives the row of that one; it is for the caller to refuse.
    #[must_use]
    pub fn of_endpoint(dialect: Dialect, endpoint: Option<&Origin>) -> &'static Self {
        let name = match endpoint {
            None => match dialect {
                Dialect::S3 => "aws",
                Dialect::Jss => "jss",
                Dialect::Wos => "wangsu",
            },
            Some(origin) => match rows::of_host(origin.host()) {
                // Wangsu's hosts take S3's signature and names as well ("Compatibility with AWS S3").
                Some("wangsu") if dialect == Dialect::S3 => "s3",
                Some(name) => name,
                None => match dialect {
                    Dialect::S3 => "s3",
                    Dialect::Jss => "jss",
                    Dialect::Wos => "wos",
                },
            },
        };
        Self::named(name).expect("the row is in the table")
    }

    /// The provider's own endpoint in a region, if it has one.
    ///
    /// # Errors
    /// When the region's name cannot be part of a host's.
    pub fn origin(&self, region: &str) -> Option<Result<Origin, Error>> {
        self.endpoint.map(|template| Origin::parse(&template.replace("{region}", region)))
    }
}

impl Integrity {
    /// As `--checksum` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc64Nvme => "crc64nvme",
            Self::Crc32c => "crc32c",
            Self::Md5 => "md5",
            Self::SignedSha256 => "sha256",
            Self::Transport => "none",
        }
    }

    /// Whether the dialect has it: only S3 has the newer checksums, and only signatures by SHA-256 cover a body.
    #[must_use]
    pub fn fits(self, dialect: Dialect, signature: Signature) -> bool {
        match self {
            Self::Crc64Nvme | Self::Crc32c => dialect == Dialect::S3,
            Self::SignedSha256 => matches!(signature, Signature::Aws4 | Signature::Wos4),
            Self::Md5 | Self::Transport => true,
        }
    }
}

impl Addressing {
    /// Whether a bucket is named by the host, given where requests go.
    #[must_use]
    pub fn by_host(self, origin: &Origin, bucket: &str) -> bool {
        match self {
            Self::Path => false,
            Self::VirtualHost => true,
            // A dot in the bucket's name would leave the certificate's wildcard behind.
            Self::Auto => {
                let fit = !(origin.is_tls() && bucket.contains('.'));
                fit && origin.host().contains('.') && origin.address().is_none() && origin.below(bucket).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests;
