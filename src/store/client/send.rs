//! Sends calls: signs them, learns from refusals, and reads answers. Here headers arrive with the dialect's own names.

use crate::base::clock;
use crate::http;
use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::Method;
use crate::http::Response;
use crate::http::StatusCode;
use crate::http::header;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::checksum;
use crate::store::client::Client;
use crate::store::client::sign;
use crate::store::client::site::Site;
use crate::store::credentials::Credentials;
use crate::store::ops;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::provider::Integrity;
use crate::wire::date;
use crate::wire::error_code::ErrorCode;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::PoisonError;

/// The longest document that is read; a full page of keys and metadata at their longest is shorter.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// Bodies from so many bytes on are hashed apart from the threads that serve the network; MD5 takes half a
/// millisecond for as many.
const APART_BYTES_MIN: u64 = 256 << 10;

impl Client {
    pub(super) async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output> {
        let mut call = operation.call(self.dialect())?;
        if self.integrity == Integrity::Md5 && call.md5.is_none() && sends_bytes(&call) {
            call.md5 = Some(apart(call.pieces.clone(), checksum::md5_of).await);
        }
        let Response { status, headers, body } = self.send(&call).await?;
        let body = Response { status, headers: headers.clone(), body }.bytes(DOCUMENT_BYTES_MAX).await;
        let body = body.map_err(|error| no_answer(&call, error))?;
        operation.parse(&self.answer(&call, status, headers, body))
    }

    fn answer(&self, call: &Call, status: StatusCode, headers: HeaderMap, body: Bytes) -> Answer {
        Answer { dialect: self.dialect(), status, headers, body, sent_md5: call.md5 }
    }

    /// Sends a call until it succeeds or nothing can be learnt from its failure.
    pub(super) async fn send(&self, call: &Call) -> Result<Response> {
        self.check(call)?;
        let payload_hash = match self.signer.payload(call, self.integrity) {
            sign::Payload::Uncovered => String::new(),
            sign::Payload::Word(word) => word.to_owned(),
            sign::Payload::Hashed => apart(call.pieces.clone(), checksum::sha256_of).await,
        };
        let mut lessons = Lessons::default();
        loop {
            let site = self.site();
            let credentials = self.credentials.credentials().await.map_err(|error| {
                Error::new(call.op, call.key.clone(), Kind::BadCredentials, error.to_string()).caused_by(error)
            })?;
            let ahead = self.signer.ahead();
            let request = self.signer.request(call, &site, &credentials, &payload_hash, clock::now())?;
            let mut response = self.transport.send(request).await.map_err(|error| no_answer(call, error))?;
            response.headers = with_s3_names(response.headers, self.dialect());
            if response.status.is_success() {
                return Ok(response);
            }
            let (status, headers) = (response.status, response.headers.clone());
            // The status alone still says something if the reason does not arrive.
            let body = response.bytes(DOCUMENT_BYTES_MAX).await.unwrap_or_default();
            let answer = self.answer(call, status, headers, body);
            let error = ops::failure(call, &answer);
            let used = Used { site: &site, credentials: &credentials, ahead };
            if !self.learn(&mut lessons, call, &error, &answer, used).await {
                return Err(error);
            }
        }
    }

    /// What would be sent as another key, or surely be refused, is not sent.
    fn check(&self, call: &Call) -> Result<()> {
        let refuse = |kind, message: String| Err(Error::new(call.op, call.key.clone(), kind, message));
        if !call.on_object {
            return Ok(());
        }
        if call.key.is_empty() || call.key.len() > self.facts.key_bytes_max {
            let message = format!("a key has 1 to {} bytes, not {}", self.facts.key_bytes_max, call.key.len());
            return refuse(Kind::InvalidKey, message);
        }
        if call.key.split('/').any(|segment| segment == "." || segment == "..") {
            return refuse(Kind::InvalidKey, "a key with the segment . or .. cannot be sent unchanged".to_owned());
        }
        let bytes: u64 = call.pieces.iter().map(|piece| piece.len() as u64).sum();
        let is_part = call.op == Op::PutPart;
        let (limit, what) =
            if is_part { (self.facts.part_bytes_max, "part") } else { (self.facts.put_bytes_max, "object") };
        if bytes > limit {
            return refuse(Kind::TooLarge, format!("one {what} has at most {limit} bytes, not {bytes}"));
        }
        Ok(())
    }

    /// Whether the failure taught something. Each kind of lesson is believed once per call.
    async fn learn(&self, lessons: &mut Lessons, call: &Call, error: &Error, answer: &Answer, used: Used<'_>) -> bool {
        let is_unexplained = is_unexplained(call, answer);
        if (error.kind == Kind::ClockSkew || is_unexplained) && !std::mem::replace(&mut lessons.clock, true) {
            let date = ops::text(&answer.headers, header::DATE.as_str()).and_then(date::parse_http);
            let has_learnt = date.is_some_and(|date| self.signer.learn_time(used.ahead, date, clock::now()));
            if has_learnt || !is_unexplained {
                return has_learnt;
            }
        }
        if let Some(region) = region_of(answer).filter(|region| *region != used.site.region)
            && !std::mem::replace(&mut lessons.region, true)
        {
            return self.move_to(&region);
        }
        // Wangsu calls a body that was changed on its way so too: the digest that was signed does not fit it.
        if call.md5.is_some() && is_maybe_corruption(answer) && !std::mem::replace(&mut lessons.corruption, true) {
            tracing::debug!(%error, "the body may have been changed on its way; sending it again");
            return true;
        }
        if (error.kind == Kind::BadCredentials || is_unexplained) && !std::mem::replace(&mut lessons.credentials, true)
        {
            self.credentials.refused(used.credentials).await;
            return self.credentials.credentials().await.is_ok_and(|fresh| fresh != *used.credentials);
        }
        false
    }

    fn move_to(&self, region: &str) -> bool {
        let Ok(site) = Site::new(&self.options, Some(region)) else { return false };
        tracing::debug!(region, "the bucket is in another region");
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
        true
    }
}

/// What a request was made with.
#[derive(Clone, Copy)]
struct Used<'a> {
    site: &'a Site,
    credentials: &'a Credentials,
    /// How far the store's clock was believed to be ahead.
    ahead: i64,
}

/// What a call has learnt so far.
#[derive(Default)]
struct Lessons {
    clock: bool,
    corruption: bool,
    region: bool,
    credentials: bool,
}

/// Whether a refusal has no body that would give its reason, as that of HEAD has none: it may be the clock or the keys.
/// Amazon answers 400 for a token that has expired.
fn is_unexplained(call: &Call, answer: &Answer) -> bool {
    call.method == Method::HEAD && matches!(answer.status.as_u16(), 400 | 401 | 403)
}

/// Whether a refusal may be about the body and not about the keys.
fn is_maybe_corruption(answer: &Answer) -> bool {
    let code = || ErrorCode::parse(&ops::error_document(answer)?.code);
    answer.dialect == Dialect::Wos && code() == Some(ErrorCode::SignatureDoesNotMatch)
}

/// The bucket's region, if a failed answer names it.
fn region_of(answer: &Answer) -> Option<String> {
    if !matches!(answer.status.as_u16(), 301 | 307 | 400 | 403) {
        return None;
    }
    let named = ops::text(&answer.headers, "x-amz-bucket-region").map(str::to_owned);
    named.or_else(|| ops::error_document(answer)?.region).filter(|region| !region.is_empty())
}

pub(super) fn no_answer(call: &Call, error: http::Error) -> Error {
    let kind = match error.kind {
        http::ErrorKind::Url => Kind::InvalidKey,
        http::ErrorKind::Connect | http::ErrorKind::Timeout | http::ErrorKind::Broken => Kind::Network,
        // Neither a certificate nor the protocol gets better by waiting.
        http::ErrorKind::Tls | http::ErrorKind::NotHttp => Kind::Protocol,
    };
    Error::new(call.op, call.key.clone(), kind, error.to_string()).caused_by(error)
}

/// Whether a call sends an object's bytes, if only none, or a document.
fn sends_bytes(call: &Call) -> bool {
    matches!(call.op, Op::PutObject | Op::PutPart) || !call.pieces.iter().all(Bytes::is_empty)
}

/// Hashes pieces: where many requests wait for the same threads, long work goes elsewhere.
pub(super) async fn apart<T: Send + 'static>(pieces: Vec<Bytes>, hash: fn(&[Bytes]) -> T) -> T {
    let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
    if bytes < APART_BYTES_MIN {
        return hash(&pieces);
    }
    let theirs = pieces.clone();
    // Refused only while the runtime ends; then nobody else waits.
    tokio::task::spawn_blocking(move || hash(&theirs)).await.unwrap_or_else(|_| hash(&pieces))
}

fn with_s3_names(headers: HeaderMap, dialect: Dialect) -> HeaderMap {
    if dialect == Dialect::S3 {
        return headers;
    }
    let own = |name: &HeaderName| {
        let name = dialect.s3_name(name.as_str());
        HeaderName::from_bytes(name.as_bytes()).expect("another prefix leaves a name a name")
    };
    headers.iter().map(|(name, value)| (own(name), value.clone())).collect()
}
