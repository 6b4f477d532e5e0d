//! Bodies that are what they were said to be, and every way in which they are not.

use super::*;
use crate::wire::date::AmzDate;
use crate::wire::sigv4;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::ChunkSigner;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::sigv4::WOS4;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[derive(Debug, Default, PartialEq, Eq)]
struct Kept(Vec<u8>);

impl Keep for Kept {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn received<const N: usize>(
    payload: Payload,
    fields: [(&str, &str); N],
    body: &str,
) -> std::result::Result<Digested<Kept>, ErrorCode> {
    let expected = Expected::new(&Fields::from(fields), payload).map_err(|fault| fault.code)?;
    let mut sink = Sink::new(expected, Some(Algorithm::Crc64Nvme), Kept::default());
    for piece in body.as_bytes().chunks(4) {
        sink.feed(Bytes::copy_from_slice(piece)).map_err(|fault| fault.code)?;
    }
    sink.finish().map_err(|fault| fault.code)
}

fn refused<const N: usize>(payload: Payload, fields: [(&str, &str); N], body: &str) -> ErrorCode {
    received(payload, fields, body).map(|digested| digested.keep).expect_err("it must be refused")
}

fn sha256(text: &str) -> Payload {
    Payload::Sha256(sha2::Sha256::digest(text).into())
}

const HELLO: &str = "hello world";

#[test]
fn a_body_goes_by_once_and_is_digested() {
    let fields =
        [("content-length", "11"), ("content-md5", "XrY7u+Ae7tCTyyK7j1rNww=="), ("x-amz-checksum-crc32c", "yZRlqg==")];
    let digested = received(sha256(HELLO), fields, HELLO).unwrap();
    assert_eq!(digested.keep.0, HELLO.as_bytes());
    assert_eq!(HEXLOWER.encode(&digested.md5), "5eb63bbbe01eeed093cb22bb8f5acdc3");
    assert_eq!(digested.checksum(Algorithm::Crc32c).unwrap().base64(), "yZRlqg==");
    assert_eq!(digested.checksum(Algorithm::Crc64Nvme).unwrap().base64(), "jSnVw/bqjr4=");
    assert_eq!(digested.checksum(Algorithm::Sha1), None);
}

#[test]
fn every_digest_is_compared() {
    let length = ("content-length", "11");
    let rows = [
        (refused(sha256("other"), [length], HELLO), ErrorCode::XAmzContentSHA256Mismatch, "the hash that was signed"),
        (
            refused(Payload::Unsigned, [length, ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg==")], HELLO),
            ErrorCode::BadDigest,
            "MD5",
        ),
        (refused(Payload::Unsigned, [length, ("content-md5", "1B2M")], HELLO), ErrorCode::InvalidDigest, "no MD5"),
        (refused(Payload::Unsigned, [length, ("content-md5", "")], HELLO), ErrorCode::InvalidDigest, "an empty MD5"),
        (
            refused(Payload::Unsigned, [length, ("x-amz-checksum-crc32", "AAAAAA==")], HELLO),
            ErrorCode::BadDigest,
            "CRC-32",
        ),
        (
            refused(Payload::Unsigned, [length, ("x-amz-checksum-sha1", "AAAAAA==")], HELLO),
            ErrorCode::InvalidRequest,
            "no SHA-1",
        ),
        (
            refused(
                Payload::Unsigned,
                [length, ("x-amz-checksum-crc32", "DUoRhQ=="), ("x-amz-checksum-crc32c", "yZRlqg==")],
                HELLO,
            ),
            ErrorCode::InvalidRequest,
            "two checksums",
        ),
    ];
    for (got, want, why) in rows {
        assert_eq!(got, want, "{why}");
    }
}

#[test]
fn lengths_must_be_told_and_kept() {
    let none: [(&str, &str); 0] = [];
    assert_eq!(refused(Payload::Unsigned, none, HELLO), ErrorCode::MissingContentLength);
    assert_eq!(refused(Payload::Unsigned, [("content-length", "x")], HELLO), ErrorCode::InvalidArgument);
    assert_eq!(refused(Payload::Unsigned, [("content-length", "12")], HELLO), ErrorCode::IncompleteBody);
    assert_eq!(refused(Payload::Unsigned, [("content-length", "10")], HELLO), ErrorCode::InvalidRequest);
    assert_eq!(refused(Payload::ChunkedUnsigned, [("content-length", "99")], HELLO), ErrorCode::MissingContentLength);
    assert!(received(Payload::Unsigned, [("content-length", "0")], "").is_ok());
}

#[test]
fn chunked_bodies_are_decoded_and_their_trailers_compared() {
    let decoded = ("x-amz-decoded-content-length", "11");
    let announced = ("x-amz-trailer", "x-amz-checksum-crc32c");
    let body = "5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32c:yZRlqg==\r\n\r\n";
    let chunked = || Payload::ChunkedUnsigned;
    let digested = received(chunked(), [decoded, announced, ("content-encoding", "aws-chunked")], body).unwrap();
    assert_eq!(digested.keep.0, HELLO.as_bytes());
    assert_eq!(digested.checksum(Algorithm::Crc32c).unwrap().base64(), "yZRlqg==");
    let rows = [
        (
            refused(chunked(), [decoded, announced], &body.replace("yZRl", "AAAA")),
            ErrorCode::BadDigest,
            "another value",
        ),
        (
            refused(chunked(), [decoded, announced], &body.replace("yZRlqg==", "x")),
            ErrorCode::InvalidRequest,
            "no value",
        ),
        (
            refused(chunked(), [decoded, announced], "b\r\nhello world\r\n0\r\n\r\n"),
            ErrorCode::InvalidRequest,
            "the trailer that was announced is missing",
        ),
        (refused(chunked(), [decoded], HELLO), ErrorCode::InvalidRequest, "not chunked at all"),
        (refused(chunked(), [decoded], "5\r\nhello\r\n0\r\n\r\n"), ErrorCode::IncompleteBody, "shorter than announced"),
        (refused(chunked(), [decoded], "b\r\nhello w"), ErrorCode::IncompleteBody, "cut off"),
        (
            refused(Payload::Unsigned, [("content-length", "60"), ("content-encoding", "gzip,aws-chunked")], body),
            ErrorCode::InvalidRequest,
            "chunked by one header and plain by another",
        ),
    ];
    for (got, want, why) in rows {
        assert_eq!(got, want, "{why}");
    }
}

fn signer(scheme: &'static sigv4::Scheme) -> ChunkSigner {
    let time = AmzDate::parse("20240102T030405Z").unwrap();
    let scope = Scope::new(&time, "us-east-1");
    ChunkSigner::new(scheme, SigningKey::derive(scheme, "secret", &scope), time, &scope, "seed")
}

/// The chunks of a body, each with its signature.
fn signed_chunks(scheme: &'static sigv4::Scheme, data: &[u8]) -> Vec<u8> {
    let (mut signer, mut out) = (signer(scheme), Vec::new());
    for chunk in data.chunks(7).chain([&b""[..]]) {
        let signature = signer.chunk(&sigv4::sha256_hex(chunk));
        out.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn verdict(fields: &Fields, payload: Payload, body: &[u8]) -> Result<Vec<u8>> {
    let mut sink = Sink::new(Expected::new(fields, payload)?, None, Kept::default());
    sink.feed(Bytes::copy_from_slice(body))?;
    Ok(sink.finish()?.keep.0)
}

proptest! {
    #[test]
    fn a_body_altered_in_one_bit_is_refused_by_each_digest(
        data in vec(any::<u8>(), 1..40), at in any::<Index>(), bit in 0u8..8,
    ) {
        let mut other = data.clone();
        other[at.index(data.len())] ^= 1 << bit;
        let (length, md5) = (data.len().to_string(), data_encoding::BASE64.encode(&Md5::digest(&data)));
        let hashed = || Payload::Sha256(sha2::Sha256::digest(&data).into());
        let plain = Fields::from([("content-length", length.as_str())]);
        let digested = Fields::from([("content-length", length.as_str()), ("content-md5", md5.as_str())]);
        prop_assert_eq!(verdict(&plain, hashed(), &data), Ok(data.clone()));
        prop_assert_eq!(verdict(&plain, hashed(), &other).unwrap_err().code, ErrorCode::XAmzContentSHA256Mismatch);
        prop_assert_eq!(verdict(&digested, Payload::Unsigned, &data), Ok(data.clone()));
        prop_assert_eq!(verdict(&digested, Payload::Unsigned, &other).unwrap_err().code, ErrorCode::BadDigest);
    }

    #[test]
    fn signed_chunks_altered_in_data_or_signature_are_refused(
        data in vec(any::<u8>(), 1..40), at in any::<Index>(), bit in 0u8..8, wangsu in any::<bool>(),
    ) {
        let scheme = if wangsu { &WOS4 } else { &AWS4 };
        let length = data.len().to_string();
        let fields = Fields::from([("x-amz-decoded-content-length", length.as_str())]);
        let sent = signed_chunks(scheme, &data);
        prop_assert_eq!(verdict(&fields, Payload::ChunkedSigned(signer(scheme)), &sent), Ok(data));
        let mut other = sent.clone();
        other[at.index(sent.len())] ^= 1 << bit;
        // A size may be written in upper case, with the same meaning.
        prop_assume!(!other.eq_ignore_ascii_case(&sent));
        let altered = verdict(&fields, Payload::ChunkedSigned(signer(scheme)), &other);
        prop_assert!(altered.is_err(), "{:?}", String::from_utf8_lossy(&other));
    }
}
