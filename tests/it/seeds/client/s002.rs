//! JD Cloud's older API ("JSS"): "InitiateMultipartUpload".

use super::*;
use brigade::store::layers::retry::Policy;
use brigade::store::layers::retry::Retry;
use brigade::wire::sigv2::JINGDONG;
use brigade::writer::stream::Stream;
use std::sync::Mutex;

const ENDPOINT: &str = "http://s.jcloud.com";
const OBJECT: Option<&str> = Some("dir/big.bin");
const PART: u64 = MIB as u64;

async fn recorded() -> Vec<Seen> {
    let recorder = Recorder::start(uploads(Documents::Jss)).await;
    let client = client(&recorder, "jss", ENDPOINT);
    upload(&client).await.unwrap();
    drop(client);
    recorder.finish().await
}

#[tokio::test]
async fn seed_002_01_an_upload_goes_on_from_its_id_with_the_parts_that_are_missing() {
    let recorder = Recorder::start(uploads(Documents::Jss)).await;
    let id = UploadId(ID.into());
    // A client that has only the id, as after a restart.
    let client = client(&recorder, "jss", ENDPOINT);
    let mut parts = client.list_parts("dir/big.bin", &id).await.unwrap();
    assert_eq!(parts, [stored(1)]);
    parts.push(client.put_part("dir/big.bin", &id, PartNumber(2), payload(10)).await.unwrap());
    client.complete_upload("dir/big.bin", &id, &parts, &Condition::None).await.unwrap();
    let seen = recorder.seen();
    assert_eq!(numbers(&seen), ["2"], "what is there is not sent again");
    let complete = String::from_utf8(seen.last().unwrap().body.clone()).unwrap();
    assert!(
        complete.starts_with(r#"{"Part":[{"PartNumber":1,"ETag":"5eb63bbbe01eeed093cb22bb8f5acdc3"},"#),
        "{complete}"
    );
}

/// Writes `bytes` through a writer in pieces, none of which says how many will follow.
async fn write(store: Arc<dyn Store>, part_bytes: u64, bytes: u64) {
    let stream = Stream::new(writing(store, part_bytes), Arc::new(Fixed));
    let piece = Bytes::from(vec![7; 64 << 10]);
    let mut at = 0;
    while at < bytes {
        let count = (bytes - at).min(piece.len() as u64);
        stream.write_waiting(at, piece.slice(..usize::try_from(count).unwrap())).await.unwrap();
        at += count;
    }
    stream.commit(Condition::None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_002_02_a_large_file_is_sent_in_parts() {
    let recorder = Recorder::start(uploads(Documents::Jss)).await;
    let bytes = 500_000_000;
    write(Arc::new(client(&recorder, "jss", ENDPOINT)), 64 * PART, bytes).await;
    let seen = recorder.seen();
    let parts: Vec<&Seen> = seen.iter().filter(|seen| seen.method == "PUT").collect();
    assert!(parts.iter().all(|seen| seen.query_value("partNumber").is_some()), "no put of a whole object");
    assert_eq!(parts.len() as u64, bytes.div_ceil(64 * PART));
    assert_eq!(parts.iter().map(|seen| seen.body_bytes as u64).sum::<u64>(), bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_002_03_only_the_part_that_was_cut_is_sent_again() {
    let answers = uploads(Documents::Jss);
    let cut = Mutex::new(false);
    let recorder = Recorder::start(move |seen: &Seen| {
        let is_first_third = seen.query_value("partNumber") == Some("3") && !*cut.lock().unwrap();
        if is_first_third {
            *cut.lock().unwrap() = true;
            return Reply::cut();
        }
        answers(seen)
    });
    let recorder = recorder.await;
    let quick = Policy { first: Duration::from_millis(1), ..Policy::default() };
    let store = Retry::new(Arc::new(client(&recorder, "jss", ENDPOINT)), quick);
    write(Arc::new(store), PART, 5 * PART).await;
    let seen = recorder.seen();
    let mut sent = numbers(&seen);
    sent.sort_unstable();
    assert_eq!(sent, ["1", "2", "3", "3", "4", "5"]);
    assert_eq!(seen.iter().filter(|seen| seen.query == "uploads").count(), 1, "and within the same upload");
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_002_04_parts_go_out_before_the_size_is_known() {
    let recorder = Recorder::start(uploads(Documents::Jss)).await;
    let store: Arc<dyn Store> = Arc::new(client(&recorder, "jss", ENDPOINT));
    let stream = Stream::new(writing(store, PART), Arc::new(Fixed));
    let piece = Bytes::from(vec![7; MIB]);
    // More than all memory there is, which can only be taken when parts have left.
    for at in 0..20 {
        stream.write_waiting(at * PART, piece.clone()).await.unwrap();
    }
    assert!(!numbers(&recorder.seen()).is_empty(), "nobody has said where the file ends");
    stream.commit(Condition::None).await.unwrap();
    assert_eq!(numbers(&recorder.seen()).len(), 20);
}

#[tokio::test]
async fn seed_002_05_the_id_drives_part_combine_terminate_and_list() {
    let recorder = Recorder::start(uploads(Documents::Jss)).await;
    let client = client(&recorder, "jss", ENDPOINT);
    upload(&client).await.unwrap();
    let id = UploadId(ID.into());
    assert_eq!(client.list_parts("dir/big.bin", &id).await.unwrap(), [stored(1)]);
    client.abort_upload("dir/big.bin", &id).await.unwrap();
    let seen = recorder.seen();
    let lines: Vec<String> = seen.iter().map(|seen| format!("{} {}", seen.method, seen.query)).collect();
    let with_id = |rest: &str| format!("{rest}uploadId={ID}");
    let want = ["POST uploads".to_owned()]
        .into_iter()
        .chain(["PUT partNumber=1&", "PUT partNumber=2&", "POST ", "GET ", "DELETE "].map(with_id));
    assert_eq!(lines, want.collect::<Vec<_>>());
}

#[tokio::test]
async fn seed_002_06_both_hosts_are_understood() {
    for host in ["s.jcloud.com", "s-bj.jcloud.com"] {
        for (endpoint, path) in
            [(host.to_owned(), "/my-bucket/dir/big.bin"), (format!("my-bucket.{host}"), "/dir/big.bin")]
        {
            let recorder = Recorder::start(uploads(Documents::Jss)).await;
            let client = client(&recorder, "jss", &format!("http://{endpoint}"));
            upload(&client).await.unwrap();
            let seen = &recorder.seen()[0];
            assert_eq!((seen.believed_host.as_str(), seen.path.as_str()), (endpoint.as_str(), path));
            assert_eq!((seen.method.as_str(), seen.query.as_str()), ("POST", "uploads"));
            assert!(fits_v2(&JINGDONG, seen, OBJECT, "uploads"), "bucket and key are signed, wherever they stand");
        }
    }
}

#[tokio::test]
async fn seed_002_12_uploads_is_signed() {
    let seen = recorded().await;
    assert!(fits_v2(&JINGDONG, &seen[0], OBJECT, "uploads"));
    assert!(!fits_v2(&JINGDONG, &seen[0], OBJECT, ""));
}

#[tokio::test]
async fn seed_002_14_the_id_is_known_before_the_first_part() {
    let seen = recorded().await;
    assert_eq!(seen[0].query, "uploads");
    assert!(seen[1..].iter().all(|seen| seen.query_value("uploadId") == Some(ID)));
}

#[tokio::test]
async fn seed_002_15_the_authorization_is_jingdong_and_the_date_is_gmt() {
    for seen in recorded().await {
        let value = seen.header("authorization").unwrap();
        let signature = value.strip_prefix("jingdong AKID:").unwrap();
        assert_eq!(data_encoding::BASE64.decode(signature.as_bytes()).unwrap().len(), 20, "an HMAC-SHA1 in base64");
        assert!(seen.header("date").unwrap().ends_with(" GMT"));
        assert!(fits_v2(&JINGDONG, &seen, OBJECT, &seen.query));
    }
}
