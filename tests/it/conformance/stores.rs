//! The stores that the suite is run against.

use super::suite;
use brigade::http::Origin;
use brigade::store::Facts;
use brigade::store::Store;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::AwsChain;
use brigade::store::layers::retry::Policy;
use brigade::store::layers::retry::Retry;
use brigade::store::layers::trace::Counters;
use brigade::store::layers::trace::Traced;
use brigade::store::memory::Memory;
use brigade::store::provider::Provider;
use std::env;
use std::sync::Arc;

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_conforms() {
    suite("the fake", Arc::new(Memory::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fake_with_small_parts_and_listed_metadata_conforms() {
    let facts = Facts { part_bytes_min: 16, listing_metadata: true, ..Facts::S3 };
    suite("the small fake", Arc::new(Memory::with_facts(facts))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_under_its_decorators_conforms() {
    suite("the decorated fake", decorated(Arc::new(Memory::new()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_endpoint_that_the_environment_names_conforms() {
    let (Ok(endpoint), Ok(bucket)) = (env::var("BRIGADE_TEST_ENDPOINT"), env::var("BRIGADE_TEST_BUCKET")) else {
        return;
    };
    let origin = Origin::parse(&endpoint).unwrap();
    let provider = match env::var("BRIGADE_TEST_PROVIDER") {
        Ok(name) => Provider::named(&name).expect("BRIGADE_TEST_PROVIDER is a known one"),
        Err(_) => Provider::of_endpoint(Some(&origin)),
    };
    let region = env::var("BRIGADE_TEST_REGION").ok();
    let options = Options { endpoint: Some(origin), region, ..Options::new(bucket, provider) };
    let client = Client::connect(options, Arc::new(AwsChain::new(None).await)).unwrap();
    suite(&endpoint, decorated(Arc::new(client))).await;
}

fn decorated(store: Arc<dyn Store>) -> Arc<dyn Store> {
    let traced = Traced::new(store, Arc::new(Counters::default()));
    Arc::new(Retry::new(Arc::new(traced), Policy::default()))
}
