//! Which page of which list: of objects, of unfinished uploads, of parts.

use crate::server::backend::record::Millis;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::route::Asked;
use crate::server::route::ListObjects;
use crate::server::route::ListUploads;
use crate::server::route::ListVersion;
use crate::server::route::OnObject;
use crate::server::route::parameters::Query;
use crate::wire::dialect::Dialect;
use crate::wire::uri::query_value;
use std::ops::RangeInclusive;

/// The most names on a page.
const PAGE_MAX: usize = 1000;
/// The most parts, and the most uploads, in one answer of JSS.
pub(super) const JSS_PAGE_MAX: usize = 10_000;

/// `GET /b`.
pub(super) fn objects(asked: &Asked<'_>) -> Result<ListObjects> {
    match (asked.dialect(), query_value(asked.query, "list-type")) {
        // It has no second version: that parameter is refused as any other that is not known.
        (Dialect::Jss, _) => objects_of_jss(asked),
        (Dialect::S3 | Dialect::Wos, None) => objects_v1(asked),
        (Dialect::S3 | Dialect::Wos, Some("2")) => objects_v2(asked),
        (Dialect::S3 | Dialect::Wos, Some(other)) => {
            Err(Fault::argument("list-type", other, "There is no such version of listings."))
        }
    }
}

fn objects_v1(asked: &Asked<'_>) -> Result<ListObjects> {
    let names = ["prefix", "delimiter", "max-keys", "encoding-type", "metadata", "marker", "startTime", "endTime"];
    let of_s3 = &names[..6];
    let query = Query::allow(asked, if asked.dialect() == Dialect::Wos { &names } else { of_s3 })?;
    let version = ListVersion::V1 { marker: query.text("marker") };
    list(&query, version, query.page("max-keys", PAGE_MAX)?)
}

fn objects_v2(asked: &Asked<'_>) -> Result<ListObjects> {
    let names = [
        "list-type",
        "prefix",
        "delimiter",
        "max-keys",
        "encoding-type",
        "metadata",
        "continuation-token",
        "start-after",
        "fetch-owner",
    ];
    let query = Query::allow(asked, &names)?;
    let version = ListVersion::V2 {
        token: query.token()?,
        start_after: query.get("start-after").filter(|key| !key.is_empty()).map(str::to_owned),
        fetch_owner: query.get("fetch-owner").is_some_and(|value| value.eq_ignore_ascii_case("true")),
    };
    list(&query, version, query.page("max-keys", PAGE_MAX)?)
}

/// The size of a page is spelled in two ways by its clients.
fn objects_of_jss(asked: &Asked<'_>) -> Result<ListObjects> {
    let query = Query::allow(asked, &["prefix", "delimiter", "maxKeys", "max-keys", "marker"])?;
    let size = if query.get("maxKeys").is_some() { "maxKeys" } else { "max-keys" };
    list(&query, ListVersion::V1 { marker: query.text("marker") }, query.page(size, PAGE_MAX)?)
}

fn list(query: &Query<'_>, version: ListVersion, limit: usize) -> Result<ListObjects> {
    Ok(ListObjects {
        version,
        prefix: query.text("prefix"),
        delimiter: query.filled("delimiter"),
        limit,
        encoding: query.encoding()?,
        with_metadata: query.get("metadata").is_some_and(|value| value.eq_ignore_ascii_case("true")),
        written: written(query)?,
    })
}

fn written(query: &Query<'_>) -> Result<Option<RangeInclusive<Millis>>> {
    let (start, end) = (query.millis("startTime")?, query.millis("endTime")?);
    let range = Millis(start.unwrap_or(0))..=Millis(end.unwrap_or(u64::MAX));
    Ok((start.is_some() || end.is_some()).then_some(range))
}

/// `GET /b?uploads`.
pub(super) fn uploads(asked: &Asked<'_>) -> Result<ListUploads> {
    let names = ["uploads", "prefix", "delimiter", "max-uploads", "key-marker", "upload-id-marker", "encoding-type"];
    let query = Query::allow(asked, &names)?;
    Ok(ListUploads {
        prefix: query.text("prefix"),
        delimiter: query.filled("delimiter"),
        key_marker: query.text("key-marker"),
        upload_id_marker: query.text("upload-id-marker"),
        limit: query.number("max-uploads", page_max(asked))?,
        is_page: query.filled("max-uploads").is_some(),
        encoding: query.encoding()?,
    })
}

/// `GET /b/k?uploadId`.
pub(super) fn parts(asked: &Asked<'_>) -> Result<OnObject> {
    let query = Query::allow(asked, &["uploadId", "max-parts", "part-number-marker", "encoding-type"])?;
    let is_page = query.filled("max-parts").is_some();
    if asked.dialect() == Dialect::Wos {
        check_as_wangsu(&query)?;
    }
    let after = match query.filled("part-number-marker") {
        Some(_) => u32::try_from(query.number("part-number-marker", usize::MAX)?).unwrap_or(u32::MAX),
        None => 0,
    };
    let limit = query.number("max-parts", page_max(asked))?;
    Ok(OnObject::ListParts { upload_id: query.upload_id()?, after, limit, is_page })
}

/// Its page of list parts has a sentence for each.
fn check_as_wangsu(query: &Query<'_>) -> Result<()> {
    let number = |name| query.filled(name).map(|text| text.parse::<i64>().map_err(|_| text));
    let refused = |name: &'static str, text: String, message: &'static str| Err(Fault::argument(name, &text, message));
    match number("max-parts") {
        Some(Err(text)) => {
            return refused("max-parts", text, "Provided maxParts not an integer or within integer range.");
        }
        Some(Ok(n)) if !(0..=1000).contains(&n) => {
            return refused("max-parts", n.to_string(), "Argument maxParts must be an integer between 0 and 1000");
        }
        Some(Ok(_)) | None => {}
    }
    match number("part-number-marker") {
        Some(Err(text)) => refused("part-number-marker", text, "Provided part-number-marker not an integer"),
        Some(Ok(_)) | None => Ok(()),
    }
}

fn page_max(asked: &Asked<'_>) -> usize {
    match asked.dialect() {
        Dialect::Jss => JSS_PAGE_MAX,
        Dialect::S3 | Dialect::Wos => PAGE_MAX,
    }
}
