//! What is true of each provider, as data: one row each. A new provider is a new row.

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

const ROWS: &[Provider] = &[
    Provider {
        name: "s3",
        dialect: Dialect::S3,
        signature: Signature::Aws4,
        sends_date: false,
        facts: Facts::S3,
        to_be_probed: false,
        addressing: Addressing::Auto,
        region: "us-east-1",
        endpoint: None,
        // Newer checksums make other stores fail or, worse, keep the framing as data.
        integrity: [Integrity::Transport, Integrity::SignedSha256],
    },
    Provider {
        name: "aws",
        dialect: Dialect::S3,
        signature: Signature::Aws4,
        sends_date: false,
        facts: Facts::S3,
        to_be_probed: false,
        addressing: Addressing::Auto,
        region: "us-east-1",
        endpoint: Some("https://s3.{region}.amazonaws.com"),
        integrity: [Integrity::Crc64Nvme, Integrity::Crc64Nvme],
    },
    Provider {
        name: "brigade",
        dialect: Dialect::S3,
        signature: Signature::Aws4,
        sends_date: false,
        facts: Facts { listing_metadata: true, ..Facts::S3 },
        to_be_probed: false,
        addressing: Addressing::Path,
        region: "us-east-1",
        endpoint: None,
        integrity: [Integrity::Crc64Nvme, Integrity::Crc64Nvme],
    },
    Provider {
        name: "minio",
        dialect: Dialect::S3,
        signature: Signature::Aws4,
        sends_date: false,
        facts: Facts { listing_metadata: true, ..Facts::S3 },
        to_be_probed: false,
        addressing: Addressing::Path,
        region: "us-east-1",
        endpoint: None,
        integrity: [Integrity::Transport, Integrity::SignedSha256],
    },
    Provider {
        name: "jdcloud",
        dialect: Dialect::S3,
        signature: Signature::Aws4,
        // The vendor's header page says that x-amz-date is not supported, its examples use it.
        sends_date: true,
        facts: Facts { conditional_writes: false, copy_conditions: false, key_bytes_max: 1022, ..Facts::S3 },
        to_be_probed: true,
        addressing: Addressing::VirtualHost,
        region: "cn-north-1",
        endpoint: Some("https://s3.{region}.jdcloud-oss.com"),
        integrity: [Integrity::Transport, Integrity::SignedSha256],
    },
    Provider {
        name: "jss",
        dialect: Dialect::Jss,
        signature: Signature::Jingdong,
        sends_date: true,
        facts: Facts {
            conditional_writes: false,
            multi_delete: false,
            copy_part: false,
            copy_conditions: true,
            move_object: true,
            key_bytes_max: 1022,
            storage_classes: &["STANDARD", "REDUCED_REDUNDANCY"],
            ..Facts::S3
        },
        to_be_probed: true,
        addressing: Addressing::Path,
        region: "cn-north-1",
        endpoint: Some("https://oss.{region}.jcloudcs.com"),
        integrity: [Integrity::Transport, Integrity::Md5],
    },
    Provider {
        name: "wos",
        dialect: Dialect::Wos,
        signature: Signature::Wos2,
        sends_date: true,
        facts: Facts {
            conditional_writes: false,
            copy_part: false,
            key_bytes_max: 500,
            storage_classes: &["Standard", "IA", "Archive"],
            ..Facts::S3
        },
        to_be_probed: true,
        addressing: Addressing::Auto,
        region: "cn-east-1",
        endpoint: None,
        integrity: [Integrity::Transport, Integrity::Md5],
    },
];

impl Provider {
    /// Every known provider.
    #[must_use]
    pub fn all() -> &'static [Self] {
        ROWS
    }

    /// The row of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        ROWS.iter().find(|row| row.name == name)
    }

    /// The bundled backend.
    #[must_use]
    pub fn brigade() -> &'static Self {
        Self::named("brigade").expect("the row is in the table")
    }

    /// The row that fits an endpoint (`None`: no endpoint was given, which means Amazon).
    #[must_use]
    pub fn of_endpoint(endpoint: Option<&Origin>) -> &'static Self {
        let amazon = |origin: &Origin| {
            let host = origin.host();
            host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
        };
        let name = if endpoint.is_none_or(amazon) { "aws" } else { "s3" };
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
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_endpoint_is_one() {
        for row in Provider::all() {
            assert!(std::ptr::eq(Provider::named(row.name).unwrap(), row));
            assert!(row.origin(row.region).is_none_or(|origin| origin.is_ok()), "{}", row.name);
        }
        assert!(Provider::named("nobody").is_none());
    }

    #[test]
    fn endpoints_tell_the_provider() {
        for (url, want) in [
            (None, "aws"),
            (Some("https://s3.eu-west-1.amazonaws.com"), "aws"),
            (Some("https://s3.cn-north-1.amazonaws.com.cn"), "aws"),
            (Some("https://amazonaws.com.example.org"), "s3"),
            (Some("http://127.0.0.1:9000"), "s3"),
        ] {
            let origin = url.map(|url| Origin::parse(url).unwrap());
            assert_eq!(Provider::of_endpoint(origin.as_ref()).name, want, "{url:?}");
        }
    }

    #[test]
    fn buckets_are_named_by_host_where_that_works() {
        let rows: &[(&str, &str, bool, &str)] = &[
            ("https://s3.us-east-1.amazonaws.com", "my-bucket", true, "as Amazon wants it"),
            ("https://s3.us-east-1.amazonaws.com", "my.bucket", false, "no certificate covers it"),
            ("http://store.example.com", "my.bucket", true, "no certificate is needed"),
            ("https://s3.us-east-1.amazonaws.com", "My_Bucket", false, "not a host name"),
            ("http://127.0.0.1:9000", "my-bucket", false, "an address"),
            ("http://localhost:9000", "my-bucket", false, "a name that has no names below it"),
        ];
        for (url, bucket, want, why) in rows {
            let origin = Origin::parse(url).unwrap();
            assert_eq!(Addressing::Auto.by_host(&origin, bucket), *want, "{url} {bucket}: {why}");
        }
    }
}
