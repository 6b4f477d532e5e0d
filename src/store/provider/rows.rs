//! The providers, one row each. A new provider is a new row.
//!
//! What a row says is from the vendor's documents, where nothing else is said. A row that is `to_be_probed` says what to
//! assume where nothing could be found out.

use crate::store::Dialect;
use crate::store::Facts;
use crate::store::provider::Addressing;
use crate::store::provider::Integrity;
use crate::store::provider::Provider;
use crate::store::provider::Signature;

/// Whatever takes S3's requests. Some stores ignore a condition instead of refusing it, so they are asked.
const S3: Provider = Provider {
    name: "s3",
    dialect: Dialect::S3,
    signature: Signature::Aws4,
    sends_date: false,
    facts: Facts::S3,
    to_be_probed: true,
    addressing: Addressing::Auto,
    region: "us-east-1",
    endpoint: None,
    // Newer checksums make other stores fail or, worse, keep the framing as data.
    integrity: [Integrity::Transport, Integrity::SignedSha256],
};

/// Wangsu's API as its first version signs it.
const WOS: Provider = Provider {
    name: "wos",
    dialect: Dialect::Wos,
    signature: Signature::Wos2,
    sends_date: true,
    facts: Facts {
        conditional_writes: false,
        // In the vendor's SDK, but not in its list of what is compatible.
        copy_part: false,
        // One page says 5 GiB, another 100 MB.
        part_bytes_preferred_max: 64 << 20,
        key_bytes_max: 500,
        storage_classes: &["Standard", "IA", "Archive"],
        ..Facts::S3
    },
    to_be_probed: true,
    addressing: Addressing::Auto,
    region: "cn-east-1",
    endpoint: None,
    integrity: [Integrity::Transport, Integrity::Md5],
};

pub(super) const ROWS: &[Provider] = &[
    S3,
    Provider {
        name: "aws",
        to_be_probed: false,
        endpoint: Some("https://s3.{region}.amazonaws.com"),
        integrity: [Integrity::Crc64Nvme, Integrity::Crc64Nvme],
        ..S3
    },
    Provider {
        name: "brigade",
        facts: Facts { listing_metadata: true, ..Facts::S3 },
        to_be_probed: false,
        addressing: Addressing::Path,
        integrity: [Integrity::Crc64Nvme, Integrity::Crc64Nvme],
        ..S3
    },
    // Conditions came with releases of 2022 and answered 304 instead of 412 until 2024 (minio #19442).
    Provider {
        name: "minio",
        facts: Facts { listing_metadata: true, ..Facts::S3 },
        addressing: Addressing::Path,
        ..S3
    },
    // Complete must name every part that was sent, which a writer does anyway.
    Provider { name: "ceph", addressing: Addressing::Path, ..S3 },
    // Its page of what is compatible names neither conditions nor encryption; what it lacks it answers with 501.
    Provider {
        name: "garage",
        facts: Facts { conditional_writes: false, ..Facts::S3 },
        addressing: Addressing::Path,
        region: "garage",
        ..S3
    },
    // Conditions came with pull request #7154 (2025) and became atomic with #8802 (2026).
    Provider { name: "seaweedfs", addressing: Addressing::Path, ..S3 },
    // Parts of one size, copied ones too ("All non-trailing parts must have the same length"); limits page: 5 MiB less
    // than 5 GiB in one request, 8192 bytes of metadata. The endpoint holds the number of the account.
    Provider {
        name: "r2",
        facts: Facts {
            equal_parts: true,
            part_bytes_max: (5 << 30) - (5 << 20),
            part_bytes_preferred_max: (5 << 30) - (5 << 20),
            put_bytes_max: (5 << 30) - (5 << 20),
            metadata_bytes_max: 8192,
            ..Facts::S3
        },
        region: "auto",
        ..S3
    },
    // Refuses conditional writes as not implemented, and for long refused x-amz-checksum-* headers.
    Provider {
        name: "b2",
        facts: Facts { conditional_writes: false, ..Facts::S3 },
        region: "us-west-004",
        endpoint: Some("https://s3.{region}.backblazeb2.com"),
        ..S3
    },
    // x-oss-forbid-overwrite instead of If-None-Match; one copy takes 1 GB; buckets only in the host's name.
    Provider {
        name: "aliyun",
        facts: Facts { conditional_writes: false, put_bytes_max: 1_000_000_000, key_bytes_max: 1023, ..Facts::S3 },
        to_be_probed: false,
        addressing: Addressing::VirtualHost,
        region: "cn-hangzhou",
        endpoint: Some("https://s3.oss-{region}.aliyuncs.com"),
        ..S3
    },
    // x-cos-forbid-overwrite instead of If-None-Match; keys of 850 bytes.
    Provider {
        name: "tencent",
        facts: Facts { conditional_writes: false, key_bytes_max: 850, ..Facts::S3 },
        to_be_probed: false,
        addressing: Addressing::VirtualHost,
        region: "ap-guangzhou",
        endpoint: Some("https://cos.{region}.myqcloud.com"),
        ..S3
    },
    // The XML API: conditions are on generations, not tags; parts cannot be copied; no multi-delete for HMAC keys.
    Provider {
        name: "gcs",
        facts: Facts {
            conditional_writes: false,
            multi_delete: false,
            copy_part: false,
            metadata_bytes_max: 8192,
            ..Facts::S3
        },
        to_be_probed: false,
        region: "auto",
        endpoint: Some("https://storage.googleapis.com"),
        ..S3
    },
    // "S3-compatible API". The header page says that x-amz-date is not supported, the examples use it: both go out.
    Provider {
        name: "jdcloud",
        sends_date: true,
        facts: Facts {
            conditional_writes: false,
            copy_conditions: false,
            key_bytes_max: 1022,
            storage_classes: &["STANDARD", "STANDARD_IA", "REDUCED_REDUNDANCY", "GLACIER"],
            ..Facts::S3
        },
        addressing: Addressing::VirtualHost,
        region: "cn-north-1",
        endpoint: Some("https://s3.{region}.jdcloud-oss.com"),
        ..S3
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
    // The vendor's own hosts are asked in the current way.
    Provider { name: "wangsu", signature: Signature::Wos4, endpoint: Some("https://s3-{region}.wcsapi.com"), ..WOS },
    WOS,
];

/// The row of a host's name, or of what it ends with.
pub(super) fn of_host(host: &str) -> Option<&'static str> {
    let below = [
        (".amazonaws.com", "aws"),
        (".amazonaws.com.cn", "aws"),
        (".jdcloud-oss.com", "jdcloud"),
        (".wcsapi.com", "wangsu"),
        (".r2.cloudflarestorage.com", "r2"),
        (".backblazeb2.com", "b2"),
        (".aliyuncs.com", "aliyun"),
        (".myqcloud.com", "tencent"),
        (".storage.googleapis.com", "gcs"),
    ];
    let exactly = [
        ("s.jcloud.com", "jss"),
        ("s-bj.jcloud.com", "jss"),
        ("storage.jcloud.com", "jss"),
        ("storage.googleapis.com", "gcs"),
    ];
    // Both of JD Cloud's APIs live below one name.
    if let Some(jcloudcs) = host.strip_suffix(".jcloudcs.com") {
        let first = jcloudcs.split('.').next().unwrap_or_default();
        return match first {
            "s3" | "s3-internal" => Some("jdcloud"),
            "oss" | "oss-internal" => Some("jss"),
            _ => None,
        };
    }
    let by_end = || below.iter().find(|(end, _)| host.ends_with(end));
    exactly.iter().find(|(name, _)| host == *name).or_else(by_end).map(|(_, name)| *name)
}
