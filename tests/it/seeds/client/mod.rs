//! What the pages ask of a client, row by row: what is really sent, seen by a server that only records.

mod recorder;
mod s000;
mod s001;
mod s002;
mod s003;
mod s004;

use brigade::base::clock;
use brigade::base::pool::Pool;
use brigade::http::Origin;
use brigade::store::Condition;
use brigade::store::ETag;
use brigade::store::Error;
use brigade::store::Facts;
use brigade::store::Headers;
use brigade::store::Part;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::Store;
use brigade::store::UploadId;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::Credentials;
use brigade::store::provider::Provider;
use brigade::wire::date;
use brigade::wire::date::AmzDate;
use brigade::wire::sigv2;
use brigade::wire::sigv4;
use brigade::wire::sigv4::AWS4;
use brigade::wire::sigv4::Scope;
use brigade::wire::sigv4::SigningKey;
use brigade::wire::uri;
use brigade::writer::schedule::Schedule;
use brigade::writer::stream::Context;
use brigade::writer::stream::Destination;
use brigade::writer::stream::Written;
use bytes::Bytes;
use recorder::Recorder;
use recorder::Reply;
use recorder::Seen;
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "AKID";
const SECRET: &str = "secret";
const BUCKET: &str = "my-bucket";
/// As many upload ids as the tests need; not one of them looks like a number or a name.
const ID: &str = "9E417328F6B89F0B";
const MIB: usize = 1 << 20;

/// A client of a provider that believes to speak to `endpoint`, and speaks to the recorder.
fn client(recorder: &Recorder, provider: &str, endpoint: &str) -> Client {
    let endpoint = Some(Origin::parse(endpoint).unwrap());
    let options = Options { endpoint, ..Options::new(BUCKET, Provider::named(provider).unwrap()) };
    Client::over(options, Arc::new(Credentials::new(KEY, SECRET)), recorder.line()).unwrap()
}

fn payload(length: usize) -> Payload {
    Payload::from(Bytes::from(vec![7; length]))
}

/// Begins, sends two parts, and completes.
async fn upload(client: &Client) -> Result<ETag, Error> {
    let id = client.create_upload("dir/big.bin", &Headers::default()).await?;
    let mut parts = Vec::new();
    for number in 1..=2 {
        parts.push(client.put_part("dir/big.bin", &id, PartNumber(number), payload(10)).await?);
    }
    client.complete_upload("dir/big.bin", &id, &parts, &Condition::None).await
}

/// Answers to the upload family as the dialect of `documents` gives them.
fn uploads(documents: Documents) -> impl Fn(&Seen) -> Reply + Send + Sync + 'static {
    move |seen| match (seen.method.as_str(), seen.query_value("uploads"), seen.query_value("partNumber")) {
        ("POST", Some(_), _) => Reply::ok(documents.initiated()),
        ("PUT", _, _) => Reply::ok("").with("etag", &seen.body_etag()),
        ("POST", None, _) => Reply::ok(documents.completed()),
        ("GET", _, _) => Reply::ok(documents.parts()),
        ("DELETE", _, _) => Reply::status(documents.abort_status()),
        (method, _, _) => panic!("{method} is not of an upload"),
    }
}

#[derive(Clone, Copy)]
enum Documents {
    S3,
    Wos,
    Jss,
}

impl Documents {
    fn initiated(self) -> String {
        match self {
            Self::S3 => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<InitiateMultipartUploadResult \
                 xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>my-bucket</Bucket><Key>dir/big.bin</Key>\
                 <UploadId>{ID}</UploadId></InitiateMultipartUploadResult>"
            ),
            Self::Wos => format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<InitiateMultipartUploadResult \
                 xmlns=\"https://www.wangsu.com/document\"><Bucket>my-bucket</Bucket><Key>dir/big.bin</Key>\
                 <UploadId>{ID}</UploadId></InitiateMultipartUploadResult>"
            ),
            Self::Jss => format!("{{\"Bucket\":\"my-bucket\",\"Key\":\"dir/big.bin\",\"UploadId\":\"{ID}\"}}"),
        }
    }

    fn completed(self) -> String {
        match self {
            Self::S3 => "<CompleteMultipartUploadResult><ETag>\"a-2\"</ETag></CompleteMultipartUploadResult>".into(),
            Self::Wos => "<CompleteMultipartUploadResult xmlns=\"https://www.wangsu.com/document\"><ETag>a-2</ETag>\
                          </CompleteMultipartUploadResult>"
                .into(),
            Self::Jss => "{\"Bucket\":\"b\",\"Key\":\"k\",\"ETag\":\"cfd2c35e44ba27d3c437a2866b025b6a\"}".into(),
        }
    }

    /// Part 1 is stored.
    fn parts(self) -> String {
        let (tag, date) = ("5eb63bbbe01eeed093cb22bb8f5acdc3", "2024-01-02T03:04:05.000Z");
        match self {
            Self::S3 | Self::Wos => format!(
                "<ListPartsResult><IsTruncated>false</IsTruncated><Part><PartNumber>1</PartNumber><LastModified>{date}\
                 </LastModified><ETag>\"{tag}\"</ETag><Size>11</Size></Part></ListPartsResult>"
            ),
            Self::Jss => format!(
                "{{\"Bucket\":\"b\",\"Key\":\"k\",\"UploadId\":\"{ID}\",\"Part\":[{{\"PartNumber\":1,\
                 \"LastModified\":\"Tue, 02 Jan 2024 03:04:05 GMT\",\"ETag\":\"{tag}\",\"Size\":11}}],\
                 \"StorageClass\":\"STANDARD\"}}"
            ),
        }
    }

    fn abort_status(self) -> u16 {
        match self {
            Self::S3 | Self::Jss => 204,
            Self::Wos => 200,
        }
    }
}

/// Checks Amazon's signature as a server would that sees what was sent; gives the scope's region.
fn verify_v4(seen: &Seen) -> String {
    let authorization = sigv4::Authorization::parse(&AWS4, seen.header("authorization").unwrap()).unwrap();
    assert_eq!(authorization.access_key_id, KEY);
    let mut headers = seen.header_lines();
    headers.retain(|(name, _)| *name != "host");
    headers.push(("host", seen.believed_host.as_str()));
    let query = uri::parse_query(&seen.query).unwrap();
    let request = sigv4::Request {
        method: &seen.method,
        path: &seen.path,
        query: &query,
        headers: &headers,
        payload_hash: seen.header("x-amz-content-sha256").unwrap(),
    };
    let time = AmzDate::parse(seen.header("x-amz-date").unwrap()).unwrap();
    is_now(time.time());
    let scope: Scope = authorization.scope.clone();
    let key = SigningKey::derive(&AWS4, SECRET, &scope);
    let want = request.signature(&AWS4, &key, &time, &scope, &authorization.signed_headers);
    assert_eq!(authorization.signature, want);
    for must in ["host", "x-amz-content-sha256", "x-amz-date"] {
        assert!(authorization.signed_headers.iter().any(|name| name == must), "{must} is not signed");
    }
    scope.region
}

/// Checks a signature of the older kind over what was sent, with the query as it is given.
fn fits_v2(scheme: &sigv2::Scheme, seen: &Seen, key: Option<&str>, query: &str) -> bool {
    let authorization = sigv2::Authorization::parse(scheme, seen.header("authorization").unwrap()).unwrap();
    assert_eq!(authorization.access_key_id, KEY);
    let date = seen.header("date").unwrap();
    assert!(date.ends_with(" GMT"), "{date}");
    is_now(date::parse_http(date).unwrap());
    let query = uri::parse_query(query).unwrap();
    let headers = seen.header_lines();
    let request = sigv2::Request { method: &seen.method, bucket: Some(BUCKET), key, query: &query, headers: &headers };
    request.signature(scheme, SECRET, date, sigv2::Order::AsSent) == authorization.signature
}

fn is_now(time: std::time::SystemTime) {
    let apart = clock::now().duration_since(time).unwrap_or_else(|error| error.duration());
    assert!(apart < Duration::from_secs(60), "{apart:?} from now");
}

/// A writer's surroundings: parts of `part_bytes` into `store`.
fn writing(store: Arc<dyn Store>, part_bytes: u64) -> Arc<Context> {
    let facts = Facts { part_bytes_min: part_bytes, ..store.facts().clone() };
    let schedule = Schedule::new(&facts, part_bytes, part_bytes);
    let pool = Pool::new(8 * part_bytes);
    Arc::new(Context {
        store,
        pool,
        runtime: tokio::runtime::Handle::current(),
        schedule,
        in_flight_max: 2,
        disk: None,
    })
}

/// Always the same key.
struct Fixed;

impl Destination for Fixed {
    fn peek(&self) -> Option<(String, Headers)> {
        self.describe(Written::All)
    }

    fn describe(&self, _written: Written) -> Option<(String, Headers)> {
        Some(("dir/big.bin".into(), Headers::default()))
    }

    fn stage(&self) -> (String, Headers) {
        unreachable!("a stream stages nothing")
    }
}

/// A body that is refused on its headers is not sent to its end, though nobody asked with `Expect`.
async fn a_refused_body_is_not_sent(provider: &str, endpoint: &str, documents: Documents) {
    let recorder = Recorder::start(move |_| Reply::early(403, documents.refusal())).await;
    let client = client(&recorder, provider, endpoint);
    let refused = client.put_part("k", &UploadId(ID.into()), PartNumber(1), payload(64 * MIB)).await;
    assert_eq!(refused.unwrap_err().kind, brigade::store::Kind::AccessDenied);
    drop(client);
    let [seen] = recorder.finish().await.try_into().unwrap();
    assert!(seen.body_bytes < 32 * MIB, "{} bytes were sent after the refusal", seen.body_bytes);
    no_other_expectation(&seen);
}

/// The pages know no other value than this one; a client that sends none waits for nothing.
fn no_other_expectation(seen: &Seen) {
    assert!(seen.header("expect").is_none_or(|value| value == "100-continue"), "{seen:?}");
}

impl Documents {
    fn refusal(self) -> String {
        match self {
            Self::S3 | Self::Wos => "<Error><Code>AccessDenied</Code><Message>no</Message></Error>".into(),
            Self::Jss => "{\"code\":\"AccessDenied\",\"message\":\"no\"}".into(),
        }
    }
}

/// The part numbers of the parts that were sent, in order.
fn numbers(seen: &[Seen]) -> Vec<&str> {
    let parts = seen.iter().filter(|seen| seen.method == "PUT");
    parts.filter_map(|seen| seen.query_value("partNumber")).collect()
}

/// What `list_parts` gives.
fn stored(number: u32) -> Part {
    let etag = ETag::new("5eb63bbbe01eeed093cb22bb8f5acdc3");
    Part { number: PartNumber(number), etag, size: 11, crc64nvme: None, crc32c: None }
}
