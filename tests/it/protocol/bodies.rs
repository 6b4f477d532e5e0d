//! Bodies in every form that SDKs send them, right and wrong.

use crate::protocol::raw::Ask;
use crate::protocol::raw::Running;
use brigade::wire::sigv4;

const HELLO: &[u8] = b"hello world";

#[test]
fn each_digest_is_compared_and_nothing_wrong_is_stored() {
    let running = Running::start();
    let right = [
        ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww=="),
        ("x-amz-checksum-crc32", "DUoRhQ=="),
        ("x-amz-checksum-crc32c", "yZRlqg=="),
        ("x-amz-checksum-crc64nvme", "jSnVw/bqjr4="),
        ("x-amz-checksum-sha1", "Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
        ("x-amz-checksum-sha256", "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="),
    ];
    for (name, value) in right {
        let answer = running.ask("PUT /bkt/right", &[(name, value)], HELLO);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.header("etag"), Some("\"5eb63bbbe01eeed093cb22bb8f5acdc3\""));
        assert_eq!(
            running.refusal("PUT /bkt/wrong", &[(name, value)], b"hello mars!"),
            (400, "BadDigest".into()),
            "{name}"
        );
        if name.starts_with("x-amz") {
            let asked = running.ask("HEAD /bkt/right", &[("x-amz-checksum-mode", "ENABLED")], b"");
            assert_eq!(asked.header(name), Some(value));
            assert_eq!(running.ask("HEAD /bkt/right", &[], b"").header(name), None, "only when it is asked for");
        }
    }
    assert_eq!(running.refusal("PUT /bkt/wrong", &[("content-md5", "x")], HELLO), (400, "InvalidDigest".into()));
    let other = Ask::new("PUT /bkt/wrong").body(HELLO).payload(sigv4::EMPTY_SHA256).send(&running);
    assert_eq!((other.status, other.code().as_str()), (400, "XAmzContentSHA256Mismatch"));
    assert_eq!(running.refusal("GET /bkt/wrong", &[], b""), (404, "NoSuchKey".into()));
}

#[test]
fn large_bodies_are_compared_too() {
    let running = Running::start();
    let body = vec![5; 3 << 20];
    let other = Ask::new("PUT /bkt/wrong").body(&body).payload(sigv4::EMPTY_SHA256).send(&running);
    assert_eq!((other.status, other.code().as_str()), (400, "XAmzContentSHA256Mismatch"));
    assert_eq!(running.blob_files(), 0);
    assert_eq!(running.ask("PUT /bkt/right", &[], &body).status, 200);
    assert_eq!(running.ask("GET /bkt/right", &[], b"").body, body);
    assert_eq!(running.blob_files(), 1);
}

fn unsigned_chunks(trailer: &str) -> Vec<u8> {
    [b"5\r\nhello\r\n6\r\n world\r\n0\r\n", trailer.as_bytes(), b"\r\n"].concat()
}

#[test]
fn unsigned_chunks_with_a_trailer_are_what_sdks_send_by_default() {
    let running = Running::start();
    let put = |trailer: &str| {
        let headers = [
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "11"),
            ("x-amz-trailer", "x-amz-checksum-crc32"),
        ];
        let ask = Ask::new("PUT /bkt/k").headers(&headers).payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
        ask.body(&unsigned_chunks(trailer)).send(&running)
    };
    assert_eq!(put("x-amz-checksum-crc32:DUoRhQ==\r\n").status, 200);
    let got = running.ask("GET /bkt/k", &[("x-amz-checksum-mode", "ENABLED")], b"");
    assert_eq!((got.body.as_slice(), got.header("content-encoding")), (HELLO, None));
    assert_eq!(got.header("x-amz-checksum-crc32"), Some("DUoRhQ=="));
    assert_eq!(put("x-amz-checksum-crc32:AAAAAA==\r\n").code(), "BadDigest");
    assert_eq!(put("").code(), "InvalidRequest", "the trailer that was announced");
}

#[test]
fn a_chunked_body_may_come_in_chunks_of_http() {
    let running = Running::start();
    let headers = [
        ("content-encoding", "aws-chunked,gzip"),
        ("x-amz-decoded-content-length", "11"),
        ("transfer-encoding", "chunked"),
    ];
    let ask = Ask::new("PUT /bkt/k").headers(&headers).payload("STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let mut connection = running.connect();
    connection.write(&ask.sign().head);
    for piece in unsigned_chunks("").chunks(7) {
        connection.write(format!("{:x}\r\n", piece.len()).as_bytes());
        connection.write(piece);
        connection.write(b"\r\n");
    }
    connection.write(b"0\r\n\r\n");
    assert_eq!(connection.answer(false).status, 200);
    let got = running.ask("GET /bkt/k", &[], b"");
    assert_eq!((got.body.as_slice(), got.header("content-encoding")), (HELLO, Some("gzip")));
    let plain = Ask::new("PUT /bkt/k").headers(&[("transfer-encoding", "chunked")]).payload("UNSIGNED-PAYLOAD");
    let mut connection = running.connect();
    connection.write(&plain.sign().head);
    connection.write(b"5\r\nhello\r\n0\r\n\r\n");
    let answer = connection.answer(false);
    assert_eq!((answer.status, answer.code().as_str()), (411, "MissingContentLength"));
}

#[test]
fn every_chunk_must_have_its_signature() {
    let running = Running::start();
    let body = vec![9; 100_000];
    let put = |damage: &dyn Fn(&mut Vec<u8>)| {
        let length = body.len().to_string();
        let headers = [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", length.as_str())];
        // The encoded length must be known before the chunks can be signed: it depends on no signature.
        let chunks: Vec<&[u8]> = body.chunks(65_536).chain([&b""[..]]).collect();
        let encoded: usize = chunks.iter().map(|c| format!("{:x}", c.len()).len() + 17 + 64 + 2 + c.len() + 2).sum();
        let encoded = encoded.to_string();
        let ask = Ask::new("PUT /bkt/k").headers(&headers).headers(&[("content-length", &encoded)]);
        let mut signed = ask.payload("STREAMING-AWS4-HMAC-SHA256-PAYLOAD").sign();
        let mut sent = Vec::new();
        for chunk in chunks {
            let signature = signed.chunks.chunk(&sigv4::sha256_hex(chunk));
            sent.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
            sent.extend_from_slice(chunk);
            sent.extend_from_slice(b"\r\n");
        }
        damage(&mut sent);
        let mut connection = running.connect();
        connection.write(&signed.head);
        connection.write(&sent);
        connection.answer(false)
    };
    let wrong = put(&|sent| sent[70_000] ^= 1);
    assert_eq!((wrong.status, wrong.code().as_str()), (403, "SignatureDoesNotMatch"));
    assert_eq!(running.refusal("GET /bkt/k", &[], b""), (404, "NoSuchKey".into()));
    assert_eq!(running.blob_files(), 0);
    assert_eq!(put(&|_| ()).status, 200);
    assert_eq!(running.ask("GET /bkt/k", &[], b"").body, body);
    running.goes_on();
}

#[test]
fn a_session_token_is_part_of_what_is_signed() {
    let running = Running::start();
    assert_eq!(running.ask("PUT /bkt/k", &[("x-amz-security-token", "any")], HELLO).status, 200);
    let mut head = Ask::new("GET /bkt/k").headers(&[("x-amz-security-token", "any")]).sign().head;
    let at = head.windows(3).position(|three| three == b"any").unwrap();
    head[at] = b'm';
    let mut connection = running.connect();
    connection.write(&head);
    assert_eq!(connection.answer(false).status, 403);
}
