//! The table of providers, and how one is found.

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
    use Dialect::Jss;
    use Dialect::S3;
    use Dialect::Wos;
    let rows = [
        (S3, None, "aws"),
        (S3, Some("https://s3.eu-west-1.amazonaws.com"), "aws"),
        (S3, Some("https://s3.cn-north-1.amazonaws.com.cn"), "aws"),
        (S3, Some("https://amazonaws.com.example.org"), "s3"),
        (S3, Some("https://notamazonaws.com"), "s3"),
        (S3, Some("http://127.0.0.1:9000"), "s3"),
        (S3, Some("https://s3.cn-north-1.jdcloud-oss.com"), "jdcloud"),
        (S3, Some("https://S3.cn-east-2.jcloudcs.com:443"), "jdcloud"),
        (S3, Some("https://s3.jcloudcs.com.example"), "s3"),
        (S3, Some("https://0123abcd.r2.cloudflarestorage.com"), "r2"),
        (S3, Some("https://0123abcd.eu.r2.cloudflarestorage.com"), "r2"),
        (S3, Some("https://s3.us-west-004.backblazeb2.com"), "b2"),
        (S3, Some("https://s3.oss-cn-hangzhou.aliyuncs.com"), "aliyun"),
        (S3, Some("https://cos.ap-guangzhou.myqcloud.com"), "tencent"),
        (S3, Some("https://storage.googleapis.com"), "gcs"),
        (S3, Some("https://s3-cn-east-1.wcsapi.com"), "s3"),
        (Jss, None, "jss"),
        (Jss, Some("https://oss.cn-north-1.jcloudcs.com"), "jss"),
        (Jss, Some("https://oss-internal.cn-north-1.jcloudcs.com"), "jss"),
        (Jss, Some("http://s-bj.jcloud.com"), "jss"),
        (Jss, Some("http://127.0.0.1:9000"), "jss"),
        (Jss, Some("https://s3.cn-north-1.jdcloud-oss.com"), "jdcloud"),
        (Wos, None, "wangsu"),
        (Wos, Some("https://s3-cn-east-1.wcsapi.com"), "wangsu"),
        (Wos, Some("http://127.0.0.1:9000"), "wos"),
        (Wos, Some("https://s.jcloud.com"), "jss"),
    ];
    for (dialect, url, want) in rows {
        let origin = url.map(|url| Origin::parse(url).unwrap());
        assert_eq!(Provider::of_endpoint(dialect, origin.as_ref()).name, want, "{dialect} {url:?}");
    }
}

#[test]
fn each_row_is_possible_in_its_dialect() {
    for row in Provider::all() {
        let own = match row.dialect {
            Dialect::S3 => matches!(row.signature, Signature::Aws4),
            Dialect::Jss => matches!(row.signature, Signature::Jingdong),
            Dialect::Wos => matches!(row.signature, Signature::Wos2 | Signature::Wos4),
        };
        assert!(own, "{} is signed as another dialect is", row.name);
        assert!(row.integrity.iter().all(|one| one.fits(row.dialect, row.signature)), "{}", row.name);
        let facts = &row.facts;
        assert!(
            facts.part_bytes_min >= 5 << 20 && facts.part_bytes_min <= facts.part_bytes_preferred_max,
            "{}",
            row.name
        );
        assert!(facts.part_bytes_preferred_max <= facts.part_bytes_max, "{}", row.name);
        let named = row.endpoint.map(|endpoint| endpoint.contains("{region}"));
        assert!(named != Some(false) || row.name == "gcs", "{}: an endpoint for each region", row.name);
        let origin = row.origin(row.region).map(Result::unwrap);
        if let Some(origin) = origin {
            assert_eq!(Provider::of_endpoint(row.dialect, Some(&origin)).name, row.name, "it knows its own host");
        }
    }
}

#[test]
fn rows_say_what_their_providers_say() {
    let facts = |name: &str| &Provider::named(name).unwrap().facts;
    for (name, conditional, copy_part, equal) in [
        ("aws", true, true, false),
        ("brigade", true, true, false),
        ("r2", true, true, true),
        ("b2", false, true, false),
        ("gcs", false, false, false),
        ("aliyun", false, true, false),
        ("tencent", false, true, false),
        ("jdcloud", false, true, false),
        ("jss", false, false, false),
        ("wangsu", false, false, false),
        ("wos", false, false, false),
    ] {
        let told = (facts(name).conditional_writes, facts(name).copy_part, facts(name).equal_parts);
        assert_eq!(told, (conditional, copy_part, equal), "{name}");
    }
}

#[test]
fn a_dialect_has_only_its_own_checksums() {
    let rows = [
        (Integrity::Crc64Nvme, Dialect::S3, Signature::Aws4, true),
        (Integrity::Crc64Nvme, Dialect::Jss, Signature::Jingdong, false),
        (Integrity::Crc32c, Dialect::Wos, Signature::Wos4, false),
        (Integrity::SignedSha256, Dialect::Wos, Signature::Wos4, true),
        (Integrity::SignedSha256, Dialect::Wos, Signature::Wos2, false),
        (Integrity::SignedSha256, Dialect::Jss, Signature::Jingdong, false),
        (Integrity::Md5, Dialect::Jss, Signature::Jingdong, true),
        (Integrity::Transport, Dialect::Wos, Signature::Wos2, true),
    ];
    for (integrity, dialect, signature, want) in rows {
        assert_eq!(integrity.fits(dialect, signature), want, "{} {dialect} {signature:?}", integrity.name());
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
