//! A request altered in anything that its signature covers is refused, in each scheme and place of signature.
//!
//! Left out knowingly: the older schemes do not sign parameters such as `prefix`, headers that are not their own but
//! `Content-MD5`, `Content-Type` and the date, nor the host beyond the bucket in it. Bodies are not seen here; they are
//! in `server::body` and in `tests/it/protocol/`.

use crate::server::auth::*;
use crate::server::dialect;
use crate::wire::date;
use crate::wire::sigv2;
use crate::wire::sigv2::JINGDONG;
use crate::wire::sigv2::Order;
use crate::wire::sigv2::WOS2;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::sigv4::WOS4;
use crate::wire::uri;
use proptest::prelude::*;
use proptest::sample::Index;

const KEY: &str = "AKIDEXAMPLE";
const SECRET: &str = "test-secret-key-0123456789abcdefghijklmn";
const REGION: &str = "cn-north-1";

fn now() -> SystemTime {
    AmzDate::parse("20240102T030405Z").unwrap().time()
}

fn keys() -> KeyRing {
    KeyRing::new(Keys { access_key_id: KEY.into(), secret: SECRET.into() })
}

/// How a request is signed.
#[derive(Clone, Copy, Debug)]
enum Signing {
    V4(&'static sigv4::Scheme),
    V4InUrl(&'static sigv4::Scheme),
    V2(&'static sigv2::Scheme),
    V2InUrl(&'static sigv2::Scheme),
}

const SIGNINGS: [Signing; 8] = [
    Signing::V4(&AWS4),
    Signing::V4InUrl(&AWS4),
    Signing::V4(&WOS4),
    Signing::V4InUrl(&WOS4),
    Signing::V2(&JINGDONG),
    Signing::V2InUrl(&JINGDONG),
    Signing::V2(&WOS2),
    Signing::V2InUrl(&WOS2),
];

impl Signing {
    fn prefix(self) -> &'static str {
        match self {
            Self::V4(scheme) | Self::V4InUrl(scheme) => scheme.header_prefix,
            Self::V2(scheme) | Self::V2InUrl(scheme) => scheme.header_prefix,
        }
    }
}

/// A request as it arrives: everything in it can be altered.
#[derive(Clone, Debug, PartialEq)]
struct Sent {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Sent {
    /// A part of an upload, with what each scheme signs of it.
    fn signed(signing: Signing) -> Self {
        let mut sent = Self {
            method: "PUT".into(),
            path: "/bkt/dir/key".into(),
            query: [("partNumber", "3"), ("uploadId", "0123ABCD")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            headers: vec![
                ("host".into(), "store.example".into()),
                ("content-md5".into(), "XrY7u+Ae7tCTyyK7j1rNww==".into()),
                ("content-type".into(), "text/plain".into()),
                (format!("{}meta-name", signing.prefix()), "value".into()),
                (format!("{}storage-class", signing.prefix()), "IA".into()),
            ],
        };
        match signing {
            Signing::V4(scheme) => sent.sign_v4(scheme),
            Signing::V4InUrl(scheme) => sent.sign_v4_in_url(scheme),
            Signing::V2(scheme) => sent.sign_v2(scheme),
            Signing::V2InUrl(scheme) => sent.sign_v2_in_url(scheme),
        }
        sent
    }

    fn view(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    fn sign_v4(&mut self, scheme: &sigv4::Scheme) {
        let (time, hash) = (AmzDate::new(now()), sigv4::sha256_hex(b"hello"));
        self.headers.push((format!("{}date", scheme.header_prefix), time.to_string()));
        self.headers.push((format!("{}content-sha256", scheme.header_prefix), hash.clone()));
        let (signature, signed_headers, scope) = self.signature_v4(scheme, &hash);
        let authorization = sigv4::Authorization { access_key_id: KEY.into(), scope, signed_headers, signature };
        self.headers.push(("authorization".into(), authorization.header(scheme)));
    }

    fn sign_v4_in_url(&mut self, scheme: &sigv4::Scheme) {
        let time = AmzDate::new(now());
        let headers = self.view();
        let request = sigv4::Request { method: "", path: "", query: &[], headers: &headers, payload_hash: "" };
        let mut presigned = sigv4::Presigned {
            access_key_id: KEY.into(),
            scope: Scope::new(&time, REGION),
            time,
            expires_seconds: 300,
            signed_headers: request.header_names(),
            security_token: None,
            signature: String::new(),
        };
        let own = self.query.clone();
        self.query.extend(presigned.query(scheme));
        presigned.signature = self.signature_v4(scheme, sigv4::UNSIGNED_PAYLOAD).0;
        self.query = own.into_iter().chain(presigned.signed_query(scheme)).collect();
    }

    fn signature_v4(&self, scheme: &sigv4::Scheme, payload_hash: &str) -> (String, Vec<String>, Scope) {
        let (time, headers) = (AmzDate::new(now()), self.view());
        let scope = Scope::new(&time, REGION);
        let (method, path, query) = (self.method.as_str(), self.path.as_str(), self.query.as_slice());
        let request = sigv4::Request { method, path, query, headers: &headers, payload_hash };
        let names = request.header_names();
        let key = SigningKey::derive(scheme, SECRET, &scope);
        (request.signature(scheme, &key, &time, &scope, &names), names, scope)
    }

    fn sign_v2(&mut self, scheme: &sigv2::Scheme) {
        let date = date::http(now());
        self.headers.push(("date".into(), date.clone()));
        let signature = self.signature_v2(scheme, &date);
        let authorization = sigv2::Authorization { access_key_id: KEY.into(), signature };
        self.headers.push(("authorization".into(), authorization.header(scheme)));
    }

    fn sign_v2_in_url(&mut self, scheme: &sigv2::Scheme) {
        let expires = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() + 300;
        let signature = self.signature_v2(scheme, &expires.to_string());
        self.query.extend(sigv2::Presigned::query(scheme, KEY, &expires.to_string(), &signature));
    }

    fn signature_v2(&self, scheme: &sigv2::Scheme, date: &str) -> String {
        let (headers, query) = (self.view(), self.query.as_slice());
        let (bucket, key) = (Some("bkt"), Some("dir/key"));
        sigv2::Request { method: &self.method, bucket, key, query, headers: &headers }.signature(
            scheme,
            SECRET,
            date,
            Order::Sorted,
        )
    }

    fn is_accepted(&self) -> bool {
        let headers = self.view();
        let authorization = headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| *value);
        let spoken = dialect::tell(authorization, &self.query, dialect::Site::Other, Dialect::S3);
        let Ok((bucket, key)) = crate::server::route::split(&dialect::Place::default(), &self.path) else {
            return false;
        };
        let received = Received {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &headers,
            now: now(),
            bucket: bucket.as_deref(),
            key: key.as_deref(),
            region: None,
        };
        authenticate(&keys(), &received, spoken).is_ok()
    }

    /// All texts that the scheme covers, or that carry its signature.
    fn covered(&mut self, signing: Signing) -> Vec<&mut String> {
        let mut texts = vec![&mut self.method, &mut self.path];
        for (name, value) in &mut self.query {
            texts.extend([name, value]);
        }
        let is_v2 = matches!(signing, Signing::V2(_) | Signing::V2InUrl(_));
        for (name, value) in self.headers.iter_mut().filter(|(name, _)| !is_v2 || name != "host") {
            // A header under another name is gone, and one more there that nobody signed; both count.
            texts.extend([name, value]);
        }
        texts
    }
}

/// Another character of the same kind, so that the request stays one that can be sent.
fn altered(byte: u8, by: u8) -> u8 {
    let within = |first: u8, size: u8| first + (byte - first + 1 + by % (size - 1)) % size;
    match byte {
        b'a'..=b'z' => within(b'a', 26),
        b'A'..=b'Z' => within(b'A', 26),
        b'0'..=b'9' => within(b'0', 10),
        other => {
            if other == b'.' {
                b'_'
            } else {
                b'.'
            }
        }
    }
}

#[test]
fn what_was_signed_is_accepted_as_it_is() {
    for signing in SIGNINGS {
        assert!(Sent::signed(signing).is_accepted(), "{signing:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_was_altered_in_one_byte_is_refused(
        which in 0..SIGNINGS.len(), text in any::<Index>(), at in any::<Index>(), by in any::<u8>(),
    ) {
        let signing = SIGNINGS[which];
        let sent = Sent::signed(signing);
        let mut other = sent.clone();
        let mut texts = other.covered(signing);
        let chosen = text.get_mut(&mut texts);
        let mut bytes = chosen.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = altered(bytes[at], by);
        **chosen = String::from_utf8(bytes).unwrap();
        // Names of headers are lower case by the time they are looked at.
        prop_assume!(other != sent && !is_another_spelling(&sent, &other));
        prop_assert!(!other.is_accepted(), "{:?}", other);
    }

    #[test]
    fn what_was_left_out_is_refused(which in 0..SIGNINGS.len(), at in any::<Index>()) {
        let sent = Sent::signed(SIGNINGS[which]);
        let is_v2 = matches!(SIGNINGS[which], Signing::V2(_) | Signing::V2InUrl(_));
        let count = sent.query.len() + sent.headers.len();
        let at = at.index(count);
        let mut other = sent.clone();
        match at.checked_sub(sent.query.len()) {
            None => drop(other.query.remove(at)),
            Some(at) => {
                prop_assume!(!is_v2 || other.headers[at].0 != "host");
                other.headers.remove(at);
            }
        }
        prop_assert!(!other.is_accepted(), "{:?}", other);
    }

    #[test]
    fn what_was_put_in_is_refused(which in 0..SIGNINGS.len(), name in "[a-z]{1,5}", in_query in any::<bool>()) {
        let signing = SIGNINGS[which];
        let mut other = Sent::signed(signing);
        let is_v2 = matches!(signing, Signing::V2(_) | Signing::V2InUrl(_));
        if in_query {
            // Of the older schemes only what selects an operation.
            let name = if is_v2 { "uploads".to_owned() } else { name };
            other.query.push((name, String::new()));
        } else {
            other.headers.push((format!("{}x-{name}", signing.prefix()), "1".into()));
        }
        prop_assert!(!other.is_accepted(), "{:?}", other);
    }

    #[test]
    fn a_request_is_good_for_its_time_only(which in 0..SIGNINGS.len(), minutes in 16u64..1000, early in any::<bool>()) {
        let sent = Sent::signed(SIGNINGS[which]);
        let headers = sent.view();
        let authorization = headers.iter().find(|(name, _)| *name == "authorization").map(|(_, value)| *value);
        let spoken = dialect::tell(authorization, &sent.query, dialect::Site::Other, Dialect::S3);
        // An older URL says only until when.
        prop_assume!(!early || !matches!(SIGNINGS[which], Signing::V2InUrl(_)));
        let minutes = Duration::from_secs(60 * minutes);
        let received = Received {
            method: &sent.method,
            path: &sent.path,
            query: &sent.query,
            headers: &headers,
            now: if early { now() - minutes } else { now() + minutes },
            bucket: Some("bkt"),
            key: Some("dir/key"),
            region: None,
        };
        prop_assert!(authenticate(&keys(), &received, spoken).is_err());
    }
}

/// Whether two requests say the same in the eyes of everybody: the letters of an escape may be of either case.
fn is_another_spelling(sent: &Sent, other: &Sent) -> bool {
    let same_path = uri::decode(&sent.path).is_ok_and(|path| uri::decode(&other.path) == Ok(path));
    same_path && Sent { path: sent.path.clone(), ..other.clone() } == *sent
}
