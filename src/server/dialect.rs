//! In which dialect a request speaks, by whom it can have been signed, and what its host names: a pure function of
//! the host, the `Authorization` header and the query.
//!
//! What is signed tells more than where it was sent: an S3 request to a host of Wangsu's is an S3 request, as it is
//! for the vendor.

pub use crate::wire::dialect::Dialect;

use crate::wire::sigv2;
use crate::wire::sigv2::AWS2;
use crate::wire::sigv2::JINGDONG;
use crate::wire::sigv2::WOS2;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::WOS4;
use crate::wire::uri::query_value;

/// Whose host was asked. It decides which storage classes and which lengths of keys are legal, and what the server
/// calls itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Site {
    /// JD Cloud's S3 at `jdcloud-oss.com`.
    JdNew,
    /// JD Cloud's S3 at `jcloudcs.com`, which is older.
    JdOld,
    /// JSS.
    Jss,
    /// Wangsu.
    Wangsu,
    /// None of the vendors'.
    #[default]
    Other,
}

impl Site {
    /// Whether it is JD Cloud's S3.
    #[must_use]
    pub fn is_jd_s3(self) -> bool {
        matches!(self, Self::JdNew | Self::JdOld)
    }
}

/// What a host names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place<'a> {
    /// The bucket, if there is one before the base domain; it may be empty.
    pub bucket: Option<&'a str>,
    /// Whose host it is.
    pub site: Site,
    /// The region, if the host names one.
    pub region: Option<&'a str>,
}

/// The vendors' hosts, as their first labels and their domain: `*` stands for a label that names the region.
const HOSTS: &[(&str, &str, Site)] = &[
    ("s3.*", ".jdcloud-oss.com", Site::JdNew),
    ("s3.*", ".jcloudcs.com", Site::JdOld),
    ("oss.*", ".jcloudcs.com", Site::Jss),
    ("oss-internal.*", ".jcloudcs.com", Site::Jss),
    ("s", ".jcloud.com", Site::Jss),
    ("s-bj", ".jcloud.com", Site::Jss),
    ("storage", ".jcloud.com", Site::Jss),
    ("s3-*", ".wcsapi.com", Site::Wangsu),
];

/// Reads a host, with or without a port, in any case. Base domains are those whose subdomains are buckets, beside the
/// vendors' own and `localhost`.
#[must_use]
pub fn place<'a>(host: &'a str, base_domains: &[String]) -> Place<'a> {
    // An IPv6 address keeps its brackets, and is below no domain.
    let is_port = |(_, port): &(&str, &str)| port.bytes().all(|b| b.is_ascii_digit());
    let name = host.rsplit_once(':').filter(is_port).map_or(host, |(name, _)| name);
    if let Some(place) = HOSTS.iter().find_map(|row| vendor_place(name, row)) {
        return place;
    }
    let bucket = base_domains
        .iter()
        .map(String::as_str)
        .chain(["localhost"])
        .find_map(|base| without_suffix(name, base)?.strip_suffix('.'));
    Place { bucket, ..Place::default() }
}

fn vendor_place<'a>(name: &'a str, (labels, domain, site): &(&str, &str, Site)) -> Option<Place<'a>> {
    let labels_of_name = without_suffix(name, domain)?;
    let (rest, region) = match labels.strip_suffix('*') {
        None => (without_suffix(labels_of_name, labels)?, None),
        // `s3.REGION`: the region is the last label, and what stands before it ends the rest.
        Some(before) if before.ends_with('.') => {
            let (rest, region) = labels_of_name.rsplit_once('.')?;
            (without_suffix(rest, before.trim_end_matches('.'))?, Some(region))
        }
        // `s3-REGION` is one label.
        Some(before) => {
            let (rest, label) = labels_of_name.rsplit_once('.').map_or(("", labels_of_name), |(rest, label)| {
                // The dot stays with what is before it.
                (&labels_of_name[..=rest.len()], label)
            });
            let prefix = label.get(..before.len()).filter(|prefix| prefix.eq_ignore_ascii_case(before))?;
            (rest, Some(&label[prefix.len()..]))
        }
    };
    let bucket = if rest.is_empty() { None } else { Some(rest.strip_suffix('.')?) };
    let region = region.filter(|region| !region.is_empty());
    if labels.ends_with('*') && region.is_none() {
        return None;
    }
    Some(Place { bucket, site: *site, region })
}

fn without_suffix<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    let at = name.len().checked_sub(suffix.len())?;
    let (rest, end) = (name.get(..at)?, name.get(at..)?);
    end.eq_ignore_ascii_case(suffix).then_some(rest)
}

/// How a request claims to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// By an HMAC-SHA256 of the whole request.
    V4(&'static sigv4::Scheme),
    /// By an HMAC-SHA1 of some lines.
    V2(&'static sigv2::Scheme),
    /// In a way that nobody here knows.
    Unknown,
    /// Not at all.
    Anonymous,
}

impl Claimed {
    /// The scheme's token, for the log.
    #[must_use]
    pub fn token(self) -> &'static str {
        match self {
            Self::V4(scheme) => scheme.algorithm,
            Self::V2(scheme) => scheme.token,
            Self::Unknown => "unknown",
            Self::Anonymous => "anonymous",
        }
    }
}

/// What a request speaks, and how it claims to be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// The dialect.
    pub dialect: Dialect,
    /// The signature's family.
    pub claimed: Claimed,
}

/// Tells the dialect. Tokens of schemes are compared exactly; the first evidence counts.
#[must_use]
pub fn tell(authorization: Option<&str>, query: &[(String, String)], site: Site, default: Dialect) -> Spoken {
    let token = authorization.map(|header| header.trim().split_once(' ').map_or(header.trim(), |(token, _)| token));
    let is = |name: &str| token == Some(name);
    let has = |name: &str| query_value(query, name).is_some();
    let spoken = |dialect, claimed| Spoken { dialect, claimed };
    if is(AWS4.algorithm) || sigv4::Presigned::is_in(&AWS4, query) {
        spoken(Dialect::S3, Claimed::V4(&AWS4))
    } else if is(JINGDONG.token) {
        spoken(Dialect::Jss, Claimed::V2(&JINGDONG))
    } else if is(WOS4.algorithm) || sigv4::Presigned::is_in(&WOS4, query) {
        spoken(Dialect::Wos, Claimed::V4(&WOS4))
    } else if is(WOS2.token) || has("WOSAccessKeyId") {
        spoken(Dialect::Wos, Claimed::V2(&WOS2))
    } else if ["AccessKey", "Expires", "Signature"].into_iter().all(has) {
        spoken(Dialect::Jss, Claimed::V2(&JINGDONG))
    } else if is(AWS2.token) || has("AWSAccessKeyId") {
        match site {
            Site::Wangsu => spoken(Dialect::Wos, Claimed::V2(&WOS2)),
            Site::JdNew | Site::JdOld | Site::Jss | Site::Other => spoken(Dialect::S3, Claimed::V2(&AWS2)),
        }
    } else {
        let dialect = match site {
            Site::JdNew | Site::JdOld => Dialect::S3,
            Site::Jss => Dialect::Jss,
            Site::Wangsu => Dialect::Wos,
            Site::Other => default,
        };
        spoken(dialect, unsigned(token, dialect, query))
    }
}

/// Of a request without a signature that could be told by itself. Half of a presigned JSS URL is one all the same, and
/// is refused by that name.
fn unsigned(token: Option<&str>, dialect: Dialect, query: &[(String, String)]) -> Claimed {
    let halves = ["AccessKey", "Signature"].into_iter().any(|name| query_value(query, name).is_some());
    match token {
        Some(_) => Claimed::Unknown,
        None if dialect == Dialect::Jss && halves => Claimed::V2(&JINGDONG),
        None => Claimed::Anonymous,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::uri::parse_query;
    use proptest::prelude::*;

    #[test]
    fn hosts_name_their_bucket_site_and_region() {
        type Row = (&'static str, Option<&'static str>, Site, Option<&'static str>);
        let rows: &[Row] = &[
            ("mybucket.s3.cn-north-1.jdcloud-oss.com", Some("mybucket"), Site::JdNew, Some("cn-north-1")),
            ("my.bucket.s3.cn-north-1.jdcloud-oss.com:80", Some("my.bucket"), Site::JdNew, Some("cn-north-1")),
            ("s3.cn-east-2.jdcloud-oss.com", None, Site::JdNew, Some("cn-east-2")),
            ("mybucket.S3.cn-south-1.JCloudCS.com", Some("mybucket"), Site::JdOld, Some("cn-south-1")),
            ("b.oss.cn-east-1.jcloudcs.com", Some("b"), Site::Jss, Some("cn-east-1")),
            ("b.oss-internal.cn-east-1.jcloudcs.com", Some("b"), Site::Jss, Some("cn-east-1")),
            ("oss.cn-east-1.jcloudcs.com:8080", None, Site::Jss, Some("cn-east-1")),
            ("youhe.s.jcloud.com", Some("youhe"), Site::Jss, None),
            ("youhe.s-bj.jcloud.com", Some("youhe"), Site::Jss, None),
            ("storage.jcloud.com", None, Site::Jss, None),
            ("wos-bucket.s3-cn-east-1.wcsapi.com", Some("wos-bucket"), Site::Wangsu, Some("cn-east-1")),
            ("a.b.S3-cn-east-1.wcsapi.com", Some("a.b"), Site::Wangsu, Some("cn-east-1")),
            ("s3-cn-east-1.wcsapi.com", None, Site::Wangsu, Some("cn-east-1")),
            ("bkt.localhost:9000", Some("bkt"), Site::Other, None),
            ("my.bkt.S3.Example.com", Some("my.bkt"), Site::Other, None),
            ("s3.example.com", None, Site::Other, None),
            (".localhost", Some(""), Site::Other, None),
            ("xs3.cn-north-1.jdcloud-oss.com", None, Site::Other, None),
            ("xs.jcloud.com", None, Site::Other, None),
            ("s3-.wcsapi.com", None, Site::Other, None),
            ("wcsapi.com", None, Site::Other, None),
            ("[::1]:9000", None, Site::Other, None),
            ("127.0.0.1", None, Site::Other, None),
            ("", None, Site::Other, None),
        ];
        for (host, bucket, site, region) in rows {
            let want = Place { bucket: *bucket, site: *site, region: *region };
            assert_eq!(place(host, &["s3.example.com".to_owned()]), want, "{host}");
        }
    }

    #[test]
    fn the_first_evidence_tells_the_dialect() {
        let (s3, jss, wos) = (Dialect::S3, Dialect::Jss, Dialect::Wos);
        let (aws4, wos4) = (Claimed::V4(&AWS4), Claimed::V4(&WOS4));
        let (aws2, jingdong, wos2) = (Claimed::V2(&AWS2), Claimed::V2(&JINGDONG), Claimed::V2(&WOS2));
        let (none, unknown) = (Claimed::Anonymous, Claimed::Unknown);
        let presigned_jss = "AccessKey=a&Expires=1&Signature=b";
        type Row<'a> = (Option<&'a str>, &'a str, Site, Dialect, Claimed);
        let rows: &[Row<'_>] = &[
            (Some("AWS4-HMAC-SHA256 Credential=x"), "", Site::Other, s3, aws4),
            (Some("AWS4-HMAC-SHA256 Credential=x"), "", Site::Wangsu, s3, aws4),
            (None, "X-Amz-Algorithm=x", Site::Jss, s3, aws4),
            (Some("jingdong a:b"), "", Site::Other, jss, jingdong),
            (Some("jingdong a:b"), "", Site::JdNew, jss, jingdong),
            (Some("WOS-HMAC-SHA256 Credential=x"), "", Site::Other, wos, wos4),
            (None, "X-Wos-Algorithm=x", Site::Other, wos, wos4),
            (Some("WOS a:b"), "", Site::Other, wos, wos2),
            (None, "WOSAccessKeyId=a", Site::Other, wos, wos2),
            (None, presigned_jss, Site::Other, jss, jingdong),
            (None, presigned_jss, Site::Wangsu, jss, jingdong),
            (Some("AWS a:b"), "", Site::Other, s3, aws2),
            (Some("AWS a:b"), "", Site::JdOld, s3, aws2),
            (Some("AWS a:b"), "", Site::Wangsu, wos, wos2),
            (None, "AWSAccessKeyId=a&Expires=1&Signature=b", Site::Other, s3, aws2),
            (None, "AWSAccessKeyId=a&Expires=1&Signature=b", Site::Wangsu, wos, wos2),
            (None, "", Site::JdNew, s3, none),
            (None, "", Site::Jss, jss, none),
            (None, "AccessKey=a", Site::Jss, jss, jingdong),
            (None, "", Site::Wangsu, wos, none),
            (None, "", Site::Other, s3, none),
            (Some("wos a:b"), "", Site::Other, s3, unknown),
            (Some("Basic dXNlcg=="), "", Site::Wangsu, wos, unknown),
            (Some("jingdong"), "", Site::Other, jss, jingdong),
            (Some(""), "", Site::Other, s3, unknown),
        ];
        for (authorization, query, site, dialect, claimed) in rows {
            let told = tell(*authorization, &parse_query(query).unwrap(), *site, s3);
            assert_eq!(told, Spoken { dialect: *dialect, claimed: *claimed }, "{authorization:?} {query} {site:?}");
        }
        for dialect in Dialect::ALL {
            assert_eq!(tell(None, &[], Site::Other, dialect).dialect, dialect, "the listener's own");
        }
    }

    proptest! {
        #[test]
        fn no_host_panics(host in "[a-z3é.:*-]{0,12}(s3-?\\.?|oss\\.|s|)[a-z.-]{0,6}(\\.jcloudcs\\.com|\\.wcsapi\\.com|\\.jcloud\\.com)?(:80)?") {
            let place = place(&host, &["é.com".to_owned()]);
            prop_assert!(place.bucket.is_none_or(|bucket| host.starts_with(bucket)));
        }
    }
}
