//! What the names of vendors' hosts tell: the bucket, the region, and which storage classes there are. Pure.

/// Storage classes of JD Cloud's first S3 hosts (page "Initiate Multipart Upload" for `jcloudcs.com`).
const JCLOUDCS_CLASSES: &[&str] = &["STANDARD", "REDUCED_REDUNDANCY"];
/// Storage classes of JD Cloud's current S3 hosts (the same page for `jdcloud-oss.com`).
const JDCLOUD_OSS_CLASSES: &[&str] = &["STANDARD", "GLACIER", "REDUCED_REDUNDANCY", "STANDARD_IA"];

/// A host of a vendor whose names are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VendorHost<'a> {
    /// The bucket before the host's own name.
    pub bucket: Option<&'a str>,
    /// The region in the name.
    pub region: Option<&'a str>,
    /// The storage classes there, if not all of the dialect's.
    pub classes: Option<&'static [&'static str]>,
}

impl<'a> VendorHost<'a> {
    /// Reads a host's name (lower case, without a port); `None` if it is nobody's that is known.
    pub fn parse(host: &'a str) -> Option<Self> {
        let below = |domain: &str| host.strip_suffix(domain)?.strip_suffix('.');
        if let Some(rest) = below("jdcloud-oss.com") {
            return Self::by_labels(rest, &["s3", "s3-internal"], Some(JDCLOUD_OSS_CLASSES));
        }
        if let Some(rest) = below("jcloudcs.com") {
            let s3 = Self::by_labels(rest, &["s3", "s3-internal"], Some(JCLOUDCS_CLASSES));
            return s3.or_else(|| Self::by_labels(rest, &["oss", "oss-internal"], None));
        }
        if let Some(rest) = below("wcsapi.com") {
            let (bucket, service) = split_last(rest);
            let region = service.strip_prefix("s3-").filter(|region| !region.is_empty())?;
            return Some(Self { bucket, region: Some(region), classes: None });
        }
        if let Some(rest) = below("jcloud.com") {
            let (bucket, service) = split_last(rest);
            let is_jss = matches!(service, "s" | "s-bj" | "storage");
            return is_jss.then_some(Self { bucket, region: None, classes: None });
        }
        let rest = below("amazonaws.com").or_else(|| below("amazonaws.com.cn"))?;
        Self::amazon(rest)
    }

    /// `[BUCKET.]SERVICE.REGION`
    fn by_labels(rest: &'a str, services: &[&str], classes: Option<&'static [&'static str]>) -> Option<Self> {
        let (before, region) = split_last(rest);
        let (bucket, service) = split_last(before?);
        let known = services.contains(&service) && !region.is_empty();
        known.then_some(Self { bucket, region: Some(region), classes })
    }

    /// `[BUCKET.]s3.REGION`, `[BUCKET.]s3.dualstack.REGION`, and the old `[BUCKET.]s3-REGION` and `[BUCKET.]s3`.
    fn amazon(rest: &'a str) -> Option<Self> {
        let of = |bucket, region| Some(Self { bucket, region: Some(region), classes: None });
        let (before, last) = split_last(rest);
        match (before, last) {
            (bucket, "s3") => of(bucket, "us-east-1"),
            (bucket, old) if old.starts_with("s3-") => {
                let region = old.strip_prefix("s3-").filter(|name| *name != "accelerate")?;
                of(bucket, region)
            }
            (Some(before), region) => {
                let before = before.strip_suffix(".dualstack").unwrap_or(before);
                let (bucket, service) = split_last(before);
                if service == "s3" { of(bucket, region) } else { None }
            }
            (None, _) => None,
        }
    }
}

/// The last label, and what stands before it.
fn split_last(name: &str) -> (Option<&str>, &str) {
    match name.rsplit_once('.') {
        Some((before, last)) => (Some(before), last),
        None => (None, name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_tell_bucket_and_region() {
        type Row = (&'static str, Option<(Option<&'static str>, Option<&'static str>)>);
        let rows: &[Row] = &[
            ("s3.cn-north-1.jdcloud-oss.com", Some((None, Some("cn-north-1")))),
            ("my-bucket.s3.cn-south-1.jdcloud-oss.com", Some((Some("my-bucket"), Some("cn-south-1")))),
            ("my.bucket.s3.cn-south-1.jdcloud-oss.com", Some((Some("my.bucket"), Some("cn-south-1")))),
            ("s3-internal.cn-east-2.jdcloud-oss.com", Some((None, Some("cn-east-2")))),
            ("my-bucket.s3.cn-north-1.jcloudcs.com", Some((Some("my-bucket"), Some("cn-north-1")))),
            ("oss.cn-east-1.jcloudcs.com", Some((None, Some("cn-east-1")))),
            ("oss-internal.cn-east-1.jcloudcs.com", Some((None, Some("cn-east-1")))),
            ("my-bucket.oss.cn-east-1.jcloudcs.com", Some((Some("my-bucket"), Some("cn-east-1")))),
            ("oss.oss.cn-east-1.jcloudcs.com", Some((Some("oss"), Some("cn-east-1")))),
            ("s3-cn-east-1.wcsapi.com", Some((None, Some("cn-east-1")))),
            ("my-bucket.s3-cn-east-1.wcsapi.com", Some((Some("my-bucket"), Some("cn-east-1")))),
            ("s.jcloud.com", Some((None, None))),
            ("my-bucket.s-bj.jcloud.com", Some((Some("my-bucket"), None))),
            ("s3.eu-west-1.amazonaws.com", Some((None, Some("eu-west-1")))),
            ("b.s3.eu-west-1.amazonaws.com", Some((Some("b"), Some("eu-west-1")))),
            ("s3.dualstack.eu-west-1.amazonaws.com", Some((None, Some("eu-west-1")))),
            ("b.s3.dualstack.eu-west-1.amazonaws.com", Some((Some("b"), Some("eu-west-1")))),
            ("s3.cn-north-1.amazonaws.com.cn", Some((None, Some("cn-north-1")))),
            ("s3-eu-west-1.amazonaws.com", Some((None, Some("eu-west-1")))),
            ("b.s3.amazonaws.com", Some((Some("b"), Some("us-east-1")))),
            ("s3-accelerate.amazonaws.com", None),
            ("ec2.eu-west-1.amazonaws.com", None),
            ("s3.jdcloud-oss.com", None),
            ("jdcloud-oss.com", None),
            ("www.jcloud.com", None),
            ("s3-.wcsapi.com", None),
            ("evil-wcsapi.com", None),
            ("s3.cn-north-1.jdcloud-oss.com.example.org", None),
            ("127.0.0.1", None),
            ("localhost", None),
            ("", None),
        ];
        for (host, want) in rows {
            let got = VendorHost::parse(host).map(|vendor| (vendor.bucket, vendor.region));
            assert_eq!(got, *want, "{host}");
        }
    }

    #[test]
    fn the_two_generations_of_hosts_have_their_own_classes() {
        let classes =
            |host| VendorHost::parse(host).and_then(|vendor| vendor.classes).map(|all| all.contains(&"GLACIER"));
        assert_eq!(classes("s3.cn-north-1.jcloudcs.com"), Some(false));
        assert_eq!(classes("s3.cn-north-1.jdcloud-oss.com"), Some(true));
        assert_eq!(classes("oss.cn-north-1.jcloudcs.com"), None);
        assert!(!JCLOUDCS_CLASSES.contains(&"STANDARD_IA"));
    }
}
