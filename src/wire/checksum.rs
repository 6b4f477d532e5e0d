//! The additional checksums of S3 (`x-amz-checksum-*`): names, values, running hashes, and how those of parts combine.
//!
//! Which header or trailer carries one, and what a mismatch means, is the business of client and server.

use data_encoding::BASE64;
use serde::Deserialize;
use serde::Serialize;
use sha1::Digest as _;
use std::fmt;

// The names that the catalogue of CRCs gives them.
const CRC32: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc32IsoHdlc;
const CRC32C: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc32Iscsi;
const CRC64_NVME: crc_fast::CrcAlgorithm = crc_fast::CrcAlgorithm::Crc64Nvme;

/// A checksum algorithm that S3 knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC), as in zip.
    Crc32,
    /// CRC-32C (Castagnoli).
    Crc32c,
    /// CRC-64/NVME.
    Crc64Nvme,
    /// SHA-1.
    Sha1,
    /// SHA-256.
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Crc32, Self::Crc32c, Self::Crc64Nvme, Self::Sha1, Self::Sha256];

    /// The name as `x-amz-checksum-algorithm` spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header or trailer that carries a value, lower case.
    #[must_use]
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// Bytes of a value.
    #[must_use]
    pub fn value_bytes(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The algorithm of that name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name().eq_ignore_ascii_case(name.trim()))
    }

    /// The algorithm whose value that header carries, in any case.
    #[must_use]
    pub fn from_header(header: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.header().eq_ignore_ascii_case(header.trim()))
    }

    fn crc(self) -> Option<crc_fast::CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CRC32),
            Self::Crc32c => Some(CRC32C),
            Self::Crc64Nvme => Some(CRC64_NVME),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    /// Of what the checksum of a multipart object is made when the request does not say.
    #[must_use]
    pub fn default_scope(self) -> Scope {
        match self {
            Self::Crc64Nvme => Scope::FullObject,
            Self::Crc32 | Self::Crc32c | Self::Sha1 | Self::Sha256 => Scope::Composite,
        }
    }

    /// Whether a multipart object may have such a checksum: hashes cannot be combined, CRC-64 is never composite.
    #[must_use]
    pub fn allows(self, scope: Scope) -> bool {
        match (self, scope) {
            (Self::Crc32 | Self::Crc32c, Scope::FullObject | Scope::Composite)
            | (Self::Crc64Nvme, Scope::FullObject)
            | (Self::Sha1 | Self::Sha256, Scope::Composite) => true,
            (Self::Crc64Nvme, Scope::Composite) | (Self::Sha1 | Self::Sha256, Scope::FullObject) => false,
        }
    }
}

/// What the checksum of a multipart object covers (`x-amz-checksum-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// The bytes of the object, as if it had been sent in one piece.
    FullObject,
    /// The checksums of the parts.
    Composite,
}

impl Scope {
    /// As the header spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FullObject => "FULL_OBJECT",
            Self::Composite => "COMPOSITE",
        }
    }

    /// Reads the header's value.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::FullObject, Self::Composite].into_iter().find(|scope| scope.name().eq_ignore_ascii_case(name.trim()))
    }
}

/// A checksum: an algorithm and its value, most significant byte first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// Of which algorithm.
    pub algorithm: Algorithm,
    /// As many bytes as the algorithm has.
    pub value: Vec<u8>,
}

impl Checksum {
    /// Reads a header's value: base64 of exactly the algorithm's bytes.
    #[must_use]
    pub fn parse(algorithm: Algorithm, base64: &str) -> Option<Self> {
        let value = BASE64.decode(base64.trim().as_bytes()).ok()?;
        (value.len() == algorithm.value_bytes()).then_some(Self { algorithm, value })
    }

    /// The header's value.
    #[must_use]
    pub fn base64(&self) -> String {
        BASE64.encode(&self.value)
    }

    /// A CRC from its number, of which the low bits count.
    fn from_crc(algorithm: Algorithm, crc: u64) -> Self {
        let bytes = crc.to_be_bytes();
        Self { algorithm, value: bytes[bytes.len() - algorithm.value_bytes()..].to_vec() }
    }

    /// The number of a CRC.
    fn crc(&self) -> u64 {
        self.value.iter().fold(0, |crc, byte| (crc << 8) | u64::from(*byte))
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm.name(), self.base64())
    }
}

/// A checksum in the making.
pub struct Running {
    algorithm: Algorithm,
    state: State,
}

enum State {
    Crc(Box<crc_fast::Digest>),
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl Running {
    /// Begins with no bytes.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let crc = |crc| State::Crc(Box::new(crc_fast::Digest::new(crc)));
        let state = match algorithm {
            Algorithm::Crc32 => crc(CRC32),
            Algorithm::Crc32c => crc(CRC32C),
            Algorithm::Crc64Nvme => crc(CRC64_NVME),
            Algorithm::Sha1 => State::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
        };
        Self { algorithm, state }
    }

    /// Which algorithm this is.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Crc(digest) => digest.update(bytes),
            State::Sha1(digest) => digest.update(bytes),
            State::Sha256(digest) => digest.update(bytes),
        }
    }

    /// The checksum of all bytes taken.
    #[must_use]
    pub fn finish(self) -> Checksum {
        match self.state {
            State::Crc(digest) => Checksum::from_crc(self.algorithm, digest.finalize()),
            State::Sha1(digest) => Checksum { algorithm: self.algorithm, value: digest.finalize().to_vec() },
            State::Sha256(digest) => Checksum { algorithm: self.algorithm, value: digest.finalize().to_vec() },
        }
    }
}

/// The checksum of bytes at hand.
#[must_use]
pub fn checksum(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
    let mut running = Running::new(algorithm);
    running.update(bytes);
    running.finish()
}

/// The checksum of the parts' bytes one after another, from each part's checksum and length.
///
/// `None` for hashes, which cannot be combined, and when a part has another algorithm.
#[must_use]
pub fn full_object<'a>(algorithm: Algorithm, parts: impl IntoIterator<Item = (&'a Checksum, u64)>) -> Option<Checksum> {
    let crc_algorithm = algorithm.crc()?;
    let mut whole = checksum(algorithm, b"").crc();
    for (part, bytes) in parts {
        if part.algorithm != algorithm {
            return None;
        }
        whole = crc_fast::checksum_combine(crc_algorithm, whole, part.crc(), bytes);
    }
    Some(Checksum::from_crc(algorithm, whole))
}

/// The checksum over the parts' checksums. `None` when a part has another algorithm.
#[must_use]
pub fn composite<'a>(algorithm: Algorithm, parts: impl IntoIterator<Item = &'a Checksum>) -> Option<Checksum> {
    let mut running = Running::new(algorithm);
    for part in parts {
        if part.algorithm != algorithm {
            return None;
        }
        running.update(&part.value);
    }
    Some(running.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    #[test]
    fn published_values_are_met() {
        let rows = [
            (Algorithm::Crc32, "DUoRhQ=="),
            (Algorithm::Crc32c, "yZRlqg=="),
            (Algorithm::Crc64Nvme, "jSnVw/bqjr4="),
            (Algorithm::Sha1, "Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
            (Algorithm::Sha256, "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="),
        ];
        for (algorithm, want) in rows {
            assert_eq!(checksum(algorithm, b"hello world").base64(), want, "{algorithm:?}");
        }
        assert_eq!(checksum(Algorithm::Crc32c, b"123456789").value, [0xe3, 0x06, 0x92, 0x83]);
        assert_eq!(checksum(Algorithm::Crc64Nvme, b"123456789").crc(), 0xae8b_1486_0a79_9888);
    }

    #[test]
    fn values_of_another_length_are_refused() {
        assert!(Checksum::parse(Algorithm::Crc32, "yZRlqg==").is_some());
        for bad in ["", "yZRl", "jSnVw/bqjr4=", "yZRlqg", "not base64!"] {
            assert_eq!(Checksum::parse(Algorithm::Crc32, bad), None, "{bad:?}");
        }
    }

    #[test]
    fn names_are_read_in_any_case() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(&algorithm.name().to_lowercase()), Some(algorithm));
            assert_eq!(Algorithm::from_header(&algorithm.header().to_uppercase()), Some(algorithm));
            assert!(algorithm.allows(algorithm.default_scope()));
        }
        assert_eq!(Algorithm::from_name("MD5"), None);
    }

    proptest! {
        #[test]
        fn combined_crcs_are_those_of_the_whole(parts in vec(vec(any::<u8>(), 0..40), 0..6)) {
            for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
                let sums: Vec<_> = parts.iter().map(|p| (checksum(algorithm, p), p.len() as u64)).collect();
                let combined = full_object(algorithm, sums.iter().map(|(sum, len)| (sum, *len)));
                prop_assert_eq!(combined, Some(checksum(algorithm, &parts.concat())));
            }
        }
    }
}
