//! Operations on buckets, but for listings of what is in them.

use crate::http::StatusCode;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::backend::record::BucketRecord;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::ops::Context;
use crate::server::ops::malformed;
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
    let document = xml::ListBuckets { owner: owner(), buckets: buckets.into_iter().map(bucket).collect() };
    Ok(reply::xml(document.write()))
}

/// `PUT /b`.
pub async fn create(context: &Context, bucket: String, body: RequestBody) -> Result<Response> {
    let document = match context.fields.has("content-length") {
        true => context.document(body).await?,
        // Some clients leave the length out where there is nothing to send.
        false => bytes::Bytes::new(),
    };
    if !document.is_empty() {
        let wanted = xml::CreateBucketConfiguration::parse(&document).map_err(malformed)?;
        let fits = wanted.region.as_deref().is_none_or(|region| region == context.region || region == DEFAULT_REGION);
        if !fits {
            return Err(Fault::new(
                ErrorCode::InvalidLocationConstraint,
                format!("This server is in the region {}.", context.region),
            ));
        }
    }
    let (now, name) = (context.millis(), bucket.clone());
    context.backend.write(move |tables| tables.create_bucket(&name, now)).await?;
    Ok(reply::empty(StatusCode::OK).with("location", &format!("/{bucket}")))
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
    Ok(reply::xml(xml::LocationConstraint { region }.write()))
}
