//! Which operation a request asks for: a pure function of method, host, path, query and headers.
//!
//! What is not known is refused, 501, and never taken for something simpler: a `PUT ?acl` is no put of an object.

mod address;
mod headers;
mod lists;
mod parameters;
#[cfg(test)]
mod tests;

pub use address::KEY_BYTES_MAX;
pub use address::is_bucket_name;
pub use address::split;
pub use parameters::continuation_token;

use crate::server::backend::record::Millis;
use crate::server::backend::tables::Name;
use crate::server::dialect::Place;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Fields;
use crate::server::fields::Hoisting;
use crate::server::route::parameters::Query;
use crate::wire::dialect::Dialect;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri::query_value;
use crate::wire::xml::Encoding;
use std::ops::RangeInclusive;

/// The greatest part number.
pub const PARTS_MAX: u32 = 10_000;

/// What of a request decides where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method.
    pub method: &'a str,
    /// What the `Host` header names.
    pub place: Place<'a>,
    /// The path as sent.
    pub path: &'a str,
    /// The query, decoded.
    pub query: &'a [(String, String)],
    /// The headers.
    pub fields: &'a Fields,
    /// Whether parameters of the query may stand for headers.
    pub hoisting: Hoisting,
    /// Whether the vendors' stricter rules hold.
    pub strict: bool,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// All buckets.
    ListBuckets,
    /// Something with a bucket.
    Bucket(String, OnBucket),
    /// Something with an object.
    Object(Name, OnObject),
}

/// An operation on a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnBucket {
    /// `PUT /b`.
    Create,
    /// `DELETE /b`.
    Delete,
    /// `HEAD /b`.
    Head,
    /// `GET /b?location`.
    Location,
    /// `GET /b`.
    ListObjects(ListObjects),
    /// `GET /b?uploads`.
    ListUploads(ListUploads),
    /// `POST /b?delete`.
    DeleteObjects,
}

/// A page of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListObjects {
    /// In which version of the request.
    pub version: ListVersion,
    /// Keys begin so.
    pub prefix: String,
    /// Where keys are rolled up.
    pub delimiter: Option<String>,
    /// At most so many names.
    pub limit: usize,
    /// How keys stand in the answer.
    pub encoding: Encoding,
    /// Whether user metadata is wanted (`metadata=true`, an extension).
    pub with_metadata: bool,
    /// Only what was written within these times (WOS's `startTime` and `endTime`).
    pub written: Option<RangeInclusive<Millis>>,
}

/// How pages follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListVersion {
    /// By the last name.
    V1 {
        /// The page begins after it.
        marker: String,
    },
    /// By tokens.
    V2 {
        /// The token as sent, and the name that it holds.
        token: Option<(String, String)>,
        /// The first page begins after it.
        start_after: Option<String>,
        /// Whether owners are wanted.
        fetch_owner: bool,
    },
}

/// A page of unfinished uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListUploads {
    /// Keys begin so.
    pub prefix: String,
    /// Where keys are rolled up.
    pub delimiter: Option<String>,
    /// The page begins after this key…
    pub key_marker: String,
    /// …and within it after this id.
    pub upload_id_marker: String,
    /// At most so many.
    pub limit: usize,
    /// Whether a limit was asked for; without one JSS answers all of them.
    pub is_page: bool,
    /// How keys stand in the answer.
    pub encoding: Encoding,
}

/// An operation on an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnObject {
    /// `PUT /b/k`.
    Put,
    /// `PUT /b/k` with a source.
    Copy,
    /// `PUT /b/k` with a source that is removed (JSS).
    Move,
    /// `GET /b/k`.
    Get(Read),
    /// `HEAD /b/k`.
    Head(Read),
    /// `DELETE /b/k`.
    Delete,
    /// `POST /b/k?uploads`.
    CreateUpload,
    /// `PUT /b/k?partNumber&uploadId`.
    PutPart(u32, String),
    /// `PUT /b/k?partNumber&uploadId` with a source.
    CopyPart(u32, String),
    /// `GET /b/k?uploadId`.
    ListParts {
        /// Of which upload.
        upload_id: String,
        /// Numbers come after this one.
        after: u32,
        /// At most so many.
        limit: usize,
        /// Whether a limit was asked for.
        is_page: bool,
    },
    /// `POST /b/k?uploadId`.
    Complete(String),
    /// `DELETE /b/k?uploadId`.
    Abort(String),
}

/// What is wanted of an object beside its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Read {
    /// Only this part.
    pub part: Option<u32>,
    /// Headers to answer instead of the object's own: lower-case name and value.
    pub overrides: Vec<(&'static str, String)>,
}

impl Asked<'_> {
    fn dialect(&self) -> Dialect {
        self.fields.dialect()
    }
}

impl Operation {
    /// The bucket that it is about.
    #[must_use]
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::ListBuckets => None,
            Self::Bucket(bucket, _) => Some(bucket),
            Self::Object(name, _) => Some(&name.bucket),
        }
    }

    /// S3's name of the operation.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ListBuckets => "ListBuckets",
            Self::Bucket(_, on) => match on {
                OnBucket::Create => "CreateBucket",
                OnBucket::Delete => "DeleteBucket",
                OnBucket::Head => "HeadBucket",
                OnBucket::Location => "GetBucketLocation",
                OnBucket::ListObjects(list) => match list.version {
                    ListVersion::V1 { .. } => "ListObjects",
                    ListVersion::V2 { .. } => "ListObjectsV2",
                },
                OnBucket::ListUploads(_) => "ListMultipartUploads",
                OnBucket::DeleteObjects => "DeleteObjects",
            },
            Self::Object(_, on) => match on {
                OnObject::Put => "PutObject",
                OnObject::Copy => "CopyObject",
                OnObject::Move => "MoveObject",
                OnObject::Get(_) => "GetObject",
                OnObject::Head(_) => "HeadObject",
                OnObject::Delete => "DeleteObject",
                OnObject::CreateUpload => "CreateMultipartUpload",
                OnObject::PutPart(..) => "UploadPart",
                OnObject::CopyPart(..) => "UploadPartCopy",
                OnObject::ListParts { .. } => "ListParts",
                OnObject::Complete(_) => "CompleteMultipartUpload",
                OnObject::Abort(_) => "AbortMultipartUpload",
            },
        }
    }
}

impl Operation {
    /// Whether it changes anything, be it only an upload.
    #[must_use]
    pub fn writes(&self) -> bool {
        match self {
            Self::ListBuckets => false,
            Self::Bucket(_, on) => match on {
                OnBucket::Create | OnBucket::Delete | OnBucket::DeleteObjects => true,
                OnBucket::Head | OnBucket::Location | OnBucket::ListObjects(_) | OnBucket::ListUploads(_) => false,
            },
            Self::Object(_, on) => match on {
                OnObject::Get(_) | OnObject::Head(_) | OnObject::ListParts { .. } => false,
                OnObject::Put
                | OnObject::Copy
                | OnObject::Move
                | OnObject::Delete
                | OnObject::CreateUpload
                | OnObject::PutPart(..)
                | OnObject::CopyPart(..)
                | OnObject::Complete(_)
                | OnObject::Abort(_) => true,
            },
        }
    }
}

/// Decides.
pub fn route(asked: &Asked<'_>) -> Result<Operation> {
    headers::check(asked)?;
    let (bucket, key) = address::target(asked)?;
    match (bucket, key) {
        (None, _) => on_service(asked),
        (Some(bucket), None) => on_bucket(asked, &bucket).map(|on| Operation::Bucket(bucket, on)),
        (Some(bucket), Some(key)) => {
            let on = on_object(asked)?;
            Ok(Operation::Object(Name { bucket, key }, on))
        }
    }
}

fn on_service(asked: &Asked<'_>) -> Result<Operation> {
    if asked.method != "GET" {
        return Err(method_not_allowed(asked));
    }
    Query::allow(asked, &[])?;
    Ok(Operation::ListBuckets)
}

fn on_bucket(asked: &Asked<'_>, bucket: &str) -> Result<OnBucket> {
    let has = |name| query_value(asked.query, name).is_some();
    let on = match asked.method {
        "PUT" => OnBucket::Create,
        "DELETE" => OnBucket::Delete,
        "HEAD" => OnBucket::Head,
        "GET" if has("location") && asked.dialect() != Dialect::Jss => {
            Query::allow(asked, &["location"])?;
            return Ok(OnBucket::Location);
        }
        "GET" if has("uploads") => return lists::uploads(asked).map(OnBucket::ListUploads),
        "GET" => return lists::objects(asked).map(OnBucket::ListObjects),
        "POST" if has("delete") && asked.dialect() != Dialect::Jss => {
            Query::allow(asked, &["delete"])?;
            return Ok(OnBucket::DeleteObjects);
        }
        "POST" => return Err(not_implemented(&format!("POST to the bucket {bucket} without ?delete"))),
        _ => return Err(method_not_allowed(asked)),
    };
    Query::allow(asked, &[])?;
    Ok(on)
}

fn on_object(asked: &Asked<'_>) -> Result<OnObject> {
    let has = |name| query_value(asked.query, name).is_some();
    match asked.method {
        "PUT" if has("uploadId") || has("partNumber") => {
            let query = Query::allow(asked, &["uploadId", "partNumber"])?;
            let (number, id) = (query.part_number()?, query.upload_id()?);
            let copies = asked.fields.has("x-amz-copy-source");
            Ok(if copies { OnObject::CopyPart(number, id) } else { OnObject::PutPart(number, id) })
        }
        "PUT" => {
            Query::allow(asked, &[])?;
            match (asked.fields.has("x-amz-copy-source"), asked.fields.has("x-amz-move-source")) {
                (false, false) => Ok(OnObject::Put),
                (true, false) => Ok(OnObject::Copy),
                (false, true) => Ok(OnObject::Move),
                (true, true) => {
                    Err(Fault::new(ErrorCode::InvalidArgument, "An object is either copied or moved, not both."))
                }
            }
        }
        "GET" if has("uploadId") => lists::parts(asked),
        "GET" => read(asked).map(OnObject::Get),
        "HEAD" => read(asked).map(OnObject::Head),
        "POST" if has("uploads") => {
            Query::allow(asked, &["uploads"])?;
            Ok(OnObject::CreateUpload)
        }
        "POST" if has("uploadId") => Ok(OnObject::Complete(Query::allow(asked, &["uploadId"])?.upload_id()?)),
        "POST" => Err(not_implemented("POST to an object without ?uploads or ?uploadId")),
        "DELETE" if has("uploadId") => Ok(OnObject::Abort(Query::allow(asked, &["uploadId"])?.upload_id()?)),
        "DELETE" => {
            Query::allow(asked, &[])?;
            Ok(OnObject::Delete)
        }
        _ => Err(method_not_allowed(asked)),
    }
}

/// Parameters that replace headers of an answer.
const OVERRIDES: [(&str, &str); 6] = [
    ("response-cache-control", "cache-control"),
    ("response-content-disposition", "content-disposition"),
    ("response-content-encoding", "content-encoding"),
    ("response-content-language", "content-language"),
    ("response-content-type", "content-type"),
    ("response-expires", "expires"),
];
/// JSS's names of them.
const JSS_OVERRIDES: [(&str, &str); 5] = [
    ("cacheControl", "cache-control"),
    ("contentDisposition", "content-disposition"),
    ("contentEncoding", "content-encoding"),
    ("contentLanguage", "content-language"),
    ("contentType", "content-type"),
];

fn read(asked: &Asked<'_>) -> Result<Read> {
    let known: &[(&'static str, &'static str)] =
        if asked.dialect() == Dialect::Jss { &JSS_OVERRIDES } else { &OVERRIDES };
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).chain(["partNumber"]).collect();
    let query = Query::allow(asked, &names)?;
    let part = match query.get("partNumber") {
        Some(_) => Some(query.part_number()?),
        None => None,
    };
    let mut overrides = Vec::new();
    for (name, header) in known {
        if let Some(value) = query.get(name) {
            // Whatever cannot stand in a header would end it and begin another one.
            if value.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
                return Err(Fault::argument(name, value, "The value cannot stand in a header."));
            }
            overrides.push((*header, value.to_owned()));
        }
    }
    Ok(Read { part, overrides })
}

fn not_implemented(what: &str) -> Fault {
    Fault::new(ErrorCode::NotImplemented, format!("This server does not implement {what}."))
}

fn method_not_allowed(asked: &Asked<'_>) -> Fault {
    Fault::from(ErrorCode::MethodNotAllowed).with("Method", asked.method)
}
