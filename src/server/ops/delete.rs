//! Removing objects, one or many.

use crate::http::StatusCode;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::backend::error::Error;
use crate::server::backend::tables::Name;
use crate::server::backend::tables::Tables;
use crate::server::dialect::Dialect;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::DOCUMENT_BYTES_MAX;
use crate::server::ops::put::write_condition;
use crate::server::receive;
use crate::server::reply;
use crate::server::route::KEY_BYTES_MAX;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri;
use crate::wire::xml;
use crate::wire::xml::Document;

/// The most keys of one request.
const KEYS_MAX: usize = 1000;

/// `DELETE /b/k`.
pub async fn delete(context: &Context, name: Name) -> Result<Response> {
    let condition = write_condition(context)?;
    let must_be_there = context.dialect() == Dialect::Jss;
    let change = move |tables: &mut Tables<'_>| {
        tables.check(&name, &condition)?;
        if must_be_there && tables.object(&name)?.is_none() {
            tables.require_bucket(&name.bucket)?;
            return Err(Error::NoSuchKey);
        }
        tables.delete_object(&name)
    };
    context.backend.write(change).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `POST /b?delete`.
pub async fn delete_many(context: &Context, bucket: String, body: RequestBody) -> Result<Response> {
    let expected = context.expected()?;
    if !expected.has_digest() {
        let message = "Missing required header for this request: Content-MD5 or a checksum";
        return Err(Fault::new(ErrorCode::InvalidRequest, message));
    }
    let asked = bucket.clone();
    context.backend.read(move |snapshot| snapshot.require_bucket(&asked)).await?;
    let document = receive::document(body, expected, DOCUMENT_BYTES_MAX).await?;
    let request = xml::Delete::parse(&document).map_err(|error| context.malformed(&error))?;
    if request.names_versions {
        let message = "This server has no versions, and does not delete objects of a list on conditions.";
        return Err(Fault::new(ErrorCode::NotImplemented, message));
    }
    if request.keys.is_empty() || request.keys.len() > KEYS_MAX {
        return Err(Fault::new(ErrorCode::MalformedXML, "Between one and a thousand keys can be deleted at once."));
    }
    let (keys, wrong): (Vec<String>, Vec<String>) =
        request.keys.into_iter().partition(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let names: Vec<Name> = keys.iter().map(|key| Name { bucket: bucket.clone(), key: key.clone() }).collect();
    let may_be_encoded = context.dialect() == Dialect::Wos;
    let change = move |tables: &mut Tables<'_>| -> std::result::Result<(), Error> {
        tables.require_bucket(&bucket)?;
        for name in names {
            let name = if may_be_encoded { meant(tables, name)? } else { name };
            tables.delete_object(&name)?;
        }
        Ok(())
    };
    context.backend.write(change).await?;
    let errors = wrong.into_iter().map(|key| xml::DeleteError {
        key,
        code: ErrorCode::KeyTooLongError.name().to_owned(),
        message: ErrorCode::KeyTooLongError.message().to_owned(),
    });
    let deleted = if request.quiet { Vec::new() } else { keys };
    Ok(reply::xml(context.dialect(), &xml::DeleteResult { deleted, errors: errors.collect() }))
}

/// Wangsu's SDK percent-encodes the keys of this document, others do not: a key that is there is meant as it stands.
fn meant(tables: &Tables<'_>, name: Name) -> std::result::Result<Name, Error> {
    let decoded = uri::decode(&name.key).ok().filter(|key| *key != name.key && !key.is_empty());
    match decoded {
        Some(key) if tables.object(&name)?.is_none() => Ok(Name { key, ..name }),
        Some(_) | None => Ok(name),
    }
}
