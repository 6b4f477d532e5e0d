//! The client and the bundled backend in each dialect, with each signature and each way to protect bytes, and with what
//! a store may lack taken away.

use super::stores::BUCKET;
use super::stores::backend;
use super::stores::client;
use super::stores::over_a_lossy_line;
use super::suite;
use brigade::store::Facts;
use brigade::store::client::Options;
use brigade::store::provider::Addressing;
use brigade::store::provider::Integrity;
use brigade::store::provider::Provider;
use brigade::store::provider::Signature;
use std::sync::Arc;

fn provider(name: &str) -> &'static Provider {
    Provider::named(name).unwrap()
}

fn options(name: &str) -> Options {
    // The backend has an address and no name that buckets could stand before.
    Options { addressing: Some(Addressing::Path), ..Options::new(BUCKET, provider(name)) }
}

/// The row's figures with everything that a store may lack.
fn with_all(name: &str) -> Options {
    let facts = Facts {
        conditional_writes: true,
        multi_delete: true,
        copy_part: true,
        copy_conditions: true,
        ..provider(name).facts.clone()
    };
    Options { facts: Some(facts), ..options(name) }
}

/// The row's figures with nothing that a store may lack.
fn with_nothing(name: &str) -> Options {
    let facts = Facts {
        conditional_writes: false,
        multi_delete: false,
        copy_part: false,
        copy_conditions: false,
        move_object: false,
        ..provider(name).facts.clone()
    };
    Options { facts: Some(facts), ..options(name) }
}

async fn conforms(name: &str, options: Options) {
    let data = tempfile::tempdir().unwrap();
    let server = backend(data.path()).await;
    // Nothing is repeated here, so that no failure is hidden.
    suite(name, Arc::new(client(&server, options))).await;
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jss_conforms() {
    conforms("JSS as its row says", options("jss")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jss_conforms_with_all_that_the_backend_can_do() {
    conforms("JSS with all", with_all("jss")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jss_conforms_with_little() {
    let unprotected = Options { integrity: Some(Integrity::Transport), ..with_nothing("jss") };
    conforms("JSS with nothing", unprotected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jss_conforms_though_requests_and_answers_are_lost() {
    over_a_lossy_line("JSS over a lossy line", with_all("jss")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wos_conforms_with_its_first_signature() {
    conforms("WOS as its row says", options("wos")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wos_conforms_with_all_that_the_backend_can_do() {
    conforms("WOS with all", with_all("wos")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wos_conforms_with_little() {
    let unprotected = Options { integrity: Some(Integrity::Transport), ..with_nothing("wos") };
    conforms("WOS with nothing", unprotected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wos_conforms_with_its_current_signature() {
    let current = Options { signature: Some(Signature::Wos4), ..options("wos") };
    conforms("WOS, current signature", current).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wos_conforms_with_signed_bodies() {
    let signature = Some(Signature::Wos4);
    let signed = Options { signature, integrity: Some(Integrity::SignedSha256), ..with_all("wos") };
    conforms("WOS, signed bodies", signed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wos_conforms_though_requests_and_answers_are_lost() {
    over_a_lossy_line("WOS over a lossy line", with_all("wos")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jd_clouds_s3_conforms() {
    conforms("JD Cloud's S3 as its row says", options("jdcloud")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms_with_little() {
    conforms("S3 with nothing", with_nothing("s3")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s3_conforms_with_every_protection() {
    for integrity in [Integrity::Md5, Integrity::Crc32c, Integrity::SignedSha256] {
        let protected = Options { integrity: Some(integrity), ..options("s3") };
        conforms(&format!("S3 with {integrity:?}"), protected).await;
    }
}
