//! One request from its arrival to its answer: who sent it, what it asks for, doing it, and telling what went wrong.

use crate::base::clock;
use crate::base::random;
use crate::http::HeaderMap;
use crate::http::server::Handler;
use crate::http::server::Request;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::attributes::insert;
use crate::server::auth;
use crate::server::backend::Backend;
use crate::server::backend::uploads::UploadName;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Fields;
use crate::server::keys::Keys;
use crate::server::ops;
use crate::server::ops::Context;
use crate::server::reply;
use crate::server::route;
use crate::server::route::Asked;
use crate::server::route::OnBucket;
use crate::server::route::OnObject;
use crate::server::route::Operation;
use crate::wire::date;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri;
use futures_util::FutureExt;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::SystemTime;

/// What answers requests.
pub struct Service {
    /// The store.
    pub backend: Arc<Backend>,
    /// Who may ask.
    pub keys: Keys,
    /// Where this server is said to be.
    pub region: String,
    /// Domains whose subdomains are buckets.
    pub base_domains: Vec<String>,
    /// Requests so far by S3's name of their operation.
    pub counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Handler for Service {
    async fn handle(&self, request: Request) -> Response {
        let (request_id, now) = (random::hex::<8>().to_uppercase(), clock::now());
        let (method, path) = (request.method.clone(), request.path.clone());
        let is_head = method.as_str() == "HEAD";
        // A bug in one request must not take the others with it.
        let answered = AssertUnwindSafe(self.answer(request, now)).catch_unwind().await;
        let answered = answered.unwrap_or_else(|_| Err(ErrorCode::InternalError.into()));
        let mut response = answered.unwrap_or_else(|fault| {
            tracing::debug!(%method, path, request_id, code = fault.code.name(), message = %fault.message, "refused");
            reply::refused(&fault, &path, &request_id, is_head)
        });
        insert(&mut response.headers, "x-amz-request-id", request_id.as_bytes());
        insert(&mut response.headers, "date", date::http(now).as_bytes());
        insert(&mut response.headers, "server", b"brigade");
        tracing::debug!(%method, path, request_id, status = response.status.as_u16(), "answered");
        response
    }
}

impl Service {
    async fn answer(&self, request: Request, now: SystemTime) -> Result<Response> {
        let query = uri::parse_query(request.query.as_deref().unwrap_or_default())
            .map_err(|error| Fault::new(ErrorCode::InvalidURI, format!("The query cannot be decoded: {error}.")))?;
        let payload = self.authenticate(&request, &query, now)?;
        let fields = Fields::new(&request.headers, &query);
        let host = fields.text("host")?.unwrap_or_default().to_owned();
        let operation = route::route(&Asked {
            method: request.method.as_str(),
            host: &host,
            path: &request.path,
            query: &query,
            fields: &fields,
            base_domains: &self.base_domains,
        })?;
        self.count(operation.name());
        let region = self.region.clone();
        let context = Context { backend: Arc::clone(&self.backend), fields, payload, now, region, host };
        perform(&context, operation, request.body).await
    }

    fn authenticate(&self, request: &Request, query: &[(String, String)], now: SystemTime) -> Result<auth::Payload> {
        let headers = signed_view(&request.headers);
        let received =
            auth::Received { method: request.method.as_str(), path: &request.path, query, headers: &headers, now };
        auth::authenticate(&self.keys, &received)
    }

    fn count(&self, name: &'static str) {
        let mut counts = self.counts.lock().expect("nothing panics while it holds this lock");
        *counts.entry(name).or_default() += 1;
    }
}

/// Headers as text. What is not UTF-8 cannot have been signed by anyone who signs text, and is seen as empty.
fn signed_view(headers: &HeaderMap) -> Vec<(&str, &str)> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap_or_default()))
        .collect()
}

/// The one place where an operation meets its code.
async fn perform(context: &Context, operation: Operation, body: RequestBody) -> Result<Response> {
    match operation {
        Operation::ListBuckets => ops::bucket::list(context).await,
        Operation::Bucket(bucket, on) => on_bucket(context, bucket, on, body).await,
        Operation::Object(name, on) => match on {
            OnObject::Put => ops::put::put(context, name, body).await,
            OnObject::Copy => ops::copy::object(context, name).await,
            OnObject::Get(read) => ops::get::get(context, name, read).await,
            OnObject::Head(read) => ops::get::head(context, name, read).await,
            OnObject::Delete => ops::delete::delete(context, name).await,
            OnObject::CreateUpload => ops::multipart::create(context, name).await,
            OnObject::PutPart(number, id) => {
                ops::multipart::put_part(context, number, UploadName { name, id }, body).await
            }
            OnObject::CopyPart(number, id) => ops::copy::part(context, number, UploadName { name, id }).await,
            OnObject::ListParts { upload_id, after, limit } => {
                ops::uploads::parts(context, UploadName { name, id: upload_id }, after, limit).await
            }
            OnObject::Complete(id) => ops::multipart::complete(context, UploadName { name, id }, body).await,
            OnObject::Abort(id) => ops::multipart::abort(context, UploadName { name, id }).await,
        },
    }
}

async fn on_bucket(context: &Context, bucket: String, on: OnBucket, body: RequestBody) -> Result<Response> {
    match on {
        OnBucket::Create => ops::bucket::create(context, bucket, body).await,
        OnBucket::Delete => ops::bucket::delete(context, bucket).await,
        OnBucket::Head => ops::bucket::head(context, bucket).await,
        OnBucket::Location => ops::bucket::location(context, bucket).await,
        OnBucket::ListObjects(list) => ops::list::objects(context, bucket, list).await,
        OnBucket::ListUploads(list) => ops::uploads::uploads(context, bucket, list).await,
        OnBucket::DeleteObjects => ops::delete::delete_many(context, bucket, body).await,
    }
}
