//! An object in parts: begin, send parts, complete or abort.

use crate::base::random;
use crate::http::StatusCode;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::attributes;
use crate::server::backend::record::PartRecord;
use crate::server::backend::record::UploadRecord;
use crate::server::backend::tables::Name;
use crate::server::backend::uploads::Complete;
use crate::server::backend::uploads::UploadName;
use crate::server::backend::uploads::WantedPart;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::PART_BYTES_MIN;
use crate::server::ops::copy::checksum_algorithm;
use crate::server::ops::copy::full;
use crate::server::ops::malformed;
use crate::server::ops::put::DEFAULT_CHECKSUM;
use crate::server::ops::put::check_size;
use crate::server::ops::put::write_condition;
use crate::server::receive;
use crate::server::reply;
use crate::server::route::PARTS_MAX;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::checksum::Scope;
use crate::wire::error_code::ErrorCode;
use crate::wire::etag::ETag;
use crate::wire::uri;
use crate::wire::xml;
use crate::wire::xml::Document;

/// Bytes; ten thousand parts, each with number, tag and a SHA-256.
const COMPLETE_BYTES_MAX: u64 = 4 << 20;

/// `POST /b/k?uploads`.
pub async fn create(context: &Context, name: Name) -> Result<Response> {
    let attributes = attributes::from_fields(&context.fields)?;
    context.backend.check_room()?;
    let asked = checksum_algorithm(context)?;
    let (algorithm, scope) = (asked.unwrap_or(DEFAULT_CHECKSUM), checksum_scope(context, asked)?);
    let record = UploadRecord { initiated: context.millis(), attributes, checksum: Some((algorithm, scope)) };
    let protection = record.attributes.protection();
    // The time first: ids of one key are listed in the order in which they were begun.
    let id = format!("{:012x}{}", context.millis().0, random::hex::<10>());
    let upload = UploadName { name: name.clone(), id: id.clone() };
    context.backend.write(move |tables| tables.create_upload(&upload, &record)).await?;
    let document = xml::InitiateResult { bucket: name.bucket, key: name.key, upload_id: id };
    let response = reply::xml(document.write()).with_protection(protection);
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
    let look = move |snapshot: &crate::server::backend::index::Snapshot| {
        snapshot.upload(&asked.name.bucket, &asked.name.key, &asked.id)
    };
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
    Ok(response.with_etag(&etag).with_checksum(answered.as_ref()))
}

/// `POST /b/k?uploadId`.
pub async fn complete(context: &Context, upload: UploadName, body: RequestBody) -> Result<Response> {
    let document = receive::document(body, context.complete_expected()?, COMPLETE_BYTES_MAX).await?;
    let request = xml::CompleteRequest::parse(&document).map_err(malformed)?;
    let complete = Complete {
        upload: upload.clone(),
        parts: wanted_parts(&request)?,
        condition: write_condition(context)?,
        checksum: object_checksum(context)?,
        size: object_size(context)?,
        part_bytes_min: PART_BYTES_MIN,
        now: context.millis(),
    };
    let record = context.backend.write(move |tables| tables.complete_upload(&complete)).await?;
    let protection = record.attributes.protection();
    let Name { bucket, key } = upload.name;
    let document = xml::CompleteResult {
        location: format!("http://{}/{bucket}/{}", context.host, uri::encode_path(&key)),
        bucket,
        key,
        etag: record.etag,
        checksums: record.checksum.iter().filter_map(full).collect(),
        checksum_type: record.checksum.as_ref().map(|own| own.scope.name().to_owned()),
    };
    Ok(reply::xml(document.write()).with_protection(protection))
}

fn wanted_parts(request: &xml::CompleteRequest) -> Result<Vec<WantedPart>> {
    if request.parts.is_empty() {
        return Err(Fault::new(ErrorCode::MalformedXML, "At least one part must be named."));
    }
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
    Ok(reply::empty(StatusCode::NO_CONTENT))
}
