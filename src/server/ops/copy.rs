//! Copies within the backend: of an object, and of a part from an object. They move no bytes, unless these must be
//! encrypted or decrypted.

use crate::http::server::Response;
use crate::server::attributes;
use crate::server::backend::record::ObjectChecksum;
use crate::server::backend::tables::Copied;
use crate::server::backend::tables::CopyObject;
use crate::server::backend::tables::Name;
use crate::server::backend::uploads::CopyPart;
use crate::server::backend::uploads::UploadName;
use crate::server::condition::ReadCondition;
use crate::server::dialect::Dialect;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::PUT_BYTES_MAX;
use crate::server::ops::put::write_condition;
use crate::server::reply;
use crate::server::route::is_bucket_name;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::checksum::Scope;
use crate::wire::copy_source::CopySource;
use crate::wire::error_code::ErrorCode;
use crate::wire::etag::ETag;
use crate::wire::range;
use crate::wire::xml;
use std::ops::Range;

/// What becomes of the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A copy.
    Stays,
    /// A move.
    Goes,
}

impl Source {
    fn header(self) -> &'static str {
        match self {
            Self::Stays => "x-amz-copy-source",
            Self::Goes => "x-amz-move-source",
        }
    }
}

/// `PUT /b/k` with a source.
pub async fn object(context: &Context, target: Name, kind: Source) -> Result<Response> {
    let directive = context.fields.text("x-amz-metadata-directive")?.unwrap_or("COPY");
    let replace = match directive {
        "COPY" => None,
        "REPLACE" => Some(attributes::from_fields(&context.fields)?),
        other => {
            return Err(Fault::argument("x-amz-metadata-directive", other, "The directive must be COPY or REPLACE."));
        }
    };
    context.backend.check_room()?;
    let asked = checksum_algorithm(context)?;
    let copy = CopyObject {
        source: source(context, kind)?,
        source_condition: source_condition(context)?,
        target,
        target_condition: write_condition(context)?,
        replace,
        storage_class: context.storage_class()?,
        protection: attributes::protection(&context.fields)?,
        bytes_max: PUT_BYTES_MAX,
        now: context.millis(),
    };
    let (copy, copied) = context
        .backend
        .write(move |tables| {
            // Another checksum than the source has would need its bytes.
            let source = tables.source(&copy.source, &copy.source_condition)?;
            let has = |algorithm| source.checksum.as_ref().is_some_and(|own| own.checksum.algorithm == algorithm);
            if asked.is_some_and(|algorithm| !has(algorithm)) {
                return Ok((copy, None));
            }
            let copied = match kind {
                Source::Stays => tables.copy_object(&copy)?,
                Source::Goes => tables.move_object(&copy)?,
            };
            Ok((copy, Some(copied)))
        })
        .await?;
    let record = match copied {
        Some(Copied::Shared(record)) => record,
        Some(Copied::Differs) if kind == Source::Goes => {
            let message = "An object is encrypted, or decrypted, by a copy; a move leaves it as it is.";
            return Err(Fault::new(ErrorCode::NotImplemented, message));
        }
        Some(Copied::Differs) => context.backend.rewrite_object(copy).await?,
        None => {
            return Err(Fault::new(ErrorCode::NotImplemented, "A copy has the checksum of its source and no other."));
        }
    };
    let protection = record.attributes.protection();
    let document = xml::CopyObjectResult {
        etag: record.etag,
        last_modified: Some(record.modified.time()),
        checksums: record.checksum.iter().filter_map(full).collect(),
    };
    Ok(reply::document(context.dialect(), &document).with_protection(protection))
}

/// `PUT /b/k?partNumber&uploadId` with a source.
pub async fn part(context: &Context, number: u32, upload: UploadName) -> Result<Response> {
    context.backend.check_room()?;
    let copy = CopyPart {
        upload,
        number,
        source: source(context, Source::Stays)?,
        source_condition: source_condition(context)?,
        range: source_range(context)?,
        bytes_max: PUT_BYTES_MAX,
        now: context.millis(),
    };
    let copied = context.backend.write(move |tables| tables.copy_part(&copy).map(|copied| (copy, copied))).await?;
    let part = match copied {
        (_, Copied::Shared(part)) => part,
        (copy, Copied::Differs) => context.backend.rewrite_part(copy).await?,
    };
    let (etag, last_modified) = (ETag::of_md5(part.md5), Some(part.modified.time()));
    let checksums = part.checksum.iter().map(named).collect();
    Ok(match context.dialect() {
        // In JSON the two documents are one.
        Dialect::Jss => reply::document(Dialect::Jss, &xml::CopyObjectResult { etag, last_modified, checksums }),
        dialect @ (Dialect::S3 | Dialect::Wos) => {
            reply::xml(dialect, &xml::CopyPartResult { etag, last_modified, checksums })
        }
    })
}

/// A checksum as documents have it.
pub fn named(checksum: &Checksum) -> (String, String) {
    (checksum.algorithm.name().to_owned(), checksum.base64())
}

/// An object's checksum as documents have it; one of parts tells their number.
pub fn full(own: &ObjectChecksum) -> Option<(String, String)> {
    let (name, value) = named(&own.checksum);
    Some(match own.scope {
        Scope::FullObject => (name, value),
        Scope::Composite => (name, format!("{value}-{}", own.parts)),
    })
}

/// The algorithm that a request asks for, if it asks for one.
pub fn checksum_algorithm(context: &Context) -> Result<Option<Algorithm>> {
    let Some(name) = context.fields.text("x-amz-checksum-algorithm")? else { return Ok(None) };
    Algorithm::from_name(name).map(Some).ok_or_else(|| {
        Fault::new(ErrorCode::InvalidRequest, "Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]")
    })
}

fn source(context: &Context, kind: Source) -> Result<Name> {
    let text = context.fields.text(kind.header())?.unwrap_or_default();
    let refuse = |why: String| Fault::argument(kind.header(), text, why);
    let source = CopySource::parse(text).map_err(|error| refuse(format!("The copy source is not valid: {error}.")))?;
    if source.version_id.is_some() {
        return Err(Fault::new(ErrorCode::NotImplemented, "This server has no versions."));
    }
    if !is_bucket_name(&source.bucket) {
        return Err(refuse("The copy source's bucket has no valid name.".into()));
    }
    if !context.permissions.reaches(&source.bucket) {
        return Err(Fault::new(ErrorCode::AccessDenied, "This access key may not use the bucket of the source."));
    }
    Ok(Name { bucket: source.bucket, key: source.key })
}

fn source_condition(context: &Context) -> Result<ReadCondition> {
    Ok(ReadCondition {
        if_match: context.tags("x-amz-copy-source-if-match")?,
        if_none_match: context.tags("x-amz-copy-source-if-none-match")?,
        if_modified_since: context.time("x-amz-copy-source-if-modified-since")?,
        if_unmodified_since: context.time("x-amz-copy-source-if-unmodified-since")?,
    })
}

fn source_range(context: &Context) -> Result<Option<Range<u64>>> {
    let name = "x-amz-copy-source-range";
    let Some(text) = context.fields.text(name)? else { return Ok(None) };
    let range = range::parse_copy_range(text);
    range.map(Some).ok_or_else(|| {
        let message = "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy";
        Fault::argument(name, text, message)
    })
}
