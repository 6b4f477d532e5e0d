//! The `aws-chunked` body encoding: chunks with or without signatures, and trailers after them.
//!
//! [`Decoder`] takes the encoded bytes in pieces of any size and gives back the decoded ones without copying them.
//! How a signature is computed lies in [`crate::wire::sigv4`]. Data is handed out
//! before the signature at its chunk's head has been compared: whoever stores it must wait for [`Decoder::finish`].

use crate::wire::sigv4::ChunkSigner;
use bytes::Buf;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::Digest;
use sha2::Sha256;

/// Longest line that is not data: a chunk header with its signature, or a trailer.
const LINE_BYTES_MAX: usize = 4096;
/// Most trailers of one body; SDKs send one checksum and its signature.
const TRAILERS_MAX: usize = 16;

/// Which of the forms a body has.
pub enum Framing {
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`.
    Unsigned,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD`.
    Signed(ChunkSigner),
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`.
    SignedTrailer(ChunkSigner),
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the framing that was announced.
    #[error("the aws-chunked framing is malformed: {0}")]
    Malformed(&'static str),
    /// A chunk or the trailers do not have the signature they should.
    #[error("a chunk signature does not match")]
    Signature,
    /// Fewer or more bytes than `x-amz-decoded-content-length`.
    #[error("the decoded length is not the announced one")]
    Length,
}

/// Trailers in the order they came, names in lower case.
pub type Trailers = Vec<(String, String)>;

enum State {
    /// In a line `hex[;chunk-signature=..]`.
    Header,
    /// In the data of a chunk.
    Data { left: u64 },
    /// In the line end behind the data.
    DataEnd,
    /// In the lines behind the empty chunk.
    Trailers,
    /// Behind the empty line that ends the body.
    End,
}

/// Takes an aws-chunked body apart.
pub struct Decoder {
    framing: Framing,
    state: State,
    line: Vec<u8>,
    announced: u64,
    decoded: u64,
    chunk: Option<Chunk>,
    trailers: Trailers,
    trailer_signature: Option<String>,
    blank_lines: u32,
}

/// The chunk being read: what it claims, and the hash of what it has.
struct Chunk {
    signature: String,
    sha256: Sha256,
}

impl Decoder {
    /// A decoder for a body that decodes to `announced` bytes.
    #[must_use]
    pub fn new(framing: Framing, announced: u64) -> Self {
        Self {
            framing,
            state: State::Header,
            line: Vec::new(),
            announced,
            decoded: 0,
            chunk: None,
            trailers: Trailers::new(),
            trailer_signature: None,
            blank_lines: 0,
        }
    }

    /// Takes encoded bytes from `input` up to the next piece of data, which is returned. `None`: all of it is taken.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Bytes>, Error> {
        while input.has_remaining() {
            if let State::Data { left } = self.state {
                return self.take_data(left, input).map(Some);
            }
            if self.take_line(input)? {
                let line = std::mem::take(&mut self.line);
                self.end_of_line(&line)?;
            }
        }
        Ok(None)
    }

    /// Ends the body; it must be whole.
    pub fn finish(mut self) -> Result<Trailers, Error> {
        if !self.line.is_empty() {
            // Some writers leave out the last line end.
            let line = std::mem::take(&mut self.line);
            self.end_of_line(&line)?;
        }
        match self.state {
            State::Trailers | State::End => {}
            State::Header | State::Data { .. } | State::DataEnd => return Err(Error::Length),
        }
        if self.decoded != self.announced {
            return Err(Error::Length);
        }
        self.check_trailer_signature()?;
        Ok(self.trailers)
    }

    fn take_data(&mut self, left: u64, input: &mut Bytes) -> Result<Bytes, Error> {
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        let data = input.split_to(bytes);
        self.decoded += data.len() as u64;
        if self.decoded > self.announced {
            return Err(Error::Length);
        }
        if let Some(chunk) = &mut self.chunk {
            chunk.sha256.update(&data);
        }
        let left = left - data.len() as u64;
        self.state = if left == 0 { State::DataEnd } else { State::Data { left } };
        if left == 0 {
            self.check_chunk()?;
        }
        Ok(data)
    }

    /// Moves bytes into `line`; true when it has been ended (and its line end dropped).
    fn take_line(&mut self, input: &mut Bytes) -> Result<bool, Error> {
        let end = input.iter().position(|byte| *byte == b'\n');
        let piece = input.split_to(end.map_or(input.len(), |at| at + 1));
        if self.line.len() + piece.len() > LINE_BYTES_MAX {
            return Err(Error::Malformed("a line is too long"));
        }
        self.line.extend_from_slice(&piece);
        if end.is_none() {
            return Ok(false);
        }
        self.line.pop();
        if self.line.last() == Some(&b'\r') {
            self.line.pop();
        }
        Ok(true)
    }

    fn end_of_line(&mut self, line: &[u8]) -> Result<(), Error> {
        match self.state {
            State::Header => self.chunk_header(line),
            State::DataEnd if line.is_empty() => {
                self.state = State::Header;
                Ok(())
            }
            State::DataEnd => Err(Error::Malformed("data goes on behind its chunk")),
            State::Trailers => self.trailer(line),
            State::End if line.is_empty() => Ok(()),
            State::End => Err(Error::Malformed("bytes behind the end")),
            State::Data { .. } => unreachable!("data is not read by lines"),
        }
    }

    fn chunk_header(&mut self, line: &[u8]) -> Result<(), Error> {
        let line = std::str::from_utf8(line).map_err(|_| Error::Malformed("a chunk header is not text"))?;
        let (size, extension) = line.split_once(';').unwrap_or((line, ""));
        // `from_str_radix` takes a sign, which a size has not.
        if size.is_empty() || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::Malformed("a chunk size is not a hexadecimal number"));
        }
        let size = u64::from_str_radix(size, 16).map_err(|_| Error::Malformed("a chunk size is too large"))?;
        match &self.framing {
            Framing::Unsigned => {}
            Framing::Signed(_) | Framing::SignedTrailer(_) => {
                let signature = extension.strip_prefix("chunk-signature=").ok_or(Error::Signature)?;
                self.chunk = Some(Chunk { signature: signature.to_owned(), sha256: Sha256::new() });
            }
        }
        if size > 0 {
            self.state = State::Data { left: size };
            return Ok(());
        }
        self.check_chunk()?;
        self.state = State::Trailers;
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), Error> {
        let Some(chunk) = self.chunk.take() else { return Ok(()) };
        let sha256 = HEXLOWER.encode(&chunk.sha256.finalize());
        match &mut self.framing {
            Framing::Unsigned => Ok(()),
            Framing::Signed(signer) | Framing::SignedTrailer(signer) => same(&signer.chunk(&sha256), &chunk.signature),
        }
    }

    fn trailer(&mut self, line: &[u8]) -> Result<(), Error> {
        if line.is_empty() {
            // Writers differ on an empty line between the last chunk and the trailers: one is let pass.
            self.blank_lines += 1;
            if self.blank_lines > 1 || !self.trailers.is_empty() || matches!(self.framing, Framing::Signed(_)) {
                self.state = State::End;
            }
            return Ok(());
        }
        let line = std::str::from_utf8(line).map_err(|_| Error::Malformed("a trailer is not text"))?;
        let (name, value) = line.split_once(':').ok_or(Error::Malformed("a trailer has no colon"))?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        if name == "x-amz-trailer-signature" {
            self.trailer_signature = Some(value);
        } else if self.trailers.len() == TRAILERS_MAX {
            return Err(Error::Malformed("too many trailers"));
        } else {
            self.trailers.push((name, value));
        }
        Ok(())
    }

    fn check_trailer_signature(&mut self) -> Result<(), Error> {
        match &mut self.framing {
            Framing::Unsigned => Ok(()),
            Framing::Signed(_) if self.trailers.is_empty() => Ok(()),
            // Trailers that no signature covers could have been added by anyone.
            Framing::Signed(_) => Err(Error::Malformed("trailers were not announced")),
            Framing::SignedTrailer(signer) => {
                let want = signer.trailer(self.trailers.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                same(&want, self.trailer_signature.as_deref().unwrap_or(""))
            }
        }
    }
}

/// Compares in a time that does not tell how much of the signature is right.
fn same(want: &str, got: &str) -> Result<(), Error> {
    use subtle::ConstantTimeEq;
    if bool::from(want.as_bytes().ct_eq(got.as_bytes())) { Ok(()) } else { Err(Error::Signature) }
}

#[cfg(test)]
mod tests;
