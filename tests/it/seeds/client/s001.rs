//! Wangsu, API version 2: "InitiateMultipartUpload".

use super::*;
use brigade::wire::sigv2::WOS2;

const ENDPOINT: &str = "http://s3-cn-east-1.wcsapi.com";
const OBJECT: Option<&str> = Some("dir/big.bin");

async fn recorded() -> Vec<Seen> {
    let recorder = Recorder::start(uploads(Documents::Wos)).await;
    let client = client(&recorder, "wos", ENDPOINT);
    upload(&client).await.unwrap();
    drop(client);
    recorder.finish().await
}

#[tokio::test]
async fn seed_001_03_the_id_serves_part_complete_list_and_abort() {
    let recorder = Recorder::start(uploads(Documents::Wos)).await;
    let client = client(&recorder, "wos", ENDPOINT);
    upload(&client).await.unwrap();
    let id = UploadId(ID.into());
    assert_eq!(client.list_parts("dir/big.bin", &id).await.unwrap(), [stored(1)]);
    client.abort_upload("dir/big.bin", &id).await.unwrap();
    let methods: Vec<String> = recorder.seen()[1..].iter().map(|seen| seen.method.clone()).collect();
    assert_eq!(methods, ["PUT", "PUT", "POST", "GET", "DELETE"]);
    for seen in &recorder.seen()[1..] {
        assert_eq!(seen.query_value("uploadId"), Some(ID));
        assert!(fits_v2(&WOS2, seen, OBJECT, &seen.query));
    }
}

#[tokio::test]
async fn seed_001_07_the_bucket_is_in_the_host() {
    for seen in recorded().await {
        assert_eq!(seen.believed_host, "my-bucket.s3-cn-east-1.wcsapi.com");
        assert_eq!(seen.path, "/dir/big.bin");
    }
}

#[tokio::test]
async fn seed_001_13_initiate_has_no_parameters_and_no_body() {
    let seen = recorded().await;
    assert_eq!((seen[0].method.as_str(), seen[0].query.as_str()), ("POST", "uploads"));
    assert!(seen[0].body.is_empty());
    assert_eq!(seen[0].header("content-length"), Some("0"));
}

#[tokio::test]
async fn seed_001_17_uploads_is_in_the_url_and_in_what_is_signed() {
    let seen = recorded().await;
    assert!(fits_v2(&WOS2, &seen[0], OBJECT, "uploads"));
    assert!(!fits_v2(&WOS2, &seen[0], OBJECT, ""), "it is signed");
    assert!(!fits_v2(&WOS2, &seen[0], OBJECT, "upload"), "and not misspelled");
}

#[tokio::test]
async fn seed_001_20_the_authorization_is_the_schemes_token_key_and_signature() {
    for seen in recorded().await {
        let value = seen.header("authorization").unwrap();
        let signature = value.strip_prefix("WOS AKID:").unwrap();
        assert_eq!(data_encoding::BASE64.decode(signature.as_bytes()).unwrap().len(), 20, "an HMAC-SHA1 in base64");
        assert!(fits_v2(&WOS2, &seen, OBJECT, &seen.query));
    }
}
