//! Writing an object in one request.

use crate::http::StatusCode;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::attributes;
use crate::server::backend::record::Content;
use crate::server::backend::record::ObjectChecksum;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::tables::Name;
use crate::server::backend::tables::NewObject;
use crate::server::condition::WriteCondition;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::PUT_BYTES_MAX;
use crate::server::receive;
use crate::server::reply;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Scope;
use crate::wire::error_code::ErrorCode;
use crate::wire::etag::ETag;
use crate::wire::etag::ETagList;

/// The checksum that is computed when the client asks for none, as Amazon does.
pub const DEFAULT_CHECKSUM: Algorithm = Algorithm::Crc64Nvme;

/// `PUT /b/k`.
pub async fn put(context: &Context, name: Name, body: RequestBody) -> Result<Response> {
    let mut attributes = attributes::from_fields(&context.fields)?;
    let class = context.storage_class()?;
    let condition = write_condition(context)?;
    let expected = context.expected()?;
    check_size(expected.bytes)?;
    let algorithm = expected.algorithm().unwrap_or(DEFAULT_CHECKSUM);
    // What would fail in the end fails before a body is sent.
    let (early_name, early) = (name.clone(), condition.clone());
    let looked = context.backend.read(move |snapshot| {
        snapshot.check_write(&early_name.bucket, &early_name.key, &early)?;
        snapshot.bucket_class(&early_name.bucket)
    });
    let default_class = looked.await?;
    attributes.storage_class = class.unwrap_or(default_class);
    let protection = attributes.protection();
    let received = receive::store(body, expected, algorithm, protection, &context.backend).await?;
    let checksum = received.digests.checksum(algorithm).cloned();
    let etag = ETag::of_md5(received.digests.md5);
    let record = ObjectRecord {
        size: received.bytes,
        etag: etag.clone(),
        modified: context.millis(),
        attributes,
        checksum: checksum.clone().map(|checksum| ObjectChecksum { checksum, scope: Scope::FullObject, parts: 0 }),
    };
    let content = Content { pieces: received.pieces, part_sizes: Vec::new() };
    let object = NewObject { record, content, pending: received.pending };
    context.backend.write(move |tables| tables.put_object(&name, object, &condition)).await?;
    let type_name = Scope::FullObject.name();
    Ok(reply::empty(StatusCode::OK)
        .with_protection(protection)
        .with_etag(&etag)
        .with_checksum(checksum.as_ref())
        .with("x-amz-checksum-type", type_name))
}

/// Refuses bodies that no put and no part may have.
pub fn check_size(bytes: u64) -> Result<()> {
    if bytes <= PUT_BYTES_MAX {
        return Ok(());
    }
    Err(Fault::from(ErrorCode::EntityTooLarge)
        .with("ProposedSize", bytes.to_string())
        .with("MaxSizeAllowed", PUT_BYTES_MAX.to_string()))
}

/// The condition of a write. Only `If-None-Match: *` has a meaning for one.
pub fn write_condition(context: &Context) -> Result<WriteCondition> {
    let if_none_match = context.tags("if-none-match")?;
    if let Some(ETagList::OneOf(_)) = if_none_match {
        let message = "If-None-Match of a write can only be *.";
        return Err(Fault::new(ErrorCode::NotImplemented, message));
    }
    if context.fields.has("if-modified-since") || context.fields.has("if-unmodified-since") {
        return Err(Fault::new(ErrorCode::NotImplemented, "A write can be bound to tags, not to dates."));
    }
    Ok(WriteCondition { if_match: context.tags("if-match")?, if_none_match })
}
