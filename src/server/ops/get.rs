//! Reading an object: its headers, and its bytes or some of them.

use crate::http::HeaderMap;
use crate::http::StatusCode;
use crate::http::server::Response;
use crate::http::server::ResponseBody;
use crate::server::attributes;
use crate::server::attributes::insert;
use crate::server::backend::record::Content;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::tables::Name;
use crate::server::condition::ReadCondition;
use crate::server::condition::Verdict;
use crate::server::dialect::Dialect;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::reply;
use crate::server::route::Read;
use crate::wire::checksum::Scope;
use crate::wire::date;
use crate::wire::error_code::ErrorCode;
use crate::wire::range::ByteRange;
use crate::wire::range::ContentRange;
use std::ops::Range;

/// Which bytes are answered.
enum Selected {
    Whole,
    Range(Range<u64>),
    Part { range: Range<u64>, parts: usize },
}

impl Selected {
    fn range(&self, size: u64) -> Range<u64> {
        match self {
            Self::Whole => 0..size,
            Self::Range(range) | Self::Part { range, .. } => range.clone(),
        }
    }
}

/// `GET /b/k`.
pub async fn get(context: &Context, name: Name, read: Read) -> Result<Response> {
    let condition = read_condition(context)?;
    let file = file_name(&name.key);
    let reading = context.backend.enter();
    let found = context.backend.read(move |snapshot| {
        let record = snapshot.object(&name.bucket, &name.key)?;
        let content = snapshot.content(&name.bucket, &name.key)?;
        let seals = snapshot.seals(&record, &content)?;
        Ok((record, content, seals))
    });
    let (record, content, seals) = found.await?;
    if let Some(response) = judge(&condition, &record)? {
        return Ok(response);
    }
    let selected = select(context, &read, &record, Some(&content))?;
    let range = selected.range(record.size);
    let mut response = described(context, &record, &read, &selected, &file);
    let bytes = range.end - range.start;
    if bytes > 0 {
        response.body = ResponseBody::Stream(bytes, context.backend.stream(content.slice(range), seals, reading)?);
    }
    Ok(response)
}

/// `HEAD /b/k`.
pub async fn head(context: &Context, name: Name, read: Read) -> Result<Response> {
    let condition = read_condition(context)?;
    let file = file_name(&name.key);
    let with_content = read.part.is_some();
    let found = context.backend.read(move |snapshot| {
        let record = snapshot.object(&name.bucket, &name.key)?;
        let content = if with_content { Some(snapshot.content(&name.bucket, &name.key)?) } else { None };
        Ok((record, content))
    });
    let (record, content) = found.await?;
    if let Some(response) = judge(&condition, &record)? {
        return Ok(response);
    }
    let selected = select(context, &read, &record, content.as_ref())?;
    let range = selected.range(record.size);
    let mut response = described(context, &record, &read, &selected, &file);
    response.body = ResponseBody::Length(range.end - range.start);
    Ok(response)
}

fn read_condition(context: &Context) -> Result<ReadCondition> {
    Ok(ReadCondition {
        if_match: context.tags("if-match")?,
        if_none_match: context.tags("if-none-match")?,
        if_modified_since: context.time("if-modified-since")?,
        if_unmodified_since: context.time("if-unmodified-since")?,
    })
}

/// The answer that a condition alone decides.
fn judge(condition: &ReadCondition, record: &ObjectRecord) -> Result<Option<Response>> {
    match condition.check(&record.etag, record.modified.time()) {
        Verdict::Go => Ok(None),
        Verdict::NotModified => {
            let response = reply::empty(StatusCode::NOT_MODIFIED).with_etag(&record.etag);
            Ok(Some(response.with("last-modified", &date::http(record.modified.time()))))
        }
        Verdict::Failed(header) => Err(Fault::from(ErrorCode::PreconditionFailed).with("Condition", header)),
    }
}

fn select(context: &Context, read: &Read, record: &ObjectRecord, content: Option<&Content>) -> Result<Selected> {
    let range = context.fields.text("range")?.and_then(ByteRange::parse);
    match (read.part, content, range) {
        (Some(_), _, Some(_)) => {
            Err(Fault::new(ErrorCode::InvalidRequest, "A range and a part number cannot be asked for together."))
        }
        (Some(part), Some(content), None) => select_part(part, record, content),
        (None, _, Some(range)) => range
            .resolve(record.size)
            .map(Selected::Range)
            .map_err(|_| Fault::from(ErrorCode::InvalidRange).with("ActualObjectSize", record.size.to_string())),
        (None, _, None) | (Some(_), None, None) => Ok(Selected::Whole),
    }
}

fn select_part(part: u32, record: &ObjectRecord, content: &Content) -> Result<Selected> {
    let sizes = &content.part_sizes;
    // An object written at once is its own only part.
    if sizes.is_empty() && part == 1 {
        return Ok(Selected::Whole);
    }
    let at = usize::try_from(part - 1).unwrap_or(usize::MAX);
    let Some(size) = sizes.get(at) else {
        let fault = Fault::new(ErrorCode::InvalidRange, "The object has no part of this number.");
        return Err(fault.with("ActualObjectSize", record.size.to_string()));
    };
    let start = sizes[..at].iter().sum();
    Ok(Selected::Part { range: start..start + size, parts: sizes.len() })
}

/// The last segment of a key.
fn file_name(key: &str) -> String {
    key.rsplit_once('/').map_or(key, |(_, name)| name).to_owned()
}

/// What JSS answers when the object says nothing else (its page "GetObject").
fn jss_defaults(file: &str, headers: &mut HeaderMap) {
    insert(headers, "cache-control", b"max-age=2592000");
    let quoted = file.replace('\\', "\\\\").replace('"', "\\\"");
    insert(headers, "content-disposition", format!("inline; filename=\"{quoted}\"").as_bytes());
}

fn described(context: &Context, record: &ObjectRecord, read: &Read, selected: &Selected, file: &str) -> Response {
    let mut headers = HeaderMap::new();
    if context.dialect() == Dialect::Jss {
        jss_defaults(file, &mut headers);
    }
    attributes::into_headers(&record.attributes, context.dialect(), &mut headers);
    for (name, value) in &read.overrides {
        insert(&mut headers, name, value.as_bytes());
    }
    insert(&mut headers, "etag", record.etag.quoted().as_bytes());
    insert(&mut headers, "last-modified", date::http(record.modified.time()).as_bytes());
    insert(&mut headers, "accept-ranges", b"bytes");
    let mut status = StatusCode::OK;
    let mut describe_range = |range: &Range<u64>, headers: &mut HeaderMap| {
        if !range.is_empty() {
            status = StatusCode::PARTIAL_CONTENT;
            let text = ContentRange::Bytes(range.clone(), Some(record.size)).to_string();
            insert(headers, "content-range", text.as_bytes());
        }
    };
    match selected {
        // A checksum is of the whole: beside some of the bytes it would be taken for theirs.
        Selected::Whole => describe_checksum(context, record, &mut headers),
        Selected::Range(range) => describe_range(range, &mut headers),
        Selected::Part { range, parts } => {
            describe_range(range, &mut headers);
            insert(&mut headers, "x-amz-mp-parts-count", parts.to_string().as_bytes());
        }
    }
    Response { status, headers, body: ResponseBody::Empty }
}

fn describe_checksum(context: &Context, record: &ObjectRecord, headers: &mut HeaderMap) {
    let asked = context.fields.bytes("x-amz-checksum-mode").is_some_and(|mode| mode.eq_ignore_ascii_case(b"ENABLED"));
    let Some(own) = record.checksum.as_ref().filter(|_| asked) else { return };
    let value = match own.scope {
        Scope::FullObject => own.checksum.base64(),
        Scope::Composite => format!("{}-{}", own.checksum.base64(), own.parts),
    };
    insert(headers, own.checksum.algorithm.header(), value.as_bytes());
    insert(headers, "x-amz-checksum-type", own.scope.name().as_bytes());
}
