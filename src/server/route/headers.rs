//! Headers that ask for something: what this server does, what it does anyway, and what it must refuse.

use crate::server::fault::Result;
use crate::server::route::Asked;
use crate::server::route::not_implemented;
use crate::wire::dialect::Dialect;

/// Headers that a writing request may have.
const WRITE_HEADERS: &[&str] = &[
    "x-amz-acl",
    "x-amz-bucket-object-lock-enabled",
    "x-amz-checksum-algorithm",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-mode",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-content-sha256",
    "x-amz-copy-source",
    "x-amz-copy-source-if-match",
    "x-amz-copy-source-if-modified-since",
    "x-amz-copy-source-if-none-match",
    "x-amz-copy-source-if-unmodified-since",
    "x-amz-copy-source-range",
    "x-amz-date",
    "x-amz-decoded-content-length",
    "x-amz-metadata-directive",
    "x-amz-mp-object-size",
    "x-amz-object-ownership",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-server-side-encryption",
    "x-amz-security-token",
    "x-amz-storage-class",
    "x-amz-tagging-directive",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
];

/// Headers of JSS's own.
const JSS_HEADERS: &[&str] = &["x-amz-move-source"];

/// Values that mean what this server does anyway; any other value of these headers asks for more than it can.
const HARMLESS: &[(&str, &[&str])] = &[
    ("x-amz-acl", &["private", "bucket-owner-full-control", "bucket-owner-read"]),
    ("x-amz-bucket-object-lock-enabled", &["false"]),
    ("x-amz-object-ownership", &["BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"]),
    ("x-amz-tagging-directive", &["COPY"]),
];

/// Refuses headers that ask for what this server does not do.
pub(super) fn check(asked: &Asked<'_>) -> Result<()> {
    let reads = matches!(asked.method, "GET" | "HEAD");
    let dialect = asked.fields.dialect();
    for (name, value) in asked.fields.iter().filter(|(name, _)| name.starts_with("x-amz-")) {
        let of_jss = dialect == Dialect::Jss && JSS_HEADERS.contains(&name);
        let known = WRITE_HEADERS.contains(&name) || of_jss || name.starts_with("x-amz-meta-");
        let harmless = HARMLESS.iter().find(|(harmless, _)| *harmless == name);
        let does = harmless.is_none_or(|(_, values)| values.iter().any(|v| value.eq_ignore_ascii_case(v.as_bytes())));
        // Reading ignores what it does not know, unless the object would have to be decrypted.
        let refused = if reads { name.contains("server-side-encryption") } else { !known || !does };
        if refused {
            return Err(not_implemented(&format!("the header {}", dialect.own_name(name))));
        }
    }
    Ok(())
}
