//! Makes requests out of calls: addressed, dated, signed.

use crate::http::Body;
use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::HeaderValue;
use crate::http::Request;
use crate::http::header;
use crate::store::Op;
use crate::store::client::site::Site;
use crate::store::credentials::Credentials;
use crate::store::ops::Call;
use crate::store::provider::Integrity;
use crate::wire::date::AmzDate;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Authorization;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::uri;
use data_encoding::HEXLOWER;
use sha2::Digest;
use sha2::Sha256;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

/// Silence of the other side that counts as loss…
const PATIENCE: Duration = Duration::from_secs(30);
/// …and for calls that move bytes inside of the store before it answers.
const PATIENCE_SLOW: Duration = Duration::from_secs(300);
/// Differences of clocks that no store minds, in seconds.
const SKEW_SECONDS_MIN: i64 = 60;

/// Signs, and remembers what signing takes: the day's key, and how far the store's clock is ahead.
#[derive(Default)]
pub(super) struct Signer {
    key: Mutex<Option<(Credentials, Scope, SigningKey)>>,
    ahead_seconds: AtomicI64,
}

impl Signer {
    /// The request that a call becomes at a site.
    pub fn request(
        &self,
        call: &Call,
        site: &Site,
        credentials: &Credentials,
        integrity: Integrity,
        now: SystemTime,
    ) -> Request {
        let time = AmzDate::new(shifted(now, self.ahead_seconds.load(Ordering::Relaxed)));
        let path = site.path(call.on_object.then_some(call.key.as_str()));
        let pairs: Vec<(String, String)> =
            call.query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let hash = payload_hash(call, integrity);
        let mut headers = call.headers.clone();
        let mut insert = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("dates, hashes and tokens are plain text");
            headers.insert(HeaderName::from_static(name), value);
        };
        insert("x-amz-date", &time.to_string());
        insert("x-amz-content-sha256", &hash);
        if let Some(token) = credentials.session_token.as_ref().filter(|token| is_plain(token)) {
            insert("x-amz-security-token", token);
        }
        let scope = Scope::new(&time, &site.region);
        let authority = site.origin.authority();
        let (signed, signature) = {
            let lines = lines(&headers, &authority);
            let request = sigv4::Request {
                method: call.method.as_str(),
                path: &path,
                query: &pairs,
                headers: &lines,
                payload_hash: &hash,
            };
            // The fewest that S3 demands: proxies on the way may change the others.
            let signed: Vec<String> = request.header_names().into_iter().filter(|name| is_signed(name)).collect();
            let signature = request.signature(&AWS4, &self.key(credentials, &scope), &time, &scope, &signed);
            (signed, signature)
        };
        let access_key_id = credentials.access_key_id.clone();
        let authorization = Authorization { access_key_id, scope, signed_headers: signed, signature }.header(&AWS4);
        if let Ok(mut value) = HeaderValue::from_str(&authorization) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Request {
            method: call.method.clone(),
            origin: site.origin.clone(),
            path,
            query: uri::write_query(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))),
            headers,
            body: Body::new(call.pieces.clone()),
            patience: if call.is_slow { PATIENCE_SLOW } else { PATIENCE },
        }
    }

    /// Takes over the store's time, if it differs enough to matter.
    pub fn learn_time(&self, store: SystemTime, now: SystemTime) -> bool {
        let ahead = match store.duration_since(now) {
            Ok(ahead) => i64::try_from(ahead.as_secs()).unwrap_or(i64::MAX),
            Err(behind) => -i64::try_from(behind.duration().as_secs()).unwrap_or(i64::MAX),
        };
        let before = self.ahead_seconds.swap(ahead, Ordering::Relaxed);
        tracing::warn!(
            ahead_seconds = ahead,
            "the clocks of this machine and of the store differ; signing by the store's"
        );
        ahead.saturating_sub(before).saturating_abs() >= SKEW_SECONDS_MIN
    }

    fn key(&self, credentials: &Credentials, scope: &Scope) -> SigningKey {
        let mut kept = self.key.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.as_ref() {
            Some((of, within, key)) if of == credentials && within == scope => key.clone(),
            Some(_) | None => {
                let key = SigningKey::derive(&AWS4, &credentials.secret, scope);
                *kept = Some((credentials.clone(), scope.clone(), key.clone()));
                key
            }
        }
    }
}

fn shifted(now: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { now.checked_sub(by).unwrap_or(now) } else { now.checked_add(by).unwrap_or(now) }
}

/// The headers as they are signed, with the one that the transport adds.
fn lines<'a>(headers: &'a HeaderMap, authority: &'a str) -> Vec<(&'a str, &'a str)> {
    let own =
        headers.iter().filter_map(|(name, value)| Some((name.as_str(), std::str::from_utf8(value.as_bytes()).ok()?)));
    own.chain([("host", authority)]).collect()
}

fn is_signed(name: &str) -> bool {
    matches!(name, "host" | "content-type" | "content-md5") || name.starts_with(AWS4.header_prefix)
}

fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn payload_hash(call: &Call, integrity: Integrity) -> String {
    let is_data = matches!(call.op, Op::PutObject | Op::PutPart);
    match integrity {
        _ if call.pieces.iter().all(bytes::Bytes::is_empty) => sigv4::EMPTY_SHA256.to_owned(),
        Integrity::Crc64Nvme | Integrity::Crc32c | Integrity::Md5 | Integrity::Transport if is_data => {
            sigv4::UNSIGNED_PAYLOAD.to_owned()
        }
        Integrity::Crc64Nvme | Integrity::Crc32c | Integrity::Md5 | Integrity::Transport | Integrity::SignedSha256 => {
            let mut sha256 = Sha256::new();
            for piece in &call.pieces {
                sha256.update(piece);
            }
            HEXLOWER.encode(&sha256.finalize())
        }
    }
}
