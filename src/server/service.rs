//! One request from its arrival to its answer: who sent it, what it asks for, doing it, and telling what went wrong.

use crate::base::clock;
use crate::http::HeaderMap;
use crate::http::server::Handler;
use crate::http::server::Request;
use crate::http::server::RequestBody;
use crate::http::server::Response;
use crate::server::auth;
use crate::server::auth::Accepted;
use crate::server::backend::Backend;
use crate::server::backend::index::Snapshot;
use crate::server::backend::uploads::UploadName;
use crate::server::dialect;
use crate::server::dialect::Claimed;
use crate::server::dialect::Dialect;
use crate::server::dialect::Place;
use crate::server::dialect::Spoken;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::faults::Faults;
use crate::server::faults::met;
use crate::server::faults::met::Met;
use crate::server::fields::Fields;
use crate::server::fields::Hoisting;
use crate::server::keys::KeyRing;
use crate::server::log;
use crate::server::ops;
use crate::server::ops::Context;
use crate::server::ops::copy::Source;
use crate::server::ops::uploads::PartsPage;
use crate::server::reply;
use crate::server::reply::Envelope;
use crate::server::route;
use crate::server::route::Asked;
use crate::server::route::OnBucket;
use crate::server::route::OnObject;
use crate::server::route::Operation;
use crate::server::traffic;
use crate::server::traffic::Traffic;
use crate::wire::error_code::ErrorCode;
use crate::wire::uri;
use futures_util::FutureExt;
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::SystemTime;

/// What answers requests.
pub struct Service {
    // Released first: what it keeps of the past is the store's.
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// The store.
    pub backend: Arc<Backend>,
    /// Who may ask.
    pub keys: KeyRing,
    /// What a request speaks that does not tell.
    pub dialect: Dialect,
    /// Whether the vendors' stricter rules hold.
    pub strict: bool,
    /// Where this server is said to be.
    pub region: String,
    /// Domains whose subdomains are buckets.
    pub base_domains: Vec<String>,
    /// Requests so far by S3's name of their operation.
    pub traffic: Mutex<BTreeMap<&'static str, Traffic>>,
}

impl Handler for Service {
    async fn handle(&self, request: Request) -> Response {
        let query = uri::parse_query(request.query.as_deref().unwrap_or_default());
        let host = header_text(&request.headers, "host").to_owned();
        let place = dialect::place(&host, &self.base_domains);
        let authorization = request.headers.get("authorization");
        let authorization = authorization.map(|value| std::str::from_utf8(value.as_bytes()).unwrap_or_default());
        let spoken = dialect::tell(authorization, query.as_deref().unwrap_or_default(), place.site, self.dialect);
        let request_id = reply::request_id(spoken.dialect);
        let (method, path) = (request.method.clone(), request.path.clone());
        let target = log::target(&path, request.query.as_deref());
        let closes = header_text(&request.headers, "connection").to_ascii_lowercase().contains("close");
        let mut met = self.meet(&request, query.as_deref().unwrap_or_default(), place, spoken);
        let now = met.time(clock::now());
        let request = match met.receive(request).await {
            Ok(request) => request,
            Err(cut) => return cut,
        };
        let past = self.past(&met).await;
        let asked = Heard { request, query, host: &host, place, spoken, now, past };
        let answered = match met.refusal() {
            Some(fault) => Err(fault),
            // A bug in one request must not take the others with it.
            None => AssertUnwindSafe(self.answer(asked)).catch_unwind().await.unwrap_or_else(panicked),
        };
        let why = answered.as_ref().err().map(|fault| format!("{}: {}", fault.code, fault.message));
        let response = answered.unwrap_or_else(|fault| {
            reply::refused(&fault, spoken.dialect, &path, &request_id, method.as_str() == "HEAD")
        });
        let response = met.alter(response);
        tracing::debug!(
            dialect = %spoken.dialect,
            scheme = spoken.claimed.token(),
            %method,
            target,
            status = response.status.as_u16(),
            request_id,
            why,
            "answered"
        );
        let (dialect, site) = (spoken.dialect, place.site);
        Envelope { dialect, site, request_id: &request_id, now, closes }.seal(response)
    }
}

/// A request of which is known who is meant by it.
struct Heard<'a> {
    request: Request,
    query: std::result::Result<uri::Query, uri::DecodeError>,
    host: &'a str,
    place: Place<'a>,
    spoken: Spoken,
    now: SystemTime,
    past: Option<Arc<Snapshot>>,
}

fn panicked(_: Box<dyn Any + Send>) -> Result<Response> {
    Err(ErrorCode::InternalError.into())
}

impl Service {
    async fn answer(&self, heard: Heard<'_>) -> Result<Response> {
        let Heard { request, query, host, place, spoken, now, past } = heard;
        let query = query
            .map_err(|error| Fault::new(ErrorCode::InvalidURI, format!("The query cannot be decoded: {error}.")))?;
        if spoken.dialect == Dialect::Wos && host.is_empty() {
            return Err(Fault::new(ErrorCode::InvalidURI, "The Host header is missing."));
        }
        let accepted = self.authenticate(&request, &query, &place, spoken, now)?;
        check_expectation(&request.headers)?;
        let hoisting = match spoken.claimed {
            Claimed::V4(_) => Hoisting::Own,
            Claimed::V2(_) | Claimed::Unknown | Claimed::Anonymous => Hoisting::None,
        };
        let fields = Fields::new(&request.headers, &query, spoken.dialect, hoisting)?;
        let operation = route::route(&Asked {
            method: request.method.as_str(),
            place,
            path: &request.path,
            query: &query,
            fields: &fields,
            hoisting,
            strict: self.strict,
        })?;
        let name = operation.name();
        self.count(name, |traffic| {
            traffic.requests += 1;
            traffic.received += header_text(&request.headers, "content-length").parse::<u64>().unwrap_or(0);
        });
        if let Some(why) = accepted.permissions.refuse(&operation) {
            return Err(Fault::new(ErrorCode::AccessDenied, why));
        }
        let context = Context {
            backend: Arc::clone(&self.backend),
            fields,
            payload: accepted.payload,
            permissions: accepted.permissions,
            now,
            region: place.region.unwrap_or(&self.region).to_owned(),
            site: place.site,
            strict: self.strict,
            host: host.to_owned(),
            bucket_in_host: place.bucket.is_some(),
            past,
        };
        let response = perform(&context, operation, request.body).await?;
        self.count(name, |traffic| traffic.sent += traffic::body_bytes(&response.body));
        Ok(response)
    }

    fn authenticate(
        &self,
        request: &Request,
        query: &[(String, String)],
        place: &Place<'_>,
        spoken: Spoken,
        now: SystemTime,
    ) -> Result<Accepted> {
        let headers = signed_view(&request.headers);
        // Only the older signatures cover bucket and key by name; a path that cannot be decoded names none.
        let (bucket, key) = match spoken.claimed {
            Claimed::V2(_) => route::split(place, &request.path)?,
            Claimed::V4(_) | Claimed::Unknown | Claimed::Anonymous => (None, None),
        };
        let received = auth::Received {
            method: request.method.as_str(),
            path: &request.path,
            query,
            headers: &headers,
            now,
            bucket: bucket.as_deref(),
            key: key.as_deref(),
            region: place.region,
        };
        auth::authenticate(&self.keys, &received, spoken)
    }

    /// What goes wrong with a request on purpose. Asked before it is authenticated, as a network fails for everybody.
    fn meet(&self, request: &Request, query: &[(String, String)], place: Place<'_>, spoken: Spoken) -> Met {
        if !self.faults.is_on() {
            return Met::nothing();
        }
        let operation = Fields::new(&request.headers, query, spoken.dialect, Hoisting::None).ok().and_then(|fields| {
            let (method, path) = (request.method.as_str(), request.path.as_str());
            let asked =
                Asked { method, place, path, query, fields: &fields, hoisting: Hoisting::None, strict: self.strict };
            route::route(&asked).ok()
        });
        let asked = met::asked(operation.as_ref(), request.method.as_str(), spoken.dialect);
        Met::new(self.faults.decide(&asked), asked.writes)
    }

    /// The state that a listing shows instead of the one now. A change leaves behind what was before it.
    async fn past(&self, met: &Met) -> Option<Arc<Snapshot>> {
        if met.writes() && self.faults.wants_past() {
            match self.backend.snapshot().await {
                Ok(snapshot) => self.faults.keep(snapshot),
                Err(error) => tracing::error!(%error, "cannot keep the state for stale listings"),
            }
        }
        self.faults.past(met.behind()?)
    }

    fn count(&self, name: &'static str, add: impl FnOnce(&mut Traffic)) {
        add(self.traffic.lock().expect("nothing panics while it holds this lock").entry(name).or_default());
    }
}

/// One expectation is known (RFC 9110, 10.1.1); what it means for the body is the connection's business.
fn check_expectation(headers: &HeaderMap) -> Result<()> {
    match headers.get("expect") {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(ErrorCode::ExpectationFailed.into())
        }
        Some(_) | None => Ok(()),
    }
}

fn header_text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| std::str::from_utf8(value.as_bytes()).ok()).unwrap_or_default().trim()
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
            OnObject::Copy => ops::copy::object(context, name, Source::Stays).await,
            OnObject::Move => ops::copy::object(context, name, Source::Goes).await,
            OnObject::Get(read) => ops::get::get(context, name, read).await,
            OnObject::Head(read) => ops::get::head(context, name, read).await,
            OnObject::Delete => ops::delete::delete(context, name).await,
            OnObject::CreateUpload => ops::multipart::create(context, name, body).await,
            OnObject::PutPart(number, id) => {
                ops::multipart::put_part(context, number, UploadName { name, id }, body).await
            }
            OnObject::CopyPart(number, id) => ops::copy::part(context, number, UploadName { name, id }).await,
            OnObject::ListParts { upload_id, after, limit, is_page } => {
                let page = PartsPage { after, limit, is_page };
                ops::uploads::parts(context, UploadName { name, id: upload_id }, page).await
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
