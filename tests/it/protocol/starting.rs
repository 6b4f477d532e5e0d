//! Starting and ending a server: what it says when it cannot start, and what is left when it ends.

use crate::protocol::raw::KEY;
use crate::protocol::raw::SECRET;
use brigade::server::Error;
use brigade::server::Options;
use brigade::server::Server;
use brigade::server::keys::Keys;
use std::path::Path;
use tempfile::TempDir;

fn options(data: &Path) -> Options {
    let keys = Keys { access_key_id: KEY.into(), secret: SECRET.into() };
    Options { buckets: vec!["bkt".into()], ..Options::new(data, keys) }
}

async fn refusal(options: Options) -> Error {
    let refused = Server::start(options).await.err().expect("it cannot start");
    let message = refused.to_string();
    assert!(!message.contains('\n') && message.len() > 40, "one line that helps: {message}");
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn each_obstacle_has_an_error_of_its_own() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let first = Server::start(options(&data)).await.unwrap();
    let again = refusal(options(&data)).await;
    assert!(matches!(&again, Error::InUse { holder, .. } if *holder == std::process::id().to_string()), "{again}");
    let taken = refusal(Options { listen: first.addr(), ..options(&dir.path().join("other")) }).await;
    assert!(matches!(taken, Error::Listen { .. }), "{taken}");
    let foreign = dir.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("photo.jpg"), "").unwrap();
    let not_ours = refusal(options(&foreign)).await;
    assert!(matches!(&not_ours, Error::NotData { found, .. } if found == "photo.jpg"), "{not_ours}");
    assert_eq!(std::fs::read_dir(&foreign).unwrap().count(), 1, "nothing was written into it");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(refusal(options(&file)).await, Error::Directory { .. }));
    assert!(matches!(refusal(options(&file.join("below"))).await, Error::Directory { .. }));
    let damaged = dir.path().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("index.redb"), "not an index").unwrap();
    assert!(matches!(refusal(options(&damaged)).await, Error::Index { .. }));
    let keyless = dir.path().join("keyless");
    std::fs::create_dir(&keyless).unwrap();
    std::fs::write(keyless.join("encryption-key"), "not a key").unwrap();
    let no_key = refusal(options(&keyless)).await;
    assert!(matches!(no_key, Error::Key(_)), "{no_key}");
    assert_eq!(std::fs::read(keyless.join("encryption-key")).unwrap(), b"not a key");
    let bad = Options { buckets: vec!["Bad_Name".into()], ..options(&dir.path().join("third")) };
    assert!(matches!(refusal(bad).await, Error::BucketName(_)));
    first.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_has_ended_leaves_its_data_free() {
    let dir = TempDir::new().unwrap();
    for _ in 0..10 {
        let server = Server::start(options(dir.path())).await.unwrap();
        server.shutdown().await;
    }
    // Also without a proper end.
    drop(Server::start(options(dir.path())).await.unwrap());
}
