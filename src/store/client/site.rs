//! Where requests for a bucket go.

use crate::http::Origin;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::client::Options;
use crate::store::client::hosts::VendorHost;
use crate::store::provider::Addressing;
use crate::wire::uri;

/// An address of the bucket, and the region that requests are signed for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Site {
    pub origin: Origin,
    pub region: String,
    pub bucket: String,
    /// What stands before a key in the path: `/`, or `/bucket/`.
    base: String,
}

impl Site {
    /// The site that options lead to; `region` is one that was learnt and goes before theirs. Without either the name of
    /// the endpoint's host may tell it.
    pub fn new(options: &Options, region: Option<&str>) -> Result<Self> {
        let invalid = |message: String| Error::new(Op::HeadBucket, "", Kind::Invalid, message);
        let provider = options.provider;
        let named = || VendorHost::parse(options.endpoint.as_ref()?.host())?.region;
        let region = region.or(options.region.as_deref()).or_else(named).unwrap_or(provider.region).to_owned();
        let endpoint = match (&options.endpoint, provider.origin(&region)) {
            (Some(origin), _) => origin.clone(),
            (None, Some(origin)) => {
                origin.map_err(|error| invalid(format!("the region {region:?} gives no endpoint: {error}")))?
            }
            (None, None) => {
                return Err(invalid(format!("the provider {} needs an endpoint; give its URL", provider.name)));
            }
        };
        let bucket = options.bucket.clone();
        if bucket.is_empty() || bucket.contains('/') || matches!(bucket.as_str(), "." | "..") {
            return Err(invalid(format!("{bucket:?} is not the name of a bucket")));
        }
        let addressing = options.addressing.unwrap_or(provider.addressing);
        let by_host = addressing.by_host(&endpoint, &bucket);
        let is_there = options.addressing != Some(Addressing::Path)
            && match VendorHost::parse(endpoint.host()) {
                // A bucket may be called as a service is: `s3` or `oss`.
                Some(vendor) => vendor.bucket == Some(bucket.as_str()),
                None => by_host && begins_with(endpoint.host(), &bucket),
            };
        if is_there {
            return Ok(Self { origin: endpoint, region, bucket, base: "/".to_owned() });
        }
        if by_host {
            let origin = endpoint.below(&bucket).map_err(|error| invalid(error.to_string()))?;
            return Ok(Self { origin, region, bucket, base: "/".to_owned() });
        }
        let base = format!("/{}/", uri::encode(&bucket));
        Ok(Self { origin: endpoint, region, bucket, base })
    }

    /// The path of an object, or of the bucket.
    pub fn path(&self, key: Option<&str>) -> String {
        match key {
            Some(key) => format!("{}{}", self.base, uri::encode_path(key)),
            None => self.base.clone(),
        }
    }
}

/// Whether the first labels of a host are the bucket.
fn begins_with(host: &str, bucket: &str) -> bool {
    host.strip_prefix(bucket).is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::provider::Provider;

    #[test]
    fn a_bucket_in_the_host_is_not_put_there_again() {
        let rows: &[(&str, &str, &str, Option<Addressing>, &str)] = &[
            // provider, endpoint, bucket, addressing, URL of the key k
            ("jss", "http://my-bucket.s.jcloud.com", "my-bucket", None, "http://my-bucket.s.jcloud.com/k"),
            ("jss", "http://s.jcloud.com", "my-bucket", None, "http://s.jcloud.com/my-bucket/k"),
            ("jss", "http://oss.cn-east-1.jcloudcs.com", "oss", None, "http://oss.cn-east-1.jcloudcs.com/oss/k"),
            ("jss", "http://oss.oss.cn-east-1.jcloudcs.com", "oss", None, "http://oss.oss.cn-east-1.jcloudcs.com/k"),
            ("wos", "http://s3-cn-east-1.wcsapi.com", "my-bucket", None, "http://my-bucket.s3-cn-east-1.wcsapi.com/k"),
            (
                "wos",
                "http://my-bucket.s3-cn-east-1.wcsapi.com",
                "my-bucket",
                None,
                "http://my-bucket.s3-cn-east-1.wcsapi.com/k",
            ),
            ("s3", "http://my-bucket.store.example.com", "my-bucket", None, "http://my-bucket.store.example.com/k"),
            (
                "s3",
                "http://my-bucket.store.example.com",
                "my-bucket",
                Some(Addressing::Path),
                "http://my-bucket.store.example.com/my-bucket/k",
            ),
            ("minio", "http://minio.example.com", "minio", None, "http://minio.example.com/minio/k"),
            (
                "s3",
                "http://my-bucketstore.example.com",
                "my-bucket",
                None,
                "http://my-bucket.my-bucketstore.example.com/k",
            ),
        ];
        for (provider, endpoint, bucket, addressing, want) in rows {
            let endpoint = Some(Origin::parse(endpoint).unwrap());
            let options = Options {
                endpoint,
                addressing: *addressing,
                ..Options::new(*bucket, Provider::named(provider).unwrap())
            };
            let site = Site::new(&options, None).unwrap();
            assert_eq!(format!("{}{}", site.origin, site.path(Some("k"))), *want);
        }
    }

    #[test]
    fn the_host_tells_the_region_unless_it_is_given() {
        let region = |url: &str, given: Option<&str>, learnt: Option<&str>| {
            let endpoint = Some(Origin::parse(url).unwrap());
            let region = given.map(str::to_owned);
            let options = Options { endpoint, region, ..Options::new("b-1", Provider::named("jdcloud").unwrap()) };
            Site::new(&options, learnt).unwrap().region
        };
        let south = "https://s3.cn-south-1.jdcloud-oss.com";
        assert_eq!(region(south, None, None), "cn-south-1");
        assert_eq!(region(south, Some("cn-east-1"), None), "cn-east-1");
        assert_eq!(region(south, Some("cn-east-1"), Some("cn-east-2")), "cn-east-2");
        assert_eq!(region("https://store.example.com", None, None), "cn-north-1", "the row's");
    }
}
