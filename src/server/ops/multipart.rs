//! An object in parts: begin, send parts, complete or abort.

use crate::http::StatusCode;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::attributes;
use crate::server::backend::index::Snapshot;
use crate::server::backend::record::PartRecord;
use crate::server::backend::record::UploadRecord;
use crate::server::backend::tables::Name;
use crate::server::backend::tables::Tables;
use crate::server::backend::uploads::Complete;
use crate::server::backend::uploads::UploadName;
use crate::server::backend::uploads::WantedPart;
use crate::server::dialect::Dialect;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::DOCUMENT_BYTES_MAX;
use crate::server::ops::PART_BYTES_MIN;
use crate::server::ops::copy::checksum_algorithm;
use crate::server::ops::copy::full;
use crate::server::ops::put::DEFAULT_CHECKSUM;
use crate::server::ops::put::check_size;
use crate::server::ops::put::write_condition;
use crate::server::receive;
use crate::server::reply;
use crate::server::route::PARTS_MAX;
use crate::server::upload_id;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::checksum::Scope;
use crate::wire::document;
use crate::wire::error_code::ErrorCode;
use crate::wire::etag::ETag;
use crate::wire::uri;
use crate::wire::xml;

/// Bytes; ten thousand parts, each with number, tag and a SHA-256.
const COMPLETE_BYTES_MAX: u64 = 4 << 20;

/// `POST /b/k?uploads`. Its body is empty; a digest of it is compared as any other.
pub async fn create(context: &Context, name: Name, body: RequestBody) -> Result<Response> {
    if context.strict && !context.fields.has("content-length") {
        return Err(ErrorCode::MissingContentLength.into());
    }
    let attributes = attributes::from_fields(&context.fields)?;
    let class = context.storage_class()?;
    context.backend.check_room()?;
    let asked = checksum_algorithm(context)?;
    if context.fields.has("content-length") {
        let bucket = name.bucket.clone();
        context.backend.read(move |snapshot| snapshot.require_bucket(&bucket)).await?;
        receive::document(body, context.complete_expected()?, DOCUMENT_BYTES_MAX).await?;
    }
    let (algorithm, scope) = (asked.unwrap_or(DEFAULT_CHECKSUM), checksum_scope(context, asked)?);
    let mut record = UploadRecord { initiated: context.millis(), attributes, checksum: Some((algorithm, scope)) };
    let protection = record.attributes.protection();
    let id = upload_id::next(context.dialect(), context.millis());
    let upload = UploadName { name: name.clone(), id: id.clone() };
    let create = move |tables: &mut Tables<'_>| {
        record.attributes.storage_class = match class {
            Some(class) => class,
            None => tables.bucket_class(&upload.name.bucket)?,
        };
        tables.create_upload(&upload, &record)
    };
    context.backend.write(create).await?;
    let document = xml::InitiateResult { bucket: name.bucket, key: name.key, upload_id: id };
    let response = reply::document(context.dialect(), &document).with_protection(protection);
    Ok(match asked {
        Some(_) => {
            response.with("x-amz-checksum-algorithm", algorithm.name()).with("x-amz-checksum-type", scope.name())
        }
        None => response,
    })
}

fn checksum_scope(context: &Context, asked: Option<Algorithm>) -> Result<Scope> {
    let algorithm = asked.unwrap_or(DEFAULT_CHECKSUM);
    let Some(text) = context.fields.text("x-amz-checksum-type")? else { return Ok(algorithm.default_scope()) };
    let scope = Scope::from_name(text).filter(|scope| algorithm.allows(*scope));
    scope.ok_or_else(|| {
        let message =
            format!("The {text} checksum type cannot be used with the {} checksum algorithm.", algorithm.name());
        Fault::new(ErrorCode::InvalidRequest, message)
    })
}

/// `PUT /b/k?partNumber&uploadId`.
pub async fn put_part(context: &Context, number: u32, upload: UploadName, body: RequestBody) -> Result<Response> {
    let expected = context.expected()?;
    check_size(expected.bytes)?;
    let asked = upload.clone();
    let look = move |snapshot: &Snapshot| snapshot.upload(&asked.name.bucket, &asked.name.key, &asked.id);
    let record = context.backend.read(look).await?;
    let sent = expected.algorithm();
    let algorithm = record.checksum.map_or(DEFAULT_CHECKSUM, |(algorithm, _)| algorithm);
    let protection = record.attributes.protection();
    let received = receive::store(body, expected, algorithm, protection, &context.backend).await?;
    let part = PartRecord {
        size: received.bytes,
        md5: received.digests.md5,
        modified: context.millis(),
        checksum: received.digests.checksum(algorithm).cloned(),
        pieces: received.pieces,
    };
    let etag = ETag::of_md5(part.md5);
    let answered = received.digests.checksum(sent.unwrap_or(algorithm)).cloned();
    let pending = received.pending;
    context.backend.write(move |tables| tables.put_part(&upload, number, &part, pending)).await?;
    let response = reply::empty(StatusCode::OK).with_protection(protection);
    let response = response.with_etag(&etag).with_checksum(answered.as_ref());
    // S3 tells a class here unless it is the standard one; the others show none.
    let class = record.attributes.storage_class.filter(|_| context.dialect() == Dialect::S3);
    Ok(match class {
        Some(class) => response.with("x-amz-storage-class", &class),
        None => response,
    })
}

/// `POST /b/k?uploadId`.
pub async fn complete(context: &Context, upload: UploadName, body: RequestBody) -> Result<Response> {
    let (expected, dialect) = (context.complete_expected()?, context.dialect());
    check_before_body(context, &upload).await?;
    let document = receive::document(body, expected, COMPLETE_BYTES_MAX).await?;
    let mut request = complete_request(context, &document)?;
    if dialect == Dialect::Wos {
        // Its page asks for no order.
        request.parts.sort_by_key(|part| part.number);
    }
    let complete = Complete {
        upload: upload.clone(),
        parts: wanted_parts(&request)?,
        condition: write_condition(context)?,
        checksum: object_checksum(context)?,
        size: object_size(context)?,
        // JSS does not say which is its smallest part, and its examples have parts of 200 KB.
        part_bytes_min: if dialect == Dialect::Jss && !context.strict { 0 } else { PART_BYTES_MIN },
        dialect,
        now: context.millis(),
    };
    let record = context.backend.write(move |tables| tables.complete_upload(&complete)).await?;
    let protection = record.attributes.protection();
    let Name { bucket, key } = upload.name;
    let path = if context.bucket_in_host { String::new() } else { format!("/{bucket}") };
    let document = xml::CompleteResult {
        location: format!("http://{}{path}/{}", context.host, uri::encode_path(&key)),
        bucket,
        key,
        etag: record.etag,
        checksums: record.checksum.iter().filter_map(full).collect(),
        checksum_type: record.checksum.as_ref().map(|own| own.scope.name().to_owned()),
    };
    Ok(reply::document(dialect, &document).with_protection(protection))
}

/// What would fail in the end fails before a body is sent. An upload of S3 that is gone may have been completed.
async fn check_before_body(context: &Context, upload: &UploadName) -> Result<()> {
    let (asked, may_be_finished) = (upload.clone(), context.dialect() == Dialect::S3);
    let look = move |snapshot: &Snapshot| {
        snapshot.require_bucket(&asked.name.bucket)?;
        if !may_be_finished {
            snapshot.upload(&asked.name.bucket, &asked.name.key, &asked.id)?;
        }
        Ok(())
    };
    Ok(context.backend.read(look).await?)
}

/// Reads the document. Each dialect has its own way of refusing one without parts.
fn complete_request(context: &Context, document: &[u8]) -> Result<xml::CompleteRequest> {
    let dialect = context.dialect();
    let is_blank = document.iter().all(u8::is_ascii_whitespace);
    let request = if dialect == Dialect::Wos && is_blank {
        xml::CompleteRequest::default()
    } else {
        document::read::<xml::CompleteRequest>(dialect, document).map_err(|error| context.malformed(&error))?
    };
    if !request.parts.is_empty() {
        return Ok(request);
    }
    let code = if dialect == Dialect::Wos { ErrorCode::InvalidRequest } else { ErrorCode::MalformedXML };
    Err(Fault::new(code, "You must specify at least one part"))
}

fn wanted_parts(request: &xml::CompleteRequest) -> Result<Vec<WantedPart>> {
    let part = |part: &xml::CompletePart| {
        if !(1..=PARTS_MAX).contains(&part.number) {
            let text = part.number.to_string();
            let message = "Part number must be an integer between 1 and 10000, inclusive.";
            return Err(Fault::argument("partNumber", &text, message));
        }
        let checksums = part
            .checksums
            .iter()
            .filter_map(|(name, value)| Algorithm::from_name(name).map(|algorithm| Checksum::parse(algorithm, value)));
        let checksums: Option<Vec<Checksum>> = checksums.collect();
        let checksums =
            checksums.ok_or_else(|| Fault::new(ErrorCode::InvalidPart, "A part's checksum is not valid."))?;
        Ok(WantedPart { number: part.number, etag: part.etag.clone(), checksums })
    };
    request.parts.iter().map(part).collect()
}

/// The checksum that the whole object must have. One of parts may tell their number.
fn object_checksum(context: &Context) -> Result<Option<Checksum>> {
    for algorithm in Algorithm::ALL {
        let Some(text) = context.fields.text(algorithm.header())? else { continue };
        let value = text.split_once('-').map_or(text, |(value, _)| value);
        let checksum = Checksum::parse(algorithm, value).ok_or_else(|| {
            Fault::new(ErrorCode::InvalidRequest, format!("Value for {} header is invalid.", algorithm.header()))
        })?;
        return Ok(Some(checksum));
    }
    Ok(None)
}

fn object_size(context: &Context) -> Result<Option<u64>> {
    let Some(text) = context.fields.text("x-amz-mp-object-size")? else { return Ok(None) };
    let size = text.parse().map_err(|_| Fault::argument("x-amz-mp-object-size", text, "The size must be a number."))?;
    Ok(Some(size))
}

/// `DELETE /b/k?uploadId`.
pub async fn abort(context: &Context, upload: UploadName) -> Result<Response> {
    context.backend.write(move |tables| tables.abort_upload(&upload)).await?;
    Ok(reply::empty(match context.dialect() {
        Dialect::S3 | Dialect::Jss => StatusCode::NO_CONTENT,
        Dialect::Wos => StatusCode::OK,
    }))
}
