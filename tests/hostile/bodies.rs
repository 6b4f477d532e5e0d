//! Bodies in aws-chunked framing, cut at arbitrary places.

use crate::allocator::bounded;
use crate::inputs::hostile;
use brigade::wire::aws_chunked::Decoder;
use brigade::wire::aws_chunked::Error;
use brigade::wire::aws_chunked::Framing;
use brigade::wire::aws_chunked::Trailers;
use brigade::wire::date::AmzDate;
use brigade::wire::sigv4::AWS4;
use brigade::wire::sigv4::ChunkSigner;
use brigade::wire::sigv4::EMPTY_SHA256;
use brigade::wire::sigv4::Scope;
use brigade::wire::sigv4::SigningKey;
use brigade::wire::sigv4::sha256_hex;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

const CHUNKS: [&[u8]; 3] = [b"hello ", b"world, ", b"and all the others"];
const TRAILER: (&str, &str) = ("x-amz-checksum-crc32c", "yZRlqg==");

fn content() -> Vec<u8> {
    CHUNKS.concat()
}

fn signer() -> ChunkSigner {
    let time = AmzDate::parse("20130524T000000Z").unwrap();
    let scope = Scope::new(&time, "us-east-1");
    ChunkSigner::new(&AWS4, SigningKey::derive(&AWS4, "secret", &scope), time, &scope, EMPTY_SHA256)
}

fn framings() -> [Framing; 3] {
    [Framing::Unsigned, Framing::Signed(signer()), Framing::SignedTrailer(signer())]
}

/// The body in each of the framings.
fn samples() -> Vec<Vec<u8>> {
    let framed = |signed: bool, trailer: bool| {
        let mut signer = signer();
        let mut out = Vec::new();
        for chunk in CHUNKS.into_iter().chain([&b""[..]]) {
            let signature = signer.chunk(&sha256_hex(chunk));
            let extension = if signed { format!(";chunk-signature={signature}") } else { String::new() };
            out.extend_from_slice(format!("{:x}{extension}\r\n", chunk.len()).as_bytes());
            out.extend_from_slice(chunk);
            if !chunk.is_empty() {
                out.extend_from_slice(b"\r\n");
            }
        }
        if trailer {
            out.extend_from_slice(format!("{}:{}\r\n", TRAILER.0, TRAILER.1).as_bytes());
            if signed {
                let signature = signer.trailer([TRAILER]);
                out.extend_from_slice(format!("x-amz-trailer-signature:{signature}\r\n").as_bytes());
            }
        }
        [&out[..], b"\r\n"].concat()
    };
    vec![framed(false, true), framed(true, false), framed(true, true)]
}

/// How many bytes of content were given out, and how the body ended. Content is compared, not kept.
fn decode(framing: Framing, announced: u64, input: &Bytes, cuts: &[usize]) -> (Vec<u8>, Result<Trailers, Error>) {
    let mut decoder = Decoder::new(framing, announced);
    let mut content = Vec::new();
    let mut input = input.clone();
    let mut cuts = cuts.iter().cycle();
    while !input.is_empty() {
        let cut = *cuts.next().expect("they go on for ever");
        let mut piece = input.split_to(cut.min(input.len()));
        loop {
            match decoder.next(&mut piece) {
                Ok(Some(data)) => content.extend_from_slice(&data),
                Ok(None) => break,
                Err(error) => return (content, Err(error)),
            }
        }
    }
    (content, decoder.finish())
}

#[test]
fn the_samples_are_bodies() {
    for (sample, framing) in samples().into_iter().zip(framings()) {
        let (decoded, ended) = decode(framing, content().len() as u64, &sample.into(), &[7]);
        assert_eq!((decoded, ended.is_ok()), (content(), true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6000))]
    #[test]
    fn no_body_panics_or_takes_much_or_forges(
        input in hostile(samples()), cuts in vec(1usize..300, 1..6),
        announced in prop_oneof![3 => Just(content().len() as u64), 1 => any::<u64>()],
    ) {
        let bytes = input.len();
        let input = Bytes::from(input);
        for (framing, is_signed) in framings().into_iter().zip([false, true, true]) {
            let decoded = bounded("a body", bytes, 4, || decode(framing, announced, &input, &cuts))?;
            let (decoded, ended) = decoded;
            prop_assert!(decoded.len() as u64 <= announced.max(bytes as u64));
            if ended.is_ok() {
                prop_assert_eq!(decoded.len() as u64, announced);
                prop_assert!(!is_signed || decoded.is_empty() || decoded == content(), "nobody has signed this");
            }
        }
    }
}
