//! How the store is reached, from what was typed: the options of the store become an [`Endpoint`], and combinations that
//! no store of the dialect has are refused at once. Pure.

use crate::cli::Failure;
use crate::cli::args;
use crate::cli::args::StoreArgs;
use crate::cli::resolve::Environment;
use crate::mount::plan;
use crate::mount::plan::Endpoint;
use crate::mount::source::Source;
use crate::store::Dialect;
use crate::store::provider::Addressing;
use crate::store::provider::Integrity;
use crate::store::provider::Provider;
use crate::store::provider::Signature;

/// The values of `--server-side-encryption`, where the dialect's documents name them.
const ENCRYPTION_S3: [&str; 3] = ["AES256", "aws:kms", "aws:kms:dsse"];
const ENCRYPTION_JSS: [&str; 2] = ["true", "false"];

/// How to reach the store of a source.
///
/// # Errors
/// [`Failure::Usage`]: one line that names the option and what would be legal.
pub fn endpoint(store: &StoreArgs, source: &Source, environment: &Environment) -> Result<Endpoint, Failure> {
    resolve(store, source, environment).map_err(Failure::Usage)
}

fn resolve(store: &StoreArgs, source: &Source, environment: &Environment) -> Result<Endpoint, String> {
    let (said_by, url) = match (&store.endpoint_url, &environment.endpoint_url) {
        (Some(url), _) => ("--endpoint-url", Some(url)),
        (None, url) => ("AWS_ENDPOINT_URL", url.as_ref()),
    };
    let url = url.map(|url| plan::endpoint_url(url).map_err(|why| format!("{said_by}: {why}"))).transpose()?;
    let dialect = source.dialect();
    let provider = match (source, store.provider.as_deref()) {
        (Source::Local { .. }, name) => {
            name.map(named).transpose()?;
            Provider::brigade()
        }
        (Source::Bucket { .. }, Some(name)) => {
            let provider = named(name)?;
            speaks(provider, source, &format!("--provider {name}"))?;
            provider
        }
        (Source::Bucket { .. }, None) => {
            let provider = Provider::of_endpoint(dialect, url.as_ref());
            let host = url.as_ref().map(|url| format!("{said_by} {url}")).unwrap_or_default();
            speaks(provider, source, &host)?;
            provider
        }
    };
    if matches!(source, Source::Bucket { .. }) && url.is_none() && provider.endpoint.is_none() {
        return Err(format!(
            "--provider {} has no endpoint of its own; give its URL with --endpoint-url",
            provider.name
        ));
    }
    let signature = signature(store.signature, dialect)?;
    let integrity = integrity(store.checksum, dialect, signature.unwrap_or(provider.signature))?;
    check_class(store.storage_class.as_deref(), provider)?;
    check_encryption(store.server_side_encryption.as_deref(), dialect)?;
    Ok(Endpoint {
        url,
        region: store.region.clone(),
        profile: store.profile.clone(),
        addressing: match store.addressing {
            args::Addressing::Auto => None,
            args::Addressing::Path => Some(Addressing::Path),
            args::Addressing::Virtual => Some(Addressing::VirtualHost),
        },
        integrity,
        signature,
        ..Endpoint::new(provider)
    })
}

fn named(name: &str) -> Result<&'static Provider, String> {
    Provider::named(name).ok_or_else(|| {
        let names: Vec<_> = Provider::all().iter().map(|row| row.name).collect();
        format!("--provider {name:?} is not known; use one of {}", names.join(", "))
    })
}

fn speaks(provider: &Provider, source: &Source, said_by: &str) -> Result<(), String> {
    if provider.dialect == source.dialect() {
        return Ok(());
    }
    let (speaks, scheme) = (provider.dialect.name(), provider.dialect.scheme());
    Err(format!(
        "{said_by} speaks {speaks}, and SOURCE {source} is another dialect; write {scheme}://{}",
        source.bucket()
    ))
}

fn signature(typed: args::Signing, dialect: Dialect) -> Result<Option<Signature>, String> {
    match (typed, dialect) {
        (args::Signing::Auto, _) => Ok(None),
        (args::Signing::Legacy, Dialect::Wos) => Ok(Some(Signature::Wos2)),
        (args::Signing::Current, Dialect::Wos) => Ok(Some(Signature::Wos4)),
        (args::Signing::Legacy | args::Signing::Current, Dialect::S3 | Dialect::Jss) => Err(format!(
            "--signature is for wos:// sources; {dialect} has one signature, so leave the option out or say auto"
        )),
    }
}

fn integrity(typed: args::Checksum, dialect: Dialect, signature: Signature) -> Result<Option<Integrity>, String> {
    let integrity = match typed {
        args::Checksum::Auto => return Ok(None),
        args::Checksum::Crc64nvme => Integrity::Crc64Nvme,
        args::Checksum::Crc32c => Integrity::Crc32c,
        args::Checksum::Md5 => Integrity::Md5,
        args::Checksum::Sha256 => Integrity::SignedSha256,
        args::Checksum::None => Integrity::Transport,
    };
    if integrity.fits(dialect, signature) {
        return Ok(Some(integrity));
    }
    let all = [Integrity::Crc64Nvme, Integrity::Crc32c, Integrity::Md5, Integrity::SignedSha256, Integrity::Transport];
    let legal: Vec<_> = all.iter().filter(|one| one.fits(dialect, signature)).map(|one| one.name()).collect();
    let how = if signature == Signature::Wos2 { " with the legacy signature" } else { "" };
    Err(format!("--checksum {} does not exist in {dialect}{how}; use auto, {}", integrity.name(), legal.join(", ")))
}

fn check_class(class: Option<&str>, provider: &Provider) -> Result<(), String> {
    let classes = provider.facts.storage_classes;
    match class {
        Some(class) if !classes.is_empty() && !classes.contains(&class) => Err(format!(
            "--storage-class {class:?} is none of the provider {}; use one of {}",
            provider.name,
            classes.join(", ")
        )),
        Some(_) | None => Ok(()),
    }
}

fn check_encryption(value: Option<&str>, dialect: Dialect) -> Result<(), String> {
    let Some(value) = value else { return Ok(()) };
    let legal: &[&str] = match dialect {
        Dialect::S3 => &ENCRYPTION_S3,
        Dialect::Jss => &ENCRYPTION_JSS,
        Dialect::Wos => {
            return Err("--server-side-encryption does not exist in WOS; encrypt the bucket at the provider".to_owned());
        }
    };
    if legal.contains(&value) {
        return Ok(());
    }
    Err(format!("--server-side-encryption {value:?} does not exist in {dialect}; use one of {}", legal.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Cli;
    use crate::cli::args::Command;
    use clap::Parser;

    fn resolved(typed: &str) -> Result<Endpoint, String> {
        match Cli::try_parse_from(format!("brigade check {typed}").split(' ')).unwrap().command {
            Command::Check(args) => {
                let source = args.source.parse::<Source>().unwrap();
                resolve(&args.store, &source, &Environment::default())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn source_and_endpoint_tell_the_provider() {
        let rows = [
            ("s3://b", "aws"),
            ("jss://b", "jss"),
            ("wos://b", "wangsu"),
            ("wos://b --endpoint-url http://127.0.0.1:9000", "wos"),
            ("wos://b --provider wos --endpoint-url http://127.0.0.1:9000", "wos"),
            ("s3://b --provider jdcloud", "jdcloud"),
            ("s3://b --endpoint-url https://s3.cn-north-1.jdcloud-oss.com", "jdcloud"),
            ("s3://b --provider minio --endpoint-url http://127.0.0.1:9000", "minio"),
            ("local:d --endpoint-url https://s3.cn-north-1.jdcloud-oss.com --provider gcs", "brigade"),
        ];
        for (typed, want) in rows {
            assert_eq!(resolved(typed).unwrap().provider.name, want, "{typed}");
        }
    }

    #[test]
    fn checksums_and_signatures_are_as_they_were_asked_for() {
        let rows = [
            ("s3://b", None, None),
            ("s3://b --checksum auto --signature auto", None, None),
            ("s3://b --checksum crc32c", Some(Integrity::Crc32c), None),
            ("jss://b --checksum md5", Some(Integrity::Md5), None),
            ("jss://b --checksum none", Some(Integrity::Transport), None),
            ("wos://b --signature legacy", None, Some(Signature::Wos2)),
            ("wos://b --checksum sha256", Some(Integrity::SignedSha256), None),
            (
                "wos://b --endpoint-url http://e --signature current --checksum sha256",
                Some(Integrity::SignedSha256),
                Some(Signature::Wos4),
            ),
            ("local:d --checksum md5", Some(Integrity::Md5), None),
        ];
        for (typed, integrity, signature) in rows {
            let endpoint = resolved(typed).unwrap();
            assert_eq!((endpoint.integrity, endpoint.signature), (integrity, signature), "{typed}");
        }
    }

    #[test]
    fn what_a_dialect_does_not_have_is_refused_in_one_line() {
        let rows = [
            ("s3://b --provider jss", "--provider jss speaks JSS, and SOURCE s3://b is another dialect; write jss://b"),
            ("wos://b --provider aws", "--provider aws speaks S3"),
            ("s3://b --endpoint-url https://s.jcloud.com", "--endpoint-url https://s.jcloud.com speaks JSS"),
            (
                "s3://b --provider minio",
                "--provider minio has no endpoint of its own; give its URL with --endpoint-url",
            ),
            ("s3://b --provider nowhere", "--provider \"nowhere\" is not known; use one of s3, aws"),
            ("local:d --provider nowhere", "--provider \"nowhere\" is not known"),
            ("s3://b --signature legacy", "--signature is for wos:// sources; S3 has one signature"),
            ("jss://b --signature current", "JSS has one signature"),
            ("jss://b --checksum crc64nvme", "--checksum crc64nvme does not exist in JSS; use auto, md5, none"),
            ("jss://b --checksum sha256", "--checksum sha256 does not exist in JSS; use auto, md5, none"),
            ("wos://b --checksum crc32c", "--checksum crc32c does not exist in WOS; use auto, md5, sha256, none"),
            (
                "wos://b --signature legacy --checksum sha256",
                "--checksum sha256 does not exist in WOS with the legacy signature; use auto, md5, none",
            ),
            ("jss://b --storage-class GLACIER", "use one of STANDARD, REDUCED_REDUNDANCY"),
            ("wos://b --storage-class STANDARD", "use one of Standard, IA, Archive"),
            ("s3://b --server-side-encryption true", "does not exist in S3; use one of AES256, aws:kms"),
            ("jss://b --server-side-encryption AES256", "does not exist in JSS; use one of true, false"),
            ("wos://b --server-side-encryption AES256", "does not exist in WOS"),
        ];
        for (typed, want) in rows {
            let line = resolved(typed).map(|endpoint| endpoint.provider.name).unwrap_err();
            assert!(line.contains(want) && !line.contains('\n'), "{typed}: {line}");
        }
        for typed in ["s3://b --server-side-encryption aws:kms", "jss://b --server-side-encryption true"] {
            assert!(resolved(typed).is_ok(), "{typed}");
        }
        for typed in ["s3://b --storage-class ANY", "s3://b --provider jdcloud --storage-class GLACIER"] {
            assert!(resolved(typed).is_ok(), "{typed}");
        }
    }
}
