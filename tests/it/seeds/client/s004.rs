//! JD Cloud, S3-compatible API on `jcloudcs.com` (in Chinese): "Initiate Multipart Upload".

use super::*;
use brigade::store::Kind;

const ENDPOINT: &str = "http://s3.cn-east-2.jcloudcs.com";

async fn recorded() -> Vec<Seen> {
    let recorder = Recorder::start(uploads(Documents::S3)).await;
    let client = client(&recorder, "jdcloud", ENDPOINT);
    upload(&client).await.unwrap();
    drop(client);
    recorder.finish().await
}

#[tokio::test]
async fn seed_004_01_bucket_and_region_are_in_the_older_host_too() {
    for seen in recorded().await {
        assert_eq!(seen.believed_host, "my-bucket.s3.cn-east-2.jcloudcs.com");
        assert_eq!(seen.path, "/dir/big.bin");
    }
}

#[tokio::test]
async fn seed_004_02_requests_are_signed_for_its_region() {
    for seen in recorded().await {
        assert_eq!(verify_v4(&seen), "cn-east-2");
    }
}

#[tokio::test]
async fn seed_004_04_classes_that_this_host_lacks_are_never_sent() {
    let recorder = Recorder::start(uploads(Documents::S3)).await;
    let client = client(&recorder, "jdcloud", ENDPOINT);
    let with = |class: &str| Headers { storage_class: Some(class.into()), ..Headers::default() };
    for class in ["GLACIER", "STANDARD_IA"] {
        let refused = client.create_upload("k", &with(class)).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Invalid);
        let refused = client.put_object("k", payload(1), &with(class), &Condition::None).await.unwrap_err();
        assert!(refused.message.contains("STANDARD, REDUCED_REDUNDANCY"), "{refused}");
    }
    assert!(recorder.seen().is_empty());
    for class in ["STANDARD", "REDUCED_REDUNDANCY"] {
        client.create_upload("k", &with(class)).await.unwrap();
        assert_eq!(recorder.seen().last().unwrap().header("x-amz-storage-class"), Some(class));
    }
}

#[tokio::test]
async fn seed_004_05_no_body_is_sent_after_a_refusal() {
    a_refused_body_is_not_sent("jdcloud", ENDPOINT, Documents::S3).await;
}

#[tokio::test]
async fn seed_004_07_the_id_is_in_every_later_request() {
    let seen = recorded().await;
    assert!(seen[1..].iter().all(|seen| seen.query_value("uploadId") == Some(ID)));
    assert_eq!(numbers(&seen), ["1", "2"]);
}
