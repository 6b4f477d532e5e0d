//! The stores that the suite is run against.

use super::lossy::Lossy;
use super::suite;
use brigade::http;
use brigade::http::Origin;
use brigade::server;
use brigade::server::Server;
use brigade::server::keys::Keys;
use brigade::store::Dialect;
use brigade::store::Facts;
use brigade::store::Store;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::AwsChain;
use brigade::store::credentials::Credentials;
use brigade::store::credentials::SharedCredentials;
use brigade::store::layers::retry::Policy;
use brigade::store::layers::retry::Retry;
use brigade::store::layers::trace::Counters;
use brigade::store::layers::trace::Traced;
use brigade::store::memory::Memory;
use brigade::store::probe::checksums;
use brigade::store::provider::Integrity;
use brigade::store::provider::Provider;
use std::env;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_conforms() {
    suite("the fake", Arc::new(Memory::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fake_with_small_parts_and_listed_metadata_conforms() {
    let facts = Facts { part_bytes_min: 16, listing_metadata: true, move_object: true, ..Facts::S3 };
    suite("the small fake", Arc::new(Memory::with_facts(facts))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_under_its_decorators_conforms() {
    suite("the decorated fake", decorated(Arc::new(Memory::new()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_and_the_bundled_backend_conform() {
    let data = tempfile::tempdir().unwrap();
    let server = backend(data.path()).await;
    // Nothing is repeated here, so that no failure is hidden.
    suite("the backend", Arc::new(client(&server, Options::new(BUCKET, Provider::brigade())))).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_conforms_as_it_speaks_to_unknown_stores() {
    let data = tempfile::tempdir().unwrap();
    let server = backend(data.path()).await;
    let generic = Provider::named("s3").unwrap();
    suite("the backend as any store", Arc::new(client(&server, Options::new(BUCKET, generic)))).await;
    let unsigned = Options { integrity: Some(Integrity::Transport), ..Options::new(BUCKET, generic) };
    suite("the backend without checksums", Arc::new(client(&server, unsigned))).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_compares_checksums_is_told_from_one_that_is_sent_none() {
    let data = tempfile::tempdir().unwrap();
    let server = backend(data.path()).await;
    for (integrity, compares) in
        [(Integrity::Crc64Nvme, true), (Integrity::Crc32c, false), (Integrity::Transport, false)]
    {
        let options = Options { integrity: Some(integrity), ..Options::new(BUCKET, Provider::named("s3").unwrap()) };
        let client = client(&server, options);
        assert_eq!(checksums::compares_crc64nvme(&client, "").await.unwrap(), compares, "{integrity:?}");
        let usage = server.usage(BUCKET).await.unwrap();
        assert_eq!((usage.objects, usage.uploads), (0, 0), "{integrity:?}");
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_conforms_though_requests_and_answers_are_lost() {
    over_a_lossy_line("the backend over a lossy line", Options::new(BUCKET, Provider::brigade())).await;
}

/// Runs the suite with a client that loses every fourth request or its answer.
pub(super) async fn over_a_lossy_line(name: &str, options: Options) {
    let data = tempfile::tempdir().unwrap();
    let server = backend(data.path()).await;
    let origin = Origin::parse(&format!("http://{}", server.addr())).unwrap();
    let network = http::client::Client::new(&origin).unwrap();
    let lossy = Arc::new(Lossy::new(network, 4));
    let options = Options { endpoint: Some(origin), ..options };
    let client = Client::over(options, keys(), lossy.clone()).unwrap();
    let millisecond = Duration::from_millis(1);
    let policy = Policy { first: millisecond, longest: 5 * millisecond, burst: u32::MAX, ..Policy::default() };
    suite(name, Arc::new(Retry::new(Arc::new(client), policy))).await;
    assert!(lossy.lost() > 100, "{} of all requests were lost", lossy.lost());
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_endpoint_that_the_environment_names_conforms() {
    let (Ok(endpoint), Ok(bucket)) = (env::var("BRIGADE_TEST_ENDPOINT"), env::var("BRIGADE_TEST_BUCKET")) else {
        return;
    };
    let origin = Origin::parse(&endpoint).unwrap();
    let provider = match env::var("BRIGADE_TEST_PROVIDER") {
        Ok(name) => Provider::named(&name).expect("BRIGADE_TEST_PROVIDER is a known one"),
        Err(_) => Provider::of_endpoint(Dialect::S3, Some(&origin)),
    };
    let region = env::var("BRIGADE_TEST_REGION").ok();
    let options = Options { endpoint: Some(origin), region, ..Options::new(bucket, provider) };
    let client = Client::connect(options, Arc::new(AwsChain::new(None))).unwrap();
    suite(&endpoint, decorated(Arc::new(client))).await;
}

fn decorated(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let traced = Traced::new(store, Arc::new(Counters::default()));
    Arc::new(Retry::new(Arc::new(traced), Policy::default()))
}

pub(super) const BUCKET: &str = "conformance";

pub(super) async fn backend(data: &Path) -> Server {
    let keys = Keys { access_key_id: "AKID".into(), secret: "secret".into() };
    let options = server::Options { buckets: vec![BUCKET.into()], sync: false, ..server::Options::new(data, keys) };
    Server::start(options).await.unwrap()
}

pub(super) fn client(server: &Server, options: Options) -> Client {
    let origin = Origin::parse(&format!("http://{}", server.addr())).unwrap();
    let options = Options { endpoint: Some(origin), ..options };
    Client::connect(options, keys()).unwrap()
}

fn keys() -> SharedCredentials {
    Arc::new(Credentials::new("AKID", "secret"))
}
