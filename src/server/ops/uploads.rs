//! Listings of unfinished uploads and of their parts.

use crate::http::server::Response;
use crate::server::attributes;
use crate::server::backend;
use crate::server::backend::UploadsQuery;
use crate::server::backend::record::Protection;
use crate::server::backend::uploads::UploadName;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::copy::named;
use crate::server::ops::owner;
use crate::server::reply;
use crate::server::route::ListUploads;
use crate::wire::etag::ETag;
use crate::wire::xml;
use crate::wire::xml::Document;

/// `GET /b?uploads`.
pub async fn uploads(context: &Context, bucket: String, list: ListUploads) -> Result<Response> {
    let query = UploadsQuery {
        prefix: list.prefix.clone(),
        delimiter: list.delimiter.clone(),
        key_marker: list.key_marker.clone(),
        upload_id_marker: list.upload_id_marker.clone(),
        limit: list.limit,
    };
    let name = bucket.clone();
    let page = context.backend.read(move |snapshot| backend::list_uploads(snapshot, &name, &query)).await?;
    let (next_key_marker, next_upload_id_marker) = page.next.unzip();
    let upload = |(key, id, record): (String, String, backend::record::UploadRecord)| xml::Upload {
        key,
        upload_id: id,
        initiated: record.initiated.time(),
        storage_class: Some(attributes::class_name(&record.attributes).to_owned()),
        is_encrypted: Some(record.attributes.protection() == Protection::Sealed),
        owner: Some(owner()),
    };
    let document = xml::ListUploads {
        bucket,
        key_marker: list.key_marker,
        upload_id_marker: list.upload_id_marker,
        is_truncated: next_key_marker.is_some(),
        next_key_marker,
        next_upload_id_marker,
        prefix: list.prefix,
        delimiter: list.delimiter,
        max_uploads: u32::try_from(list.limit).expect("cut at a thousand"),
        encoding: list.encoding,
        uploads: page.uploads.into_iter().map(upload).collect(),
        common_prefixes: page.prefixes,
    };
    Ok(reply::xml(document.write()))
}

/// `GET /b/k?uploadId`.
pub async fn parts(context: &Context, upload: UploadName, after: u32, limit: usize) -> Result<Response> {
    let asked = upload.clone();
    let found = context.backend.read(move |snapshot| {
        let record = snapshot.upload(&asked.name.bucket, &asked.name.key, &asked.id)?;
        Ok((record, snapshot.parts(&asked.id, after, limit + 1)?))
    });
    let (record, mut parts) = found.await?;
    let more = parts.len() > limit;
    parts.truncate(limit);
    let next = parts.last().map(|(number, _)| *number).filter(|_| more);
    let part = |(number, part): (u32, backend::record::PartRecord)| xml::StoredPart {
        number,
        last_modified: Some(part.modified.time()),
        etag: ETag::of_md5(part.md5),
        size: part.size,
        checksums: part.checksum.iter().map(named).collect(),
    };
    let document = xml::ListParts {
        bucket: upload.name.bucket,
        key: upload.name.key,
        upload_id: upload.id,
        part_number_marker: after,
        next_part_number_marker: next,
        max_parts: u32::try_from(limit).expect("cut at a thousand"),
        is_truncated: more,
        storage_class: Some(attributes::class_name(&record.attributes).to_owned()),
        checksum_algorithm: record.checksum.map(|(algorithm, _)| algorithm.name().to_owned()),
        checksum_type: record.checksum.map(|(_, scope)| scope.name().to_owned()),
        parts: parts.into_iter().map(part).collect(),
    };
    Ok(reply::xml(document.write()))
}
