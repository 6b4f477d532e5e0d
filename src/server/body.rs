//! What must be true of a body: its length, framing and digests, from the headers; and the machine that sees to it
//! while the bytes go by, once, to where they are kept. No I/O of its own: [`Keep`] writes.

use crate::server::auth::Payload;
use crate::server::fault::Fault;
use crate::server::fault::Result;
use crate::server::fields::Fields;
use crate::wire::aws_chunked;
use crate::wire::aws_chunked::Decoder;
use crate::wire::aws_chunked::Framing;
use crate::wire::aws_chunked::Trailers;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::checksum::Running;
use crate::wire::error_code::ErrorCode;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use md5::Digest;
use md5::Md5;

/// What must be true of a body.
pub struct Expected {
    /// Bytes, decoded.
    pub bytes: u64,
    /// How it is framed; plain if `None`.
    framing: Option<Framing>,
    /// `x-amz-content-sha256`.
    sha256: Option<[u8; 32]>,
    /// `Content-MD5`.
    md5: Option<[u8; 16]>,
    /// The checksum in a header.
    checksum: Option<Checksum>,
    /// The checksum that will come in a trailer.
    trailer: Option<Algorithm>,
}

impl Expected {
    /// Reads the headers.
    pub fn new(fields: &Fields, payload: Payload) -> Result<Self> {
        let framing = match payload {
            Payload::Unsigned | Payload::Sha256(_) => None,
            Payload::ChunkedUnsigned => Some(Framing::Unsigned),
            Payload::ChunkedSigned(ref signer) => Some(Framing::Signed(signer.clone())),
            Payload::ChunkedSignedTrailer(ref signer) => Some(Framing::SignedTrailer(signer.clone())),
        };
        let encodings = fields.text("content-encoding")?.unwrap_or_default();
        if framing.is_none() && encodings.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("aws-chunked")) {
            // Stored as it comes, the framing would become part of the object.
            let message = "A body in aws-chunked encoding needs one of the STREAMING forms of x-amz-content-sha256.";
            return Err(Fault::new(ErrorCode::InvalidRequest, message));
        }
        let length = if framing.is_some() { "x-amz-decoded-content-length" } else { "content-length" };
        Ok(Self {
            bytes: number(fields, length)?.ok_or(ErrorCode::MissingContentLength)?,
            framing,
            sha256: if let Payload::Sha256(hash) = payload { Some(hash) } else { None },
            md5: content_md5(fields)?,
            checksum: header_checksum(fields)?,
            trailer: trailer_checksum(fields)?,
        })
    }

    /// Reads the headers, but for checksums, which are of something else than the body.
    pub fn without_checksum(fields: &Fields, payload: Payload) -> Result<Self> {
        Self::new(&fields.without(|name| name.starts_with("x-amz-checksum-")), payload)
    }

    /// The algorithm of the checksum that the sender gives, in a header or a trailer.
    #[must_use]
    pub fn algorithm(&self) -> Option<Algorithm> {
        self.checksum.as_ref().map(|checksum| checksum.algorithm).or(self.trailer)
    }

    /// Whether the sender gives any digest of the body, which deleting many objects demands.
    #[must_use]
    pub fn has_digest(&self) -> bool {
        self.md5.is_some() || self.algorithm().is_some()
    }
}

fn number(fields: &Fields, name: &'static str) -> Result<Option<u64>> {
    let Some(text) = fields.text(name)? else { return Ok(None) };
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.map(Some).ok_or_else(|| Fault::argument(name, text, format!("{name} must be a number of bytes.")))
}

fn content_md5(fields: &Fields) -> Result<Option<[u8; 16]>> {
    let Some(text) = fields.text("content-md5")? else { return Ok(None) };
    let md5 = fields.dialect().parse_content_md5(text);
    md5.map(Some).ok_or_else(|| Fault::from(ErrorCode::InvalidDigest).with("Content-MD5", text))
}

fn header_checksum(fields: &Fields) -> Result<Option<Checksum>> {
    let mut found = None;
    for algorithm in Algorithm::ALL {
        let Some(text) = fields.text(algorithm.header())? else { continue };
        let checksum = Checksum::parse(algorithm, text).ok_or_else(|| {
            Fault::new(ErrorCode::InvalidRequest, format!("Value for {} header is invalid.", algorithm.header()))
        })?;
        if found.replace(checksum).is_some() {
            let message = "Expecting a single x-amz-checksum- header. Multiple checksum types are not allowed.";
            return Err(Fault::new(ErrorCode::InvalidRequest, message));
        }
    }
    Ok(found)
}

fn trailer_checksum(fields: &Fields) -> Result<Option<Algorithm>> {
    let names = fields.text("x-amz-trailer")?.unwrap_or_default();
    Ok(names.split(',').find_map(Algorithm::from_header))
}

/// Where decoded bytes go.
pub trait Keep {
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> Result<()>;
}

/// A body on its way.
pub struct Sink<K> {
    keep: K,
    bytes: u64,
    decoded: u64,
    decoder: Option<Decoder>,
    md5: Md5,
    sums: Vec<Running>,
    sha256: Option<[u8; 32]>,
    expected_md5: Option<[u8; 16]>,
    checksum: Option<Checksum>,
    trailer: Option<Algorithm>,
}

/// What is known of a body that went by and was as announced.
pub struct Digested<K> {
    /// What kept it.
    pub keep: K,
    /// Its MD5.
    pub md5: [u8; 16],
    /// Its checksums: the sender's, and those that were asked for.
    pub checksums: Vec<Checksum>,
}

impl<K> Digested<K> {
    /// The checksum of one algorithm, if it was computed.
    #[must_use]
    pub fn checksum(&self, algorithm: Algorithm) -> Option<&Checksum> {
        self.checksums.iter().find(|checksum| checksum.algorithm == algorithm)
    }
}

impl<K: Keep> Sink<K> {
    /// Begins. Checksums by `compute` are computed too.
    pub fn new(expected: Expected, compute: Option<Algorithm>, keep: K) -> Self {
        let sha256 = expected.sha256.map(|_| Algorithm::Sha256);
        let mut algorithms: Vec<Algorithm> =
            [expected.algorithm(), compute, sha256, expected.trailer].into_iter().flatten().collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        Self {
            keep,
            bytes: expected.bytes,
            decoded: 0,
            decoder: expected.framing.map(|framing| Decoder::new(framing, expected.bytes)),
            md5: Md5::new(),
            sums: algorithms.into_iter().map(Running::new).collect(),
            sha256: expected.sha256,
            expected_md5: expected.md5,
            checksum: expected.checksum,
            trailer: expected.trailer,
        }
    }

    /// Takes the next bytes as they came.
    pub fn feed(&mut self, mut bytes: Bytes) -> Result<()> {
        let Some(mut decoder) = self.decoder.take() else { return self.take(&bytes) };
        while let Some(data) = decoder.next(&mut bytes).map_err(chunking)? {
            self.take(&data)?;
        }
        self.decoder = Some(decoder);
        Ok(())
    }

    fn take(&mut self, data: &[u8]) -> Result<()> {
        self.decoded += data.len() as u64;
        if self.decoded > self.bytes {
            return Err(Fault::new(ErrorCode::InvalidRequest, "The body is longer than was announced."));
        }
        self.md5.update(data);
        for sum in &mut self.sums {
            sum.update(data);
        }
        self.keep.write(data)
    }

    /// Ends the body: it is all there, and is what it was said to be.
    pub fn finish(mut self) -> Result<Digested<K>> {
        let trailers = match self.decoder.take() {
            Some(decoder) => decoder.finish().map_err(chunking)?,
            None => Trailers::new(),
        };
        if self.decoded != self.bytes {
            return Err(ErrorCode::IncompleteBody.into());
        }
        let checksums: Vec<Checksum> = self.sums.drain(..).map(Running::finish).collect();
        let got = |algorithm| checksums.iter().find(|sum| sum.algorithm == algorithm);
        if let Some(want) = self.sha256
            && got(Algorithm::Sha256).is_none_or(|sum| sum.value != want)
        {
            return Err(Fault::from(ErrorCode::XAmzContentSHA256Mismatch)
                .with("ClientComputedContentSHA256", HEXLOWER.encode(&want)));
        }
        let trailer = self.trailer.map(|algorithm| trailer_value(algorithm, &trailers)).transpose()?;
        for want in self.checksum.iter().chain(&trailer) {
            if got(want.algorithm) != Some(want) {
                let name = want.algorithm.name();
                let message = format!("The {name} you specified did not match the calculated checksum.");
                return Err(Fault::new(ErrorCode::BadDigest, message));
            }
        }
        let md5: [u8; 16] = self.md5.finalize().into();
        if let Some(want) = self.expected_md5
            && want != md5
        {
            return Err(Fault::new(
                ErrorCode::BadDigest,
                "The Content-MD5 you specified did not match what we received.",
            )
            .with("ExpectedDigest", HEXLOWER.encode(&want))
            .with("CalculatedDigest", HEXLOWER.encode(&md5)));
        }
        Ok(Digested { keep: self.keep, md5, checksums })
    }
}

fn trailer_value(algorithm: Algorithm, trailers: &Trailers) -> Result<Checksum> {
    let text = trailers.iter().find(|(name, _)| name == algorithm.header()).map(|(_, value)| value.as_str());
    let sum = text.and_then(|text| Checksum::parse(algorithm, text));
    sum.ok_or_else(|| {
        let message = format!("The trailer {} that was announced is missing or invalid.", algorithm.header());
        Fault::new(ErrorCode::InvalidRequest, message)
    })
}

fn chunking(error: aws_chunked::Error) -> Fault {
    match error {
        aws_chunked::Error::Malformed(_) => Fault::new(ErrorCode::InvalidRequest, format!("{error}.")),
        aws_chunked::Error::Signature => {
            Fault::new(ErrorCode::SignatureDoesNotMatch, "A chunk signature does not match.")
        }
        aws_chunked::Error::Length => {
            Fault::new(ErrorCode::IncompleteBody, "The body does not decode to the number of bytes that was announced.")
        }
    }
}

#[cfg(test)]
mod tests;
