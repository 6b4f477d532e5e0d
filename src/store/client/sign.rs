//! Makes requests out of calls: addressed, dated, signed. Here headers leave with the dialect's own names.

use crate::http::Body;
use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::HeaderValue;
use crate::http::Request;
use crate::http::header;
use crate::store::Dialect;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::client::site::Site;
use crate::store::credentials::Credentials;
use crate::store::ops::Call;
use crate::store::provider::Integrity;
use crate::store::provider::Signature;
use crate::wire::date;
use crate::wire::date::AmzDate;
use crate::wire::sigv2;
use crate::wire::sigv2::JINGDONG;
use crate::wire::sigv2::WOS2;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Authorization;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::sigv4::WOS4;
use crate::wire::uri;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

/// Silence of the other side that counts as loss, for calls that move bytes inside of the store before it answers.
const PATIENCE_SLOW: Duration = Duration::from_secs(300);
/// Bytes a second of an answer that is worth waiting for; modems were faster.
const PACE: u64 = 1024;
/// Differences of clocks that no store minds, in seconds.
const SKEW_SECONDS_MIN: i64 = 60;

/// Signs, and remembers what signing takes: the day's key, and how far the store's clock is ahead.
pub(super) struct Signer {
    scheme: Scheme,
    dialect: Dialect,
    /// Requests carry `Date` also where another header has the date.
    sends_date: bool,
    /// Silence of the other side that counts as loss.
    patience: Duration,
    key: Mutex<Option<(Credentials, Scope, SigningKey)>>,
    ahead_seconds: AtomicI64,
}

/// One of the two kinds of signatures.
#[derive(Clone, Copy)]
enum Scheme {
    V2(&'static sigv2::Scheme),
    V4(&'static sigv4::Scheme),
}

/// What the body of a call is signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Signatures of this kind do not cover bodies.
    Uncovered,
    /// This word.
    Word(&'static str),
    /// Its SHA-256.
    Hashed,
}

/// The dialect that a signature belongs to.
pub(super) fn dialect_of(signature: Signature) -> Dialect {
    match signature {
        Signature::Aws4 => Dialect::S3,
        Signature::Jingdong => Dialect::Jss,
        Signature::Wos2 | Signature::Wos4 => Dialect::Wos,
    }
}

/// The word that begins an `Authorization` header.
pub(super) fn token_of(signature: Signature) -> &'static str {
    match Scheme::of(signature) {
        Scheme::V2(scheme) => scheme.token,
        Scheme::V4(scheme) => scheme.algorithm,
    }
}

/// Whether signatures of this kind cover the body.
pub(super) fn covers_body(signature: Signature) -> bool {
    match Scheme::of(signature) {
        Scheme::V2(_) => false,
        Scheme::V4(_) => true,
    }
}

impl Scheme {
    fn of(signature: Signature) -> Self {
        match signature {
            Signature::Aws4 => Self::V4(&AWS4),
            Signature::Wos4 => Self::V4(&WOS4),
            Signature::Jingdong => Self::V2(&JINGDONG),
            Signature::Wos2 => Self::V2(&WOS2),
        }
    }
}

impl Signer {
    /// Signs so.
    pub fn new(signature: Signature, sends_date: bool, patience: Duration) -> Self {
        Self {
            scheme: Scheme::of(signature),
            dialect: dialect_of(signature),
            sends_date,
            patience,
            key: Mutex::default(),
            ahead_seconds: AtomicI64::new(0),
        }
    }

    /// What the body of a call is to be signed with.
    pub fn payload(&self, call: &Call, integrity: Integrity) -> Payload {
        let is_data = matches!(call.op, Op::PutObject | Op::PutPart);
        match (self.scheme, integrity) {
            (Scheme::V2(_), _) => Payload::Uncovered,
            (Scheme::V4(_), _) if call.pieces.iter().all(bytes::Bytes::is_empty) => Payload::Word(sigv4::EMPTY_SHA256),
            (Scheme::V4(_), Integrity::Crc64Nvme | Integrity::Crc32c | Integrity::Md5 | Integrity::Transport)
                if is_data =>
            {
                Payload::Word(sigv4::UNSIGNED_PAYLOAD)
            }
            (Scheme::V4(_), _) => Payload::Hashed,
        }
    }

    /// The request that a call becomes at a site. `payload_hash` is what [`Self::payload`] asked for.
    pub fn request(
        &self,
        call: &Call,
        site: &Site,
        credentials: &Credentials,
        payload_hash: &str,
        now: SystemTime,
    ) -> Result<Request> {
        let time = AmzDate::new(shifted(now, self.ahead_seconds.load(Ordering::Relaxed)));
        let mut pairs: Vec<(String, String)> =
            call.query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        // JSS's pages and Wangsu's disagree about any other order.
        pairs.sort_unstable();
        let mut headers = own_names(&call.headers, self.dialect);
        if let Some(md5) = call.md5 {
            insert(&mut headers, "content-md5", &self.dialect.content_md5(md5));
        }
        if self.sends_date || matches!(self.scheme, Scheme::V2(_)) {
            insert(&mut headers, header::DATE.as_str(), &date::http(time.time()));
        }
        if let Some(token) = credentials.session_token.as_ref() {
            self.insert_token(call, &mut headers, token)?;
        }
        let authorization = match self.scheme {
            Scheme::V4(scheme) => {
                insert(&mut headers, &self.dialect.own_name("x-amz-date"), &time.to_string());
                insert(&mut headers, &self.dialect.own_name("x-amz-content-sha256"), payload_hash);
                self.sign_v4(scheme, call, site, credentials, (&time, payload_hash), &pairs, &headers)
            }
            Scheme::V2(scheme) => sign_v2(scheme, call, site, credentials, &date::http(time.time()), &pairs, &headers),
        };
        if let Ok(mut value) = HeaderValue::from_str(&authorization) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(Request {
            method: call.method.clone(),
            origin: site.origin.clone(),
            path: site.path(call.on_object.then_some(call.key.as_str())),
            query: query_text(&pairs),
            headers,
            body: Body::new(call.pieces.clone()),
            patience: if call.is_slow { PATIENCE_SLOW } else { self.patience },
            // Amazon sends blanks while it completes an upload.
            pace: if call.is_slow { 0 } else { PACE },
        })
    }

    fn insert_token(&self, call: &Call, headers: &mut HeaderMap, token: &str) -> Result<()> {
        match self.dialect {
            Dialect::S3 | Dialect::Wos => {
                if is_plain(token) {
                    insert(headers, &self.dialect.own_name("x-amz-security-token"), token);
                }
                Ok(())
            }
            Dialect::Jss => {
                let message = "JSS has no session tokens; use an access key that is not of a session";
                Err(Error::new(call.op, call.key.clone(), Kind::BadCredentials, message))
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "all that a signature depends on")]
    fn sign_v4(
        &self,
        scheme: &'static sigv4::Scheme,
        call: &Call,
        site: &Site,
        credentials: &Credentials,
        (time, payload_hash): (&AmzDate, &str),
        pairs: &[(String, String)],
        headers: &HeaderMap,
    ) -> String {
        let scope = Scope::new(time, &site.region);
        let authority = site.origin.authority();
        let lines: Vec<(&str, &str)> = lines(headers).chain([("host", authority.as_str())]).collect();
        let path = site.path(call.on_object.then_some(call.key.as_str()));
        let request =
            sigv4::Request { method: call.method.as_str(), path: &path, query: pairs, headers: &lines, payload_hash };
        // The fewest that S3 demands: proxies on the way may change the others.
        let is_signed = |name: &String| {
            matches!(name.as_str(), "host" | "content-type" | "content-md5") || name.starts_with(scheme.header_prefix)
        };
        let signed_headers: Vec<String> = request.header_names().into_iter().filter(is_signed).collect();
        let key = self.key(scheme, credentials, &scope);
        let signature = request.signature(scheme, &key, time, &scope, &signed_headers);
        let access_key_id = credentials.access_key_id.clone();
        Authorization { access_key_id, scope, signed_headers, signature }.header(scheme)
    }

    /// The time by the store's clock, as far as that is known.
    pub fn store_time(&self, now: SystemTime) -> SystemTime {
        shifted(now, self.ahead())
    }

    /// By how many seconds the store's clock is believed to be ahead.
    pub fn ahead(&self) -> i64 {
        self.ahead_seconds.load(Ordering::Relaxed)
    }

    /// Takes over the store's time, if it differs enough to matter, and says whether it does from what a request was signed
    /// by: another request may have learnt it meanwhile.
    pub fn learn_time(&self, signed_by: i64, store: SystemTime, now: SystemTime) -> bool {
        let ahead = match store.duration_since(now) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or(i64::MAX),
        };
        let differs = |from: i64| ahead.saturating_sub(from).saturating_abs() >= SKEW_SECONDS_MIN;
        if differs(self.ahead()) {
            self.ahead_seconds.store(ahead, Ordering::Relaxed);
            tracing::warn!(
                ahead_seconds = ahead,
                "the clocks of this machine and of the store differ; signing by the store's"
            );
        }
        differs(signed_by)
    }

    fn key(&self, scheme: &sigv4::Scheme, credentials: &Credentials, scope: &Scope) -> SigningKey {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some((of, within, key)) if of == credentials && within == scope => key.clone(),
            Some(_) | None => {
                let key = SigningKey::derive(scheme, &credentials.secret, scope);
                *kept = Some((credentials.clone(), scope.clone(), key.clone()));
                key
            }
        }
    }
}

/// What is signed here is always bucket and key, also where the host names the bucket.
fn sign_v2(
    scheme: &'static sigv2::Scheme,
    call: &Call,
    site: &Site,
    credentials: &Credentials,
    date: &str,
    pairs: &[(String, String)],
    headers: &HeaderMap,
) -> String {
    let lines: Vec<(&str, &str)> = lines(headers).collect();
    let request = sigv2::Request {
        method: call.method.as_str(),
        bucket: Some(&site.bucket),
        key: call.on_object.then_some(call.key.as_str()),
        query: pairs,
        headers: &lines,
    };
    let signature = request.signature(scheme, &credentials.secret, date, sigv2::Order::Sorted);
    sigv2::Authorization { access_key_id: credentials.access_key_id.clone(), signature }.header(scheme)
}

fn own_names(headers: &HeaderMap, dialect: Dialect) -> HeaderMap {
    let own = |name: &HeaderName| {
        let own = dialect.own_name(name.as_str());
        HeaderName::from_bytes(own.as_bytes()).expect("another prefix leaves a name a name")
    };
    headers.iter().map(|(name, value)| (own(name), value.clone())).collect()
}

fn insert(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).expect("a name of this program");
    headers.insert(name, HeaderValue::from_str(value).expect("dates, hashes and tokens are plain text"));
}

/// As every vendor's page has it: a parameter without a value is written bare (`?uploads`).
fn query_text(pairs: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| match value.as_str() {
        "" => uri::encode(name),
        value => format!("{}={}", uri::encode(name), uri::encode(value)),
    };
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn shifted(now: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now.checked_sub(by).unwrap_or(now) } else { now.checked_add(by).unwrap_or(now) }
}

/// The headers as they are signed.
fn lines(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers.iter().filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)))
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}
