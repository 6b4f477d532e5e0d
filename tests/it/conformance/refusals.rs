//! What the client says when it cannot get to its bucket: each cause is told apart, in one line.

use super::kind;
use super::pattern;
use super::stores::BUCKET;
use super::stores::backend;
use brigade::http::Origin;
use brigade::server::Server;
use brigade::store::Condition;
use brigade::store::Error;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::Payload;
use brigade::store::Store;
use brigade::store::client::Client;
use brigade::store::client::Options;
use brigade::store::credentials::Credentials;
use brigade::store::provider::Provider;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

fn client(addr: SocketAddr, bucket: &str, key: &str, secret: &str) -> Client {
    let origin = Origin::parse(&format!("http://{addr}")).unwrap();
    let options = Options { endpoint: Some(origin), ..Options::new(bucket, Provider::brigade()) };
    Client::connect(options, Arc::new(Credentials::new(key, secret))).unwrap()
}

async fn refusal(client: &Client) -> Error {
    let error = client.head_bucket().await.unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
    error
}

async fn start() -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().unwrap();
    let server = backend(data.path()).await;
    (data, server)
}

#[tokio::test]
async fn wrong_keys_and_buckets_are_told_apart() {
    let (_data, server) = start().await;
    let rows = [
        (BUCKET, "OTHER", "secret", Kind::BadCredentials, "InvalidAccessKeyId"),
        (BUCKET, "AKID", "other", Kind::BadCredentials, "SignatureDoesNotMatch"),
        ("absent", "AKID", "secret", Kind::NoSuchBucket, "NoSuchBucket"),
    ];
    for (bucket, key, secret, want, said) in rows {
        let error = refusal(&client(server.addr(), bucket, key, secret)).await;
        assert_eq!(error.kind, want, "{error}");
        assert!(error.message.contains(said), "{error}");
    }
    let unknown = client(server.addr(), "absent", "AKID", "secret");
    let put = unknown.put_object("k", Payload::default(), &Headers::default(), &Condition::None).await;
    assert_eq!(kind(put), Kind::NoSuchBucket);
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_is_refused_unread_tells_why() {
    let (_data, server) = start().await;
    let client = client(server.addr(), BUCKET, "AKID", "wrong");
    for _ in 0..5 {
        let payload = Payload::from(pattern(8 << 20));
        let put = client.put_object("k", payload, &Headers::default(), &Condition::None).await;
        assert_eq!(kind(put), Kind::BadCredentials);
    }
    server.shutdown().await;
}

#[tokio::test]
async fn no_endpoint_and_endpoints_that_are_not_s3_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let page: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>";
    let welcome: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 13\r\n\r\n<html></html>";
    let banner: &[u8] = b"SSH-2.0-OpenSSH_9.2\r\n";
    for (answer, said) in [(page, "404"), (welcome, "not what S3"), (banner, "does not speak HTTP")] {
        let client = client(addr, BUCKET, "AKID", "secret");
        let serve = async {
            let (mut socket, _) = listener.accept().await.unwrap();
            assert!(socket.read(&mut [0; 4096]).await.unwrap() > 0);
            socket.write_all(answer).await.unwrap();
            socket
        };
        let (_socket, error) = tokio::join!(serve, refusal(&client));
        assert_eq!(error.kind, Kind::Protocol, "{error}");
        assert!(error.message.contains(said), "{error}");
    }
    drop(listener);
    let error = refusal(&client(addr, BUCKET, "AKID", "secret")).await;
    assert_eq!((&error.kind, error.message), (&Kind::Network, format!("{addr}: connection refused")));
}
