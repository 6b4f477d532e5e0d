//! Operations on buckets, but for listings of what is in them.

use crate::http::StatusCode;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::backend::record::BucketRecord;
use crate::server::backend::tables::Tables;
use crate::server::dialect::Dialect;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::owner;
use crate::server::reply;
use crate::wire::error_code::ErrorCode;
use crate::wire::xml;
use crate::wire::xml::Document;

/// Where a bucket is that says nothing of it.
const DEFAULT_REGION: &str = "us-east-1";

/// `GET /`.
pub async fn list(context: &Context) -> Result<Response> {
    let buckets = context.backend.read(|snapshot| snapshot.buckets()).await?;
    let bucket = |(name, record): (String, BucketRecord)| xml::Bucket { name, created: record.created.time() };
    let shown = buckets.into_iter().filter(|(name, _)| context.permissions.reaches(name));
    let document = xml::ListBuckets { owner: owner(), buckets: shown.map(bucket).collect() };
    Ok(reply::document(context.dialect(), &document))
}

/// `PUT /b`. A storage class becomes that of objects which ask for none.
pub async fn create(context: &Context, bucket: String, body: RequestBody) -> Result<Response> {
    let class = context.storage_class()?.flatten();
    let document = match context.fields.has("content-length") {
        true => context.document(body).await?,
        // Some clients leave the length out where there is nothing to send.
        false => bytes::Bytes::new(),
    };
    // JSS has no document here; its bucket is where the endpoint is.
    if !document.is_empty() && context.dialect() != Dialect::Jss {
        let wanted = xml::CreateBucketConfiguration::parse(&document).map_err(|error| context.malformed(&error))?;
        let fits = wanted.region.as_deref().is_none_or(|region| region == context.region || region == DEFAULT_REGION);
        if !fits {
            return Err(Fault::new(
                ErrorCode::InvalidLocationConstraint,
                format!("This server is in the region {}.", context.region),
            ));
        }
    }
    let (now, name) = (context.millis(), bucket.clone());
    let create = move |tables: &mut Tables<'_>| {
        tables.create_bucket(&name, now)?;
        class.as_deref().map_or(Ok(()), |class| tables.set_bucket_class(&name, class))
    };
    context.backend.write(create).await?;
    let status = match context.dialect() {
        Dialect::Jss => StatusCode::CREATED,
        Dialect::S3 | Dialect::Wos => StatusCode::OK,
    };
    Ok(reply::empty(status).with("location", &format!("/{bucket}")))
}

/// `DELETE /b`.
pub async fn delete(context: &Context, bucket: String) -> Result<Response> {
    context.backend.write(move |tables| tables.delete_bucket(&bucket)).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// `HEAD /b`.
pub async fn head(context: &Context, bucket: String) -> Result<Response> {
    context.backend.read(move |snapshot| snapshot.require_bucket(&bucket)).await?;
    Ok(reply::empty(StatusCode::OK).with("x-amz-bucket-region", &context.region))
}

/// `GET /b?location`.
pub async fn location(context: &Context, bucket: String) -> Result<Response> {
    context.backend.read(move |snapshot| snapshot.require_bucket(&bucket)).await?;
    let region = Some(context.region.clone()).filter(|region| region != DEFAULT_REGION);
    Ok(reply::xml(context.dialect(), &xml::LocationConstraint { region }))
}
