//! JD Cloud, S3-compatible API: "Upload Part".

use super::*;
use brigade::writer::stream::Stream;

const ENDPOINT: &str = "http://s3.cn-north-1.jdcloud-oss.com";

async fn part(bytes: usize) -> (Part, Seen) {
    let recorder = Recorder::start(uploads(Documents::S3)).await;
    let client = client(&recorder, "jdcloud", ENDPOINT);
    let part = client.put_part("dir/big.bin", &UploadId(ID.into()), PartNumber(7), payload(bytes)).await.unwrap();
    let [seen] = recorder.seen().try_into().unwrap();
    (part, seen)
}

#[tokio::test]
async fn seed_003_01_a_part_names_its_upload_and_number() {
    let (_, seen) = part(10).await;
    assert_eq!((seen.method.as_str(), seen.query), ("PUT", format!("partNumber=7&uploadId={ID}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn seed_003_07_a_write_that_fails_leaves_no_upload_behind() {
    let answers = uploads(Documents::S3);
    let recorder = Recorder::start(move |seen: &Seen| match seen.query_value("partNumber") {
        Some("2") => Reply::ok(Documents::S3.refusal()).with_status(403),
        _ => answers(seen),
    });
    let recorder = recorder.await;
    let store: Arc<dyn Store> = Arc::new(client(&recorder, "jdcloud", ENDPOINT));
    let stream = Stream::new(writing(store, MIB as u64), Arc::new(Fixed));
    for at in 0..3 {
        // Refused as soon as the failure is known.
        let _ = stream.write_waiting(at * MIB as u64, Bytes::from(vec![7; MIB])).await;
    }
    assert!(stream.commit(Condition::None).await.is_err());
    let seen = recorder.seen();
    let last = seen.last().unwrap();
    assert_eq!((last.method.as_str(), last.query.as_str()), ("DELETE", &*format!("uploadId={ID}")));
    assert!(!seen.iter().any(|seen| seen.method == "POST" && seen.query != "uploads"), "and nothing was completed");
}

#[tokio::test]
async fn seed_003_09_the_length_is_told() {
    for bytes in [0, 10, 3 * MIB] {
        let (part, seen) = part(bytes).await;
        assert_eq!(seen.header("content-length"), Some(bytes.to_string().as_str()));
        assert_eq!(seen.header("transfer-encoding"), None);
        assert_eq!(part.size, bytes as u64);
    }
}

#[tokio::test]
async fn seed_003_10_no_body_is_sent_after_a_refusal() {
    a_refused_body_is_not_sent("jdcloud", ENDPOINT, Documents::S3).await;
}

#[tokio::test]
async fn seed_003_11_the_body_is_the_bytes_and_nothing_else() {
    let (_, seen) = part(MIB).await;
    assert_eq!(seen.body, vec![7; MIB]);
    assert_eq!((seen.header("content-encoding"), seen.header("x-amz-decoded-content-length")), (None, None));
}

#[tokio::test]
async fn seed_003_14_the_tag_is_read_without_its_quotes() {
    let (part, seen) = part(10).await;
    assert_eq!(part.etag.quoted(), seen.body_etag());
    assert!(part.etag.md5().is_some());
}
