//! The client over a transport that answers from a script: what it signs, what it learns, what it refuses to send.

mod dialects;

use super::*;
use crate::base::clock;
use crate::http::HeaderMap;
use crate::http::HeaderName;
use crate::http::HeaderValue;
use crate::http::Incoming;
use crate::http::Request;
use crate::http::Response;
use crate::http::StatusCode;
use crate::store::Body;
use crate::store::Condition;
use crate::store::Headers;
use crate::store::ListObjects;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::credentials::Credentials;
use crate::store::credentials::CredentialsProvider;
use crate::store::credentials::NoCredentials;
use crate::store::ops;
use crate::wire::date;
use crate::wire::date::AmzDate;
use crate::wire::etag::ETag;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Authorization;
use crate::wire::sigv4::SigningKey;
use crate::wire::uri;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;
use std::time::SystemTime;

type Scripted = http::Result<(u16, Vec<(&'static str, String)>, Vec<http::Result<Bytes>>)>;

/// Gives prepared answers in order, and keeps what was sent.
#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Scripted>>,
    sent: Mutex<Vec<Request>>,
    /// Headers beside those of the next answer, where their names are made up.
    heads: Mutex<Option<HeaderMap>>,
}

#[async_trait]
impl Transport for Script {
    async fn send(&self, request: Request) -> http::Result<Response> {
        self.sent.lock().unwrap().push(request);
        let (status, fields, pieces) = self.answers.lock().unwrap().pop_front().expect("an answer is prepared")?;
        let mut headers = self.heads.lock().unwrap().take().unwrap_or_default();
        for (name, value) in fields {
            headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
        }
        let body: Incoming = stream::iter(pieces).boxed();
        Ok(Response { status: StatusCode::from_u16(status).unwrap(), headers, body })
    }
}

impl Script {
    fn answer(&self, status: u16, headers: &[(&'static str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.script(Ok((status, headers, vec![Ok(Bytes::copy_from_slice(body.as_bytes()))])));
    }

    fn script(&self, answer: Scripted) {
        self.answers.lock().unwrap().push_back(answer);
    }

    fn sent(&self) -> Vec<Request> {
        std::mem::take(&mut *self.sent.lock().unwrap())
    }
}

fn keys() -> SharedCredentials {
    Arc::new(Credentials::new("AKID", "secret"))
}

fn client(provider: &str, endpoint: Option<&str>) -> (Arc<Script>, Client) {
    let endpoint = endpoint.map(|url| Origin::parse(url).unwrap());
    with(Options { endpoint, ..Options::new("my-bucket", Provider::named(provider).unwrap()) })
}

fn with(options: Options) -> (Arc<Script>, Client) {
    let script = Arc::new(Script::default());
    let client = Client::over(options, keys(), script.clone()).unwrap();
    (script, client)
}

fn local() -> (Arc<Script>, Client) {
    client("brigade", Some("http://127.0.0.1:9000"))
}

fn field<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    ops::text(&request.headers, name)
}

/// Verifies a request as a server would, from what is on the wire; gives the time that it was signed for.
fn verify(request: &Request, region: &str) -> SystemTime {
    verify_v4(&AWS4, request, region)
}

fn verify_v4(scheme: &'static sigv4::Scheme, request: &Request, region: &str) -> SystemTime {
    let own = |name: &str| format!("{}{name}", scheme.header_prefix);
    let authorization = Authorization::parse(scheme, field(request, "authorization").unwrap()).unwrap();
    assert_eq!((authorization.access_key_id.as_str(), authorization.scope.region.as_str()), ("AKID", region));
    let authority = request.origin.authority();
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), std::str::from_utf8(value.as_bytes()).unwrap()))
        .chain([("host", authority.as_str())])
        .collect();
    for (name, _) in headers.iter().filter(|(name, _)| name.starts_with(scheme.header_prefix) || *name == "host") {
        assert!(authorization.signed_headers.iter().any(|signed| signed == name), "{name} is not signed");
    }
    let query = uri::parse_query(&request.query).unwrap();
    let seen = sigv4::Request {
        method: request.method.as_str(),
        path: &request.path,
        query: &query,
        headers: &headers,
        payload_hash: field(request, &own("content-sha256")).unwrap(),
    };
    let time = AmzDate::parse(field(request, &own("date")).unwrap()).unwrap();
    let key = SigningKey::derive(scheme, "secret", &authorization.scope);
    let want = seen.signature(scheme, &key, &time, &authorization.scope, &authorization.signed_headers);
    assert_eq!(authorization.signature, want);
    time.time()
}

const LIST: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

fn payload(text: &'static str) -> Payload {
    Payload::from(Bytes::from_static(text.as_bytes()))
}

async fn put(client: &Client, key: &str) -> Result<ETag> {
    client.put_object(key, payload("123456789"), &Headers::default(), &Condition::None).await
}

#[tokio::test]
async fn buckets_are_addressed_as_the_provider_likes() {
    for (provider, endpoint, url) in [
        ("aws", None, "https://my-bucket.s3.us-east-1.amazonaws.com/a%20b"),
        ("s3", Some("https://store.example.com:8443"), "https://my-bucket.store.example.com:8443/a%20b"),
        ("s3", Some("http://10.0.0.1:9000"), "http://10.0.0.1:9000/my-bucket/a%20b"),
        ("brigade", Some("http://localhost:9000"), "http://localhost:9000/my-bucket/a%20b"),
    ] {
        let (script, client) = client(provider, endpoint);
        script.answer(204, &[], "");
        client.delete_object("a b").await.unwrap();
        let [request] = script.sent().try_into().unwrap();
        assert_eq!(format!("{}{}", request.origin, request.path), url);
        verify(&request, "us-east-1");
    }
}

#[tokio::test]
async fn every_request_is_signed_over_what_is_sent() {
    let (script, client) = local();
    let headers = Headers { metadata: [("note".to_owned(), "h\u{e9}  \"x\"".to_owned())].into(), ..Headers::default() };
    script.answer(200, &[("etag", "e")], "");
    client.put_object("目/a+b", payload("123456789"), &headers, &Condition::Absent).await.unwrap();
    script.answer(200, &[], LIST);
    client.list_objects(&ListObjects { prefix: "a b/+".into(), ..ListObjects::default() }).await.unwrap();
    let [put, list] = script.sent().try_into().unwrap();
    verify(&put, "us-east-1");
    verify(&list, "us-east-1");
    assert_eq!(put.path, "/my-bucket/%E7%9B%AE/a%2Bb");
    assert_eq!(list.path, "/my-bucket/");
    assert!(put.headers["authorization"].is_sensitive());
}

#[tokio::test]
async fn bodies_are_protected_as_the_row_says() {
    let sha256 = "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225";
    for (provider, endpoint, hash, crc) in [
        ("brigade", "http://127.0.0.1:9000", "UNSIGNED-PAYLOAD", Some("rosUhgp5mIg=")),
        ("s3", "http://127.0.0.1:9000", sha256, None),
        ("s3", "https://127.0.0.1:9000", "UNSIGNED-PAYLOAD", None),
        ("aws", "https://127.0.0.1:9000", "UNSIGNED-PAYLOAD", Some("rosUhgp5mIg=")),
    ] {
        let (script, client) = client(provider, Some(endpoint));
        script.answer(200, &[("etag", "e")], "");
        put(&client, "k").await.unwrap();
        let [request] = script.sent().try_into().unwrap();
        assert_eq!(field(&request, "x-amz-content-sha256"), Some(hash), "{provider} {endpoint}");
        assert_eq!(field(&request, "x-amz-checksum-crc64nvme"), crc, "{provider} {endpoint}");
    }
}

#[tokio::test]
async fn the_whole_object_is_checked_at_complete() {
    let (script, client) = local();
    let id = UploadId("u".into());
    let part =
        |number, crc64nvme| Part { number: PartNumber(number), etag: ETag::new("e"), size: 5, crc64nvme, crc32c: None };
    let done = "<CompleteMultipartUploadResult><ETag>e-2</ETag></CompleteMultipartUploadResult>";
    let crc = |text: &'static str| Some(checksum::of_payload(&payload(text)));
    for (second, want) in
        [(crc("67890"), crc("1234567890").map(|crc| checksum::crc64nvme_checksum(crc).base64())), (None, None)]
    {
        script.answer(200, &[], done);
        let parts = [part(1, crc("12345")), part(2, second)];
        client.complete_upload("k", &id, &parts, &Condition::None).await.unwrap();
        let [request] = script.sent().try_into().unwrap();
        assert_eq!(field(&request, "x-amz-checksum-crc64nvme"), want.as_deref());
    }
}

#[tokio::test]
async fn what_would_become_another_key_is_not_sent() {
    let (script, client) = local();
    for key in ["", ".", "a/../b", "..", &"k".repeat(1025)] {
        assert_eq!(put(&client, key).await.unwrap_err().kind, Kind::InvalidKey, "{key:?}");
    }
    assert!(script.sent().is_empty());
}

#[tokio::test]
async fn a_store_without_conditions_is_not_asked_for_any() {
    let (script, mut client) = local();
    client.facts.conditional_writes = false;
    let result = client.put_object("k", payload("1"), &Headers::default(), &Condition::Absent).await;
    assert_eq!(result.unwrap_err().kind, Kind::NotImplemented);
    assert!(script.sent().is_empty());
}

fn error(code: &str, more: &str) -> String {
    format!("<Error><Code>{code}</Code><Message>why</Message>{more}</Error>")
}

#[tokio::test]
async fn the_stores_clock_is_learnt() {
    let (script, client) = local();
    let theirs = clock::now() + Duration::from_secs(3600);
    script.answer(403, &[("date", &date::http(theirs))], &error("RequestTimeTooSkewed", ""));
    script.answer(204, &[], "");
    client.delete_object("k").await.unwrap();
    script.answer(204, &[], "");
    client.delete_object("k").await.unwrap();
    for (request, want) in script.sent().iter().zip([theirs - Duration::from_secs(3600), theirs, theirs]) {
        let signed = verify(request, "us-east-1");
        let apart = signed.duration_since(want).unwrap_or_else(|error| error.duration());
        assert!(apart < Duration::from_secs(60), "{apart:?}");
    }
    let now = client.now();
    assert!(now >= theirs - Duration::from_secs(2) && now < theirs + Duration::from_secs(60), "{now:?}");
    for _ in 0..2 {
        script.answer(403, &[("date", &date::http(theirs))], &error("RequestTimeTooSkewed", ""));
    }
    assert_eq!(client.delete_object("k").await.unwrap_err().kind, Kind::ClockSkew, "the clocks agree already");
    assert_eq!(script.sent().len(), 1);
}

#[tokio::test]
async fn the_buckets_region_is_learnt() {
    type Row = (u16, &'static [(&'static str, &'static str)], String);
    let rows: &[Row] = &[
        (301, &[("x-amz-bucket-region", "eu-west-1")], error("PermanentRedirect", "")),
        (400, &[], error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>")),
    ];
    for (status, headers, body) in rows {
        let (script, client) = client("aws", None);
        script.answer(*status, headers, body);
        script.answer(204, &[], "");
        client.delete_object("k").await.unwrap();
        let [_, second] = script.sent().try_into().unwrap();
        assert_eq!(second.origin.authority(), "my-bucket.s3.eu-west-1.amazonaws.com");
        verify(&second, "eu-west-1");
        script.answer(*status, headers, body);
        assert!(client.delete_object("k").await.is_err(), "the same again teaches nothing");
    }
}

/// Keys of a session that ends: each refusal gives the next.
struct Rolling(Mutex<u32>);

#[async_trait]
impl CredentialsProvider for Rolling {
    async fn credentials(&self) -> std::result::Result<Credentials, NoCredentials> {
        Ok(Credentials::new(format!("KEY{}", self.0.lock().unwrap()), "secret"))
    }

    async fn refused(&self, _refused: &Credentials) {
        *self.0.lock().unwrap() += 1;
    }
}

#[tokio::test]
async fn fresh_keys_are_taken_once() {
    let (script, mut client) = local();
    script.answer(403, &[], &error("InvalidAccessKeyId", ""));
    assert_eq!(client.delete_object("k").await.unwrap_err().kind, Kind::BadCredentials);
    assert_eq!(script.sent().len(), 1, "keys that cannot change are not tried again");
    client.credentials = Arc::new(Rolling(Mutex::new(1)));
    script.answer(400, &[], &error("ExpiredToken", ""));
    script.answer(204, &[], "");
    client.delete_object("k").await.unwrap();
    let names: Vec<bool> = script.sent().iter().map(|r| field(r, "authorization").unwrap().contains("KEY2/")).collect();
    assert_eq!(names, [false, true]);
    for _ in 0..2 {
        script.answer(400, &[], &error("ExpiredToken", ""));
    }
    assert_eq!(client.delete_object("k").await.unwrap_err().kind, Kind::BadCredentials);
}

#[tokio::test]
async fn a_head_that_is_refused_without_a_reason_is_tried_with_fresh_keys() {
    let (script, mut client) = local();
    client.credentials = Arc::new(Rolling(Mutex::new(1)));
    for status in [400, 401, 403] {
        script.answer(status, &[], "");
        script.answer(404, &[], "");
        assert_eq!(client.head_object("k").await.unwrap_err().kind, Kind::NotFound, "{status}");
        assert_eq!(script.sent().len(), 2, "{status}");
    }
    for _ in 0..2 {
        script.answer(403, &[], "");
    }
    assert_eq!(client.head_object("k").await.unwrap_err().kind, Kind::AccessDenied, "once is enough");
}

#[tokio::test]
async fn no_answer_says_whether_it_may_come_later() {
    for (kind, want) in [
        (http::ErrorKind::Connect, Kind::Network),
        (http::ErrorKind::Timeout, Kind::Network),
        (http::ErrorKind::Broken, Kind::Network),
        (http::ErrorKind::Tls, Kind::Protocol),
        (http::ErrorKind::NotHttp, Kind::Protocol),
        (http::ErrorKind::Url, Kind::InvalidKey),
    ] {
        let (script, client) = local();
        script.script(Err(http::Error::new(kind, "host: why")));
        let error = client.head_bucket().await.unwrap_err();
        assert_eq!((&error.kind, error.to_string()), (&want, "HeadBucket: host: why".to_owned()));
    }
}

async fn read(body: Body) -> (Vec<u8>, Option<Kind>) {
    let mut bytes = Vec::new();
    let mut failed = None;
    let mut body = body;
    while let Some(piece) = body.next().await {
        assert!(failed.is_none(), "nothing comes after an error");
        match piece {
            Ok(piece) => bytes.extend_from_slice(&piece),
            Err(error) => failed = Some(error.kind),
        }
    }
    (bytes, failed)
}

#[tokio::test]
async fn bodies_are_cut_to_what_was_asked_and_short_ones_fail() {
    let broken = || http::Error::new(http::ErrorKind::Broken, "cut");
    let piece = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    // What comes, of an object of ten bytes of which 3..6 were asked and all are sent.
    type Row = (Vec<http::Result<Bytes>>, &'static str, Option<Kind>);
    let rows: Vec<Row> = vec![
        (vec![piece("0123456789")], "345", None),
        (vec![piece("01"), piece("23"), piece(""), piece("4"), piece("56789")], "345", None),
        (vec![piece("012"), piece("34")], "34", Some(Kind::Network)),
        (vec![piece("01")], "", Some(Kind::Network)),
        (vec![piece("0123"), Err(broken())], "3", Some(Kind::Network)),
        (vec![piece("012345"), Err(broken())], "345", None),
    ];
    for (pieces, want, failed) in rows {
        let (script, client) = local();
        let headers = vec![("etag", "e".to_owned()), ("content-length", "10".to_owned())];
        script.script(Ok((200, headers, pieces)));
        let got = client.get_object("k", Some(3..6), None).await.unwrap();
        assert_eq!(read(got.body).await, (want.as_bytes().to_vec(), failed));
    }
}

#[tokio::test]
async fn a_store_without_multi_delete_is_asked_for_single_ones() {
    let (script, client) = local();
    script.answer(501, &[], &error("NotImplemented", ""));
    script.answer(204, &[], "");
    script.answer(204, &[], "");
    let keys = ["a".to_owned(), "b".to_owned()];
    assert!(client.delete_objects(&keys).await.unwrap().is_empty());
    script.answer(204, &[], "");
    script.answer(403, &[], &error("AccessDenied", ""));
    let failed = client.delete_objects(&keys).await.unwrap();
    assert_eq!(failed.iter().map(|error| &error.kind).collect::<Vec<_>>(), [&Kind::AccessDenied]);
    let methods: Vec<String> = script.sent().iter().map(|request| request.method.to_string()).collect();
    assert_eq!(methods, ["POST", "DELETE", "DELETE", "DELETE", "DELETE"]);
}

#[test]
fn options_that_lead_nowhere_are_refused() {
    let build = |options: Options| Client::over(options, keys(), Arc::new(Script::default())).err().map(|e| e.message);
    let local = || Options {
        endpoint: Some(Origin::parse("http://127.0.0.1:1").unwrap()),
        ..Options::new("b", Provider::brigade())
    };
    assert_eq!(build(local()), None);
    let message = build(Options { endpoint: None, ..local() }).unwrap();
    assert!(message.contains("needs an endpoint"), "{message}");
    for bucket in ["", "a/b", "..", "."] {
        let message = build(Options { bucket: bucket.into(), ..local() }).unwrap();
        assert!(message.contains("not the name of a bucket"), "{message}");
    }
    let by_host = Options { addressing: Some(Addressing::VirtualHost), ..local() };
    assert!(build(by_host).is_some(), "an address has no names below it");
    let aws = Options { region: Some("a b".into()), ..Options::new("b", Provider::named("aws").unwrap()) };
    assert!(build(aws).is_some());
}
