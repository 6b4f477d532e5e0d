//! Bodies of all three forms, cut anywhere, with every kind of damage.

use super::*;
use crate::wire::date::AmzDate;
use crate::wire::sigv4::AWS4;
use crate::wire::sigv4::Scope;
use crate::wire::sigv4::SigningKey;
use crate::wire::sigv4::sha256_hex;
use proptest::collection::vec;
use proptest::prelude::*;

/// The signer of case A9 of the project's wire reference.
fn signer() -> ChunkSigner {
    let time = AmzDate::parse("20240102T030405Z").unwrap();
    let scope = Scope::new(&time, "cn-north-1");
    let key = SigningKey::derive(&AWS4, "test-secret-key-0123456789abcdefghijklmn", &scope);
    ChunkSigner::new(&AWS4, key, time, &scope, "9f7c91f9dd5925c83ec60ab4a5ab272c02ab6298f4054c6e179bc4c525727b47")
}

fn signed(chunks: &[&[u8]]) -> Vec<u8> {
    let mut signer = signer();
    let mut body = Vec::new();
    for chunk in chunks.iter().copied().chain([&b""[..]]) {
        let signature = signer.chunk(&sha256_hex(chunk));
        body.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", chunk.len()).as_bytes());
        body.extend_from_slice(chunk);
        if !chunk.is_empty() {
            body.extend_from_slice(b"\r\n");
        }
    }
    body
}

fn decode(framing: Framing, announced: u64, body: &[u8], cut: usize) -> Result<(Vec<u8>, Trailers), Error> {
    let mut decoder = Decoder::new(framing, announced);
    let mut out = Vec::new();
    for piece in body.chunks(cut.max(1)) {
        let mut piece = Bytes::copy_from_slice(piece);
        while let Some(data) = decoder.next(&mut piece)? {
            out.extend_from_slice(&data);
        }
    }
    Ok((out, decoder.finish()?))
}

#[test]
fn unsigned_bodies_are_read_leniently_but_wholly() {
    let sum = vec![("x-amz-checksum-crc32c".to_owned(), "yZRlqg==".to_owned())];
    let rows: &[(&str, Result<Trailers, Error>, &str)] = &[
        ("b\r\nhello world\r\n0\r\nx-amz-checksum-crc32c:yZRlqg==\r\n\r\n", Ok(sum.clone()), "the usual form"),
        ("B\r\nhello world\r\n0\r\nX-Amz-Checksum-Crc32c: yZRlqg==\r\n\r\n", Ok(sum.clone()), "case and space"),
        ("b\r\nhello world\r\n0\r\n\r\nx-amz-checksum-crc32c:yZRlqg==\r\n", Ok(sum.clone()), "a blank line before"),
        ("b\nhello world\n0\nx-amz-checksum-crc32c:yZRlqg==\n\n", Ok(sum.clone()), "bare line feeds"),
        ("b\r\nhello world\r\n0\r\nx-amz-checksum-crc32c:yZRlqg==", Ok(sum), "no line end at the end"),
        ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", Ok(vec![]), "two chunks, no trailer"),
        ("b\r\nhello world\r\n0\r\n", Ok(vec![]), "ends behind the empty chunk"),
        ("b\r\nhello world\r\n0", Ok(vec![]), "ends in the empty chunk"),
        ("b\r\nhello world\r\n", Err(Error::Length), "no empty chunk"),
        ("b\r\nhello wor", Err(Error::Length), "cut in the data"),
        ("", Err(Error::Length), "nothing at all"),
        ("a\r\nhello worl\r\n0\r\n\r\n", Err(Error::Length), "one byte short"),
        ("c\r\nhello world!\r\n0\r\n\r\n", Err(Error::Length), "one byte long"),
        ("b\r\nhello world!\r\n0\r\n\r\n", Err(Error::Malformed("data goes on behind its chunk")), "longer chunk"),
        ("+b\r\nhello world\r\n0\r\n\r\n", Err(Error::Malformed("a chunk size is not a hexadecimal number")), "a sign"),
        ("ffffffffffffffffff\r\n", Err(Error::Malformed("a chunk size is too large")), "more than 2^64"),
        ("b\r\nhello world\r\n0\r\nnonsense\r\n", Err(Error::Malformed("a trailer has no colon")), "no trailer"),
        ("b\r\nhello world\r\n0\r\n\r\n\r\nx", Err(Error::Malformed("bytes behind the end")), "more behind it"),
    ];
    for (body, want, why) in rows {
        for cut in [1, 2, 3, 7, 1000] {
            let got = decode(Framing::Unsigned, 11, body.as_bytes(), cut);
            let want = want.clone().map(|trailers| (b"hello world".to_vec(), trailers));
            assert_eq!(got, want, "{body:?} cut at {cut}: {why}");
        }
    }
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_memory() {
    let body = vec![b'1'; LINE_BYTES_MAX + 1];
    assert_eq!(decode(Framing::Unsigned, 1, &body, 100), Err(Error::Malformed("a line is too long")));
}

#[test]
fn a_changed_byte_is_a_wrong_signature() {
    let body = signed(&[b"hello", b" world"]);
    let framing = || Framing::Signed(signer());
    assert_eq!(decode(framing(), 11, &body, 5), Ok((b"hello world".to_vec(), vec![])));
    let text = String::from_utf8(body).unwrap();
    let last = text[text.rfind('=').unwrap() + 1..].trim_end();
    for (from, to) in [("hello", "hellO"), (last, &"0".repeat(64)), (";chunk-signature=", ";x="), ("=", "= ")] {
        let damaged = text.replacen(from, to, 1);
        assert_eq!(decode(framing(), 11, damaged.as_bytes(), 5), Err(Error::Signature), "{from} as {to}");
    }
}

#[test]
fn the_reference_body_decodes() {
    let body = signed(&[b"hello world"]);
    let mut text = String::from_utf8(body).unwrap();
    for signature in [
        "b27d99e205a974e4f128800f88efaea77a2ceb92ce37a35f8aa6197b1873df8c",
        "a53002bfe05aade4d95ab77e306f60b365864c2021fd3adb7d2c2cfe40d05704",
    ] {
        assert!(text.contains(signature));
    }
    text.push_str("\r\n");
    assert_eq!(text.len(), 183, "the reference's Content-Length");
    assert_eq!(decode(Framing::Signed(signer()), 11, text.as_bytes(), 64), Ok((b"hello world".to_vec(), vec![])));
}

#[test]
fn signed_trailers_need_their_signature() {
    let framing = || Framing::SignedTrailer(signer());
    let mut at_the_end = signer();
    let _ = (at_the_end.chunk(&sha256_hex(b"hello world")), at_the_end.chunk(&sha256_hex(b"")));
    let signature = at_the_end.trailer([("x-amz-checksum-crc32c", "yZRlqg==")]);
    let chunks = String::from_utf8(signed(&[b"hello world"])).unwrap();
    let good = format!("{chunks}x-amz-checksum-crc32c:yZRlqg==\r\nx-amz-trailer-signature:{signature}\r\n\r\n");
    assert!(decode(framing(), 11, good.as_bytes(), 9).is_ok());
    for bad in [
        good.replace("yZRlqg", "yZRlqh"),
        good.replace(&signature, &"0".repeat(64)),
        format!("{chunks}x-amz-checksum-crc32c:yZRlqg==\r\n\r\n"),
        format!("{chunks}\r\n"),
    ] {
        assert_eq!(decode(framing(), 11, bad.as_bytes(), 9), Err(Error::Signature), "{bad}");
    }
    let plain = Framing::Signed(signer());
    assert!(decode(plain, 11, good.as_bytes(), 9).is_err(), "trailers that were not announced");
}

proptest! {
    #[test]
    fn any_cut_decodes_to_what_was_encoded(chunks in vec(vec(any::<u8>(), 1..20), 0..5), cut in 1usize..30) {
        let pieces: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
        let whole = chunks.concat();
        let framing = Framing::Signed(signer());
        let got = decode(framing, whole.len() as u64, &signed(&pieces), cut);
        prop_assert_eq!(got, Ok((whole, vec![])));
    }

    #[test]
    fn no_input_panics(body in vec(any::<u8>(), 0..60), cut in 1usize..30) {
        let _ = decode(Framing::Unsigned, 5, &body, cut);
        let _ = decode(Framing::SignedTrailer(signer()), 5, &body, cut);
    }
}
