//! The fault matrix: every fault of the backend on every operation of the store trait, once and for good, in two dialects.
//!
//! The outcome is the right effect or a reported error, never a wrong success; healed, nothing unfinished remains.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::backend::SECRET;
use brigade::http::Origin;
use brigade::store::Condition;
use brigade::store::CopySource;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::ListObjects;
use brigade::store::Metadata;
use brigade::store::Part;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::Result;
use brigade::store::Store;
use brigade::store::UploadId;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::Credentials;
use brigade::store::layers::retry::Policy;
use brigade::store::layers::retry::Retry;
use brigade::store::provider::Addressing;
use brigade::store::provider::Provider;
use bytes::Bytes;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// What is done to a request, and whether a single one is overcome for sure.
const FAULTS: &[(&str, bool)] = &[
    ("fault = \"latency\"\ndelay = \"2ms\"\ndelay_max = \"9ms\"\nspread = \"long-tail\"", true),
    ("fault = \"bandwidth\"\nup = \"1MiB\"\ndown = \"1MiB\"", true),
    ("fault = \"clock-skew\"\nby = \"-20m\"", false),
    ("fault = \"status\"\nstatus = 500", true),
    ("fault = \"status\"\nstatus = 503", true),
    ("fault = \"status\"\nstatus = 429", true),
    ("fault = \"status\"\nstatus = 503\nretry_after = \"5s\"", false),
    ("fault = \"expired-credentials\"", false),
    ("fault = \"disk-full\"", true),
    ("fault = \"disk-full\"\nstatus = 503", true),
    ("fault = \"reset\"\nat = \"before-body\"", true),
    ("fault = \"reset\"\nat = \"in-body\"", true),
    ("fault = \"reset\"\nat = \"after-body\"", true),
    ("fault = \"reset\"\nat = \"in-answer\"", false),
    ("fault = \"lost-request\"", true),
    ("fault = \"lost-answer\"", true),
    ("fault = \"outage\"", true),
    ("fault = \"stall\"\ndelay = \"5ms\"", true),
    ("fault = \"truncated\"", false),
    ("fault = \"truncated\"\nannounced = true", false),
    ("fault = \"corrupted\"", false),
    ("fault = \"corrupted\"\nof = \"request\"", true),
    ("fault = \"error-in-200\"", true),
    ("fault = \"wrong-etag\"", false),
    ("fault = \"stale-listing\"\nbehind = 1", true),
];

/// Whether the client holds the bytes of a whole object to its checksum or tag. It does not: a body that is shorter than
/// the object with a `Content-Length` that agrees, and a bit that is flipped where TLS does not protect it, go unseen.
const DETECTS_ALTERED_BODIES: bool = false;

const OLD: &[u8] = b"what the object held before";
const NEW: &[u8] = b"what it is to hold from now on, which is longer";
const SOURCE: &[u8] = b"what is copied";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Call {
    HeadBucket,
    HeadObject,
    GetObject,
    GetRange,
    PutObject,
    PutAbsent,
    DeleteObject,
    DeleteObjects,
    CopyObject,
    ListObjects,
    CreateUpload,
    PutPart,
    CopyPart,
    CompleteUpload,
    AbortUpload,
    ListParts,
    ListUploads,
}

const CALLS: [Call; 17] = [
    Call::HeadBucket,
    Call::HeadObject,
    Call::GetObject,
    Call::GetRange,
    Call::PutObject,
    Call::PutAbsent,
    Call::DeleteObject,
    Call::DeleteObjects,
    Call::CopyObject,
    Call::ListObjects,
    Call::CreateUpload,
    Call::PutPart,
    Call::CopyPart,
    Call::CompleteUpload,
    Call::AbortUpload,
    Call::ListParts,
    Call::ListUploads,
];

struct Bench {
    // Stopped before the runtime is.
    backend: Backend,
    plain: Arc<dyn Store>,
    repeating: Arc<dyn Store>,
}

/// An upload with one part.
struct Begun {
    id: UploadId,
    part: Part,
}

fn payload(bytes: &'static [u8]) -> Payload {
    Payload::from(Bytes::from_static(bytes))
}

async fn content(store: &dyn Store, key: &str) -> Result<Option<Vec<u8>>> {
    let mut body = match store.get_object(key, None, None).await {
        Ok(got) => got.body,
        Err(error) if error.kind == Kind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut all = Vec::new();
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(Some(all))
}

impl Bench {
    fn new(provider: &'static Provider) -> Self {
        let backend = Backend::start();
        let options = Options {
            endpoint: Some(Origin::parse(&backend.endpoint()).unwrap()),
            addressing: Some(Addressing::Path),
            ..Options::new(BUCKET, provider)
        };
        let client = || Client::connect(options.clone(), Arc::new(Credentials::new(ACCESS_KEY_ID, SECRET))).unwrap();
        let millisecond = Duration::from_millis(1);
        let policy = Policy {
            attempts_max: 4,
            total: Duration::from_secs(3),
            first: millisecond,
            longest: 4 * millisecond,
            burst: u32::MAX,
            ..Policy::default()
        };
        Self { backend, plain: Arc::new(client()), repeating: Arc::new(Retry::new(Arc::new(client()), policy)) }
    }

    async fn prepare(&self) -> Begun {
        self.clean().await;
        for (key, bytes) in [("target", OLD), ("source", SOURCE)] {
            let headers = Headers::default();
            self.plain.put_object(key, payload(bytes), &headers, &Condition::None).await.unwrap();
        }
        self.plain.delete_object("fresh").await.unwrap();
        self.plain.delete_object("uploaded").await.unwrap();
        let id = self.plain.create_upload("uploaded", &Headers::default()).await.unwrap();
        let part = self.plain.put_part("uploaded", &id, PartNumber(1), payload(NEW)).await.unwrap();
        Begun { id, part }
    }

    async fn clean(&self) {
        for upload in self.plain.list_uploads("").await.unwrap() {
            self.plain.abort_upload(&upload.key, &upload.id).await.unwrap();
        }
        assert_eq!(self.plain.list_uploads("").await.unwrap(), [], "nothing unfinished remains");
    }

    /// Does it while the fault is there. What comes back is right, or this panics.
    async fn act(&self, call: Call, begun: &Begun, stale: bool, unseen: bool) -> Result<Option<Part>> {
        let (store, headers) = (&self.repeating, Headers::default());
        let own = Headers { metadata: Metadata::from([("mtime".to_owned(), "7".to_owned())]), ..Headers::default() };
        let source = CopySource { key: "source".to_owned(), if_match: None };
        match call {
            Call::HeadBucket => store.head_bucket().await?,
            Call::HeadObject => assert_eq!(store.head_object("target").await?.size, OLD.len() as u64),
            Call::GetObject => {
                let read = content(store.as_ref(), "target").await?;
                assert!(!DETECTS_ALTERED_BODIES && unseen || read.as_deref() == Some(OLD), "{read:?}");
            }
            Call::GetRange => {
                let mut body = store.get_object("target", Some(2..9), None).await?.body;
                let mut all = Vec::new();
                while let Some(piece) = body.next().await {
                    all.extend_from_slice(&piece?);
                }
                assert_eq!(all.len(), 7, "whole, or an error");
            }
            Call::PutObject => drop(store.put_object("target", payload(NEW), &headers, &Condition::None).await?),
            // Told from another writer's by the metadata, without which a refusal is believed.
            Call::PutAbsent => drop(store.put_object("fresh", payload(NEW), &own, &Condition::Absent).await?),
            Call::DeleteObject => store.delete_object("target").await?,
            Call::DeleteObjects => {
                let failed = store.delete_objects(&["target".to_owned(), "source".to_owned()]).await?;
                if let Some(error) = failed.into_iter().next() {
                    return Err(error);
                }
            }
            Call::CopyObject => drop(store.copy_object(&source, "target", None).await?),
            Call::ListObjects => {
                let listed = store.list_objects(&ListObjects::default()).await?.objects;
                let keys: Vec<_> = listed.into_iter().map(|object| object.key).collect();
                assert!(stale || keys == ["source", "target"], "{keys:?}");
            }
            Call::CreateUpload => drop(store.create_upload("uploaded", &headers).await?),
            Call::PutPart => {
                return store.put_part("uploaded", &begun.id, PartNumber(2), payload(SOURCE)).await.map(Some);
            }
            Call::CopyPart => {
                let range = 0..SOURCE.len() as u64;
                return store.copy_part("uploaded", &begun.id, PartNumber(2), &source, range).await.map(Some);
            }
            Call::CompleteUpload => {
                let parts = [begun.part.clone()];
                drop(store.complete_upload("uploaded", &begun.id, &parts, &Condition::None).await?);
            }
            Call::AbortUpload => store.abort_upload("uploaded", &begun.id).await?,
            Call::ListParts => {
                let parts = store.list_parts("uploaded", &begun.id).await?;
                assert_eq!(
                    parts.iter().map(|part| (part.number, part.size)).collect::<Vec<_>>(),
                    [(PartNumber(1), NEW.len() as u64)]
                );
            }
            Call::ListUploads => assert_eq!(store.list_uploads("").await?[0].id, begun.id),
        }
        Ok(None)
    }

    /// Looks past the fault at what has become of it.
    async fn check(&self, call: Call, begun: &Begun, done: &Result<Option<Part>>, lies: bool) {
        let at = |key: &'static str| async move { content(self.plain.as_ref(), key).await.unwrap() };
        let uploads = self.plain.list_uploads("").await.unwrap().len();
        let (key, old, new) = match call {
            Call::PutObject => ("target", Some(OLD), Some(NEW)),
            Call::PutAbsent => ("fresh", None, Some(NEW)),
            Call::DeleteObject | Call::DeleteObjects => ("target", Some(OLD), None),
            Call::CopyObject => ("target", Some(OLD), Some(SOURCE)),
            Call::CompleteUpload => ("uploaded", None, Some(NEW)),
            _ => ("target", Some(OLD), Some(OLD)),
        };
        let found = at(key).await;
        let found = found.as_deref();
        match done {
            Ok(_) => assert!(found == new, "it was said to be done: {found:?}"),
            Err(_) => assert!(found == new || found == old, "neither what was nor what is to be: {found:?}"),
        }
        match (call, done) {
            (Call::CreateUpload, Ok(_)) => assert!(uploads >= 2, "the upload that was begun is there"),
            (Call::AbortUpload | Call::CompleteUpload, Ok(_)) => assert_eq!(uploads, 0),
            // Only the last part may be this small, so that the second one stands for itself.
            (Call::PutPart | Call::CopyPart, Ok(Some(part))) if !lies => {
                let parts = [part.clone()];
                self.plain.complete_upload("uploaded", &begun.id, &parts, &Condition::None).await.unwrap();
                assert_eq!(at("uploaded").await.as_deref(), Some(SOURCE));
            }
            _ => {}
        }
    }
}

fn matrix(provider: &'static str) {
    let bench = Bench::new(Provider::named(provider).unwrap());
    let runtime = Runtime::new().unwrap();
    let (mut wrong, mut met_in_all) = (Vec::new(), 0);
    let bench = Arc::new(bench);
    for (fault, is_overcome) in FAULTS {
        for (often, times) in [("once", "\ntimes = 1"), ("always", "")] {
            let lacks = |call: &Call| *call == Call::PutAbsent && !bench.plain.facts().conditional_writes;
            for call in CALLS.into_iter().filter(|call| !lacks(call)) {
                let name = format!("{call:?} under {} {often}", fault.replace('\n', ", "));
                let begun = runtime.block_on(bench.prepare());
                bench.backend.set_faults(&format!("seed = 1\n[[rule]]\n{fault}{times}"));
                let (stale, tags_lie) = (fault.contains("stale"), fault.contains("wrong-etag"));
                let unseen = fault.ends_with("corrupted\"") || fault.contains("announced");
                let shared = Arc::clone(&bench);
                let ran = runtime.block_on(runtime.spawn(async move {
                    let done = shared.act(call, &begun, stale, unseen).await;
                    let met = shared.backend.faults_met();
                    shared.backend.set_faults("");
                    // What a client copies through itself is as it has read it.
                    let lies = tags_lie || !DETECTS_ALTERED_BODIES && unseen && call == Call::CopyPart;
                    shared.check(call, &begun, &done, lies).await;
                    (met, done.map(|_| ()).map_err(|error| error.to_string()))
                }));
                bench.backend.set_faults("");
                match ran {
                    Err(_) => wrong.push(name),
                    Ok((_, Err(error))) if *is_overcome && often == "once" => wrong.push(format!("{name}: {error}")),
                    Ok((met, _)) => met_in_all += met,
                }
            }
        }
    }
    runtime.block_on(bench.clean());
    assert_eq!(bench.backend.usage().uploads, 0);
    assert!(met_in_all > 500, "{met_in_all} faults were met: the matrix tries nothing");
    assert!(wrong.is_empty(), "{provider}, {} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_fault_on_every_call_in_s3_is_overcome_or_reported() {
    matrix("brigade");
}

#[test]
fn every_fault_on_every_call_in_jss_is_overcome_or_reported() {
    matrix("jss");
}
