//! JD Cloud, S3-compatible API on `jdcloud-oss.com`: "Initiate Multipart Upload".

use super::*;

const ENDPOINT: &str = "http://s3.cn-south-1.jdcloud-oss.com";

async fn recorded() -> Vec<Seen> {
    let recorder = Recorder::start(uploads(Documents::S3)).await;
    let client = client(&recorder, "jdcloud", ENDPOINT);
    upload(&client).await.unwrap();
    drop(client);
    recorder.finish().await
}

#[tokio::test]
async fn seed_000_01_a_post_to_the_key_gives_the_id() {
    let recorder = Recorder::start(uploads(Documents::S3)).await;
    let client = client(&recorder, "jdcloud", ENDPOINT);
    let id = client.create_upload("dir/big.bin", &Headers::default()).await.unwrap();
    drop(client);
    assert_eq!(id.0, ID);
    let seen = recorder.finish().await;
    let [initiate] = seen.as_slice() else { panic!("one request: {seen:?}") };
    assert_eq!((initiate.method.as_str(), initiate.path.as_str()), ("POST", "/dir/big.bin"));
    assert_eq!(initiate.query, "uploads");
}

#[tokio::test]
async fn seed_000_03_the_id_is_in_every_later_request() {
    let seen = recorded().await;
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0].query_value("uploadId"), None);
    assert!(seen[1..].iter().all(|seen| seen.query_value("uploadId") == Some(ID)), "{seen:?}");
}

#[tokio::test]
async fn seed_000_04_bucket_and_region_are_in_the_host() {
    for seen in recorded().await {
        assert_eq!(seen.believed_host, "my-bucket.s3.cn-south-1.jdcloud-oss.com");
        assert_eq!(seen.path, "/dir/big.bin");
        assert_eq!(verify_v4(&seen), "cn-south-1", "the region of the scope is the host's");
    }
}

#[tokio::test]
async fn seed_000_05_requests_are_signed_and_dated() {
    for seen in recorded().await {
        verify_v4(&seen);
        let date = seen.header("date").unwrap();
        assert!(date.ends_with(" GMT"), "{date}");
        is_now(date::parse_http(date).unwrap());
    }
}

#[tokio::test]
async fn seed_000_06_initiate_has_no_parameters_and_no_body() {
    let seen = recorded().await;
    assert_eq!((seen[0].method.as_str(), seen[0].query.as_str()), ("POST", "uploads"));
    assert!(seen[0].body.is_empty());
}

#[tokio::test]
async fn seed_000_07_the_length_of_nothing_is_told() {
    let seen = recorded().await;
    assert_eq!(seen[0].header("content-length"), Some("0"));
    assert_eq!(seen[0].header("transfer-encoding"), None);
}

#[tokio::test]
async fn seed_000_11_no_body_is_sent_after_a_refusal() {
    a_refused_body_is_not_sent("jdcloud", ENDPOINT, Documents::S3).await;
    recorded().await.iter().for_each(no_other_expectation);
}

#[tokio::test]
async fn seed_000_15_the_id_is_read_in_both_spellings() {
    for name in ["UploadId", "UploadID"] {
        let answer = Documents::S3.initiated().replace("UploadId", name);
        let recorder = Recorder::start(move |_| Reply::ok(answer.clone())).await;
        let id = client(&recorder, "jdcloud", ENDPOINT).create_upload("k", &Headers::default()).await.unwrap();
        assert_eq!(id.0, ID);
    }
}
