//! `brigade uploads`: listed, aborted and resumed, in each dialect.

use crate::backend::ACCESS_KEY_ID;
use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::backend::SECRET;
use crate::program::Ran;
use crate::program::brigade;
use crate::program::run;
use crate::speech::Speech;
use brigade::http::Origin;
use brigade::store::Headers;
use brigade::store::PartNumber;
use brigade::store::Payload;
use brigade::store::Store;
use brigade::store::UploadId;
use brigade::store::client;
use brigade::store::client::Client;
use brigade::store::credentials::Credentials;
use brigade::store::provider::Provider;
use bytes::Bytes;
use serde_json::Value;
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;

const PART_BYTES: usize = 5 << 20;

fn uploads(backend: &Backend, home: &TempDir, speech: Speech, what: &str, more: &[&str]) -> Ran {
    let mut command = brigade(home.path());
    backend.reach(&mut command);
    command.args(["uploads", what, &speech.source(BUCKET)]).args(more).args(speech.options());
    run(&mut command)
}

/// Begins an upload of which parts are there, each filled with its number.
fn begin(backend: &Backend, key: &str, parts: &[u32]) -> UploadId {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = client::Options {
        endpoint: Some(Origin::parse(&backend.endpoint()).unwrap()),
        region: Some("us-east-1".to_owned()),
        ..client::Options::new(BUCKET, Provider::brigade())
    };
    let keys = Credentials::new(ACCESS_KEY_ID.to_owned(), SECRET.to_owned());
    let store = Client::connect(options, Arc::new(keys)).unwrap();
    runtime.block_on(async {
        let id = store.create_upload(key, &Headers::default()).await.unwrap();
        for number in parts {
            let payload = Payload::from(Bytes::from(vec![u8::try_from(*number).unwrap(); PART_BYTES]));
            store.put_part(key, &id, PartNumber(*number), payload).await.unwrap();
        }
        id
    })
}

fn passes(speech: Speech) {
    let (backend, home) = (Backend::start(), TempDir::new().unwrap());
    let ran = uploads(&backend, &home, speech, "list", &[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "no unfinished uploads\n"), "{ran:#?}");
    let resumed = begin(&backend, "big", &[1, 3]);
    let named = begin(&backend, "named", &[]);
    begin(&backend, "last", &[]);
    let told: Value = serde_json::from_str(&uploads(&backend, &home, speech, "list", &["--json"]).stdout).unwrap();
    let rows = told["uploads"].as_array().unwrap();
    assert_eq!(rows.len(), 3, "{told:#}");
    let big = rows.iter().find(|row| row["key"] == "big").unwrap();
    assert_eq!((&big["bytes"], &big["parts"]), (&(2 * PART_BYTES).into(), &2.into()), "{speech:?}");
    assert_eq!(big["mount"], "unknown");

    let bytes: Vec<u8> = (1..=4u8).flat_map(|number| vec![number; PART_BYTES]).collect();
    let file = home.path().join("file");
    fs::write(&file, &bytes[..3 * PART_BYTES + 5]).unwrap();
    let ran = uploads(&backend, &home, speech, "resume", &[&resumed.0, file.to_str().unwrap()]);
    assert!(ran.status == 0 && ran.stdout.contains("2 parts were there, 2 sent"), "{speech:?}: {ran:#?}");
    assert_eq!((backend.usage().objects, backend.usage().uploads), (1, 2));

    uploads(&backend, &home, speech, "abort", &[]).refused(2, &["--older-than", "--all"]);
    uploads(&backend, &home, speech, "abort", &["nothing"]).refused(1, &["\"nothing\"", "uploads list"]);
    let ran = uploads(&backend, &home, speech, "abort", &["--older-than", "1h"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "nothing to abort\n"), "{ran:#?}");
    assert_eq!(uploads(&backend, &home, speech, "abort", &[&named.0]).status, 0);
    assert_eq!(backend.usage().uploads, 1);
    assert_eq!(uploads(&backend, &home, speech, "abort", &["--all"]).status, 0);
    assert_eq!(backend.usage().uploads, 0);
}

#[test]
fn uploads_are_shown_resumed_and_aborted_in_every_dialect() {
    Speech::ALL.into_iter().for_each(passes);
}
