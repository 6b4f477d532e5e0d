//! Checksums and digests of what is sent, and the CRC-64/NVME of a whole object from that of its parts.
//!
//! What they are called on the wire is [`crate::wire::checksum`]'s.

use crate::store::Part;
use crate::store::Payload;
use crate::wire::checksum::Algorithm;
use crate::wire::checksum::Checksum;
use crate::wire::xml::Checksums;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use data_encoding::BASE64;
use data_encoding::HEXLOWER;
use md5::Md5;
use sha2::Digest as _;
use sha2::Sha256;

/// The checksum of a payload: the one it brings along, or computed now.
pub(crate) fn of_payload(payload: &Payload) -> u64 {
    payload.crc64nvme.unwrap_or_else(|| crc64nvme_of(&payload.pieces))
}

/// Whether a part that is there surely is these bytes: by its CRC-64/NVME or CRC-32C, or the MD5 that its tag is.
pub(crate) fn fits(part: &Part, payload: &Payload) -> bool {
    if part.size != payload.len() {
        return false;
    }
    match (part.crc64nvme, part.crc32c, part.etag.md5()) {
        (Some(crc), _, _) => crc == crc64nvme_of(&payload.pieces),
        (None, _, Some(md5)) => md5 == md5_of(&payload.pieces),
        (None, Some(crc), None) => crc == crc32c_of(&payload.pieces),
        (None, None, None) => false,
    }
}

/// CRC-64/NVME of pieces in order.
pub(crate) fn crc64nvme_of(pieces: &[Bytes]) -> u64 {
    crc(CrcAlgorithm::Crc64Nvme, pieces)
}

/// CRC-32C of pieces in order.
pub(crate) fn crc32c_of(pieces: &[Bytes]) -> u32 {
    u32::try_from(crc(CrcAlgorithm::Crc32Iscsi, pieces)).expect("a CRC of 32 bits has as many")
}

/// MD5 of pieces in order.
pub(crate) fn md5_of(pieces: &[Bytes]) -> [u8; 16] {
    let mut md5 = Md5::new();
    pieces.iter().for_each(|piece| md5.update(piece));
    md5.finalize().into()
}

/// SHA-256 of pieces in order, in hex.
pub(crate) fn sha256_of(pieces: &[Bytes]) -> String {
    let mut sha256 = Sha256::new();
    pieces.iter().for_each(|piece| sha256.update(piece));
    HEXLOWER.encode(&sha256.finalize())
}

fn crc(algorithm: CrcAlgorithm, pieces: &[Bytes]) -> u64 {
    let mut digest = crc_fast::Digest::new(algorithm);
    pieces.iter().for_each(|piece| digest.update(piece));
    digest.finalize()
}

/// The checksum of the object that parts make, if it is known of each.
pub(crate) fn of_parts(parts: &[Part]) -> Option<u64> {
    let mut whole = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, b"");
    for part in parts {
        let crc = part.crc64nvme?;
        if part.size > 0 {
            whole = crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, whole, crc, part.size);
        }
    }
    Some(whole)
}

/// As it is sent along.
pub(crate) fn crc64nvme_checksum(crc: u64) -> Checksum {
    Checksum { algorithm: Algorithm::Crc64Nvme, value: crc.to_be_bytes().to_vec() }
}

/// As it is sent along.
pub(crate) fn crc32c_checksum(crc: u32) -> Checksum {
    Checksum { algorithm: Algorithm::Crc32c, value: crc.to_be_bytes().to_vec() }
}

/// The number of a CRC of 64 bits.
pub(crate) fn number64(checksum: &Checksum) -> Option<u64> {
    Some(u64::from_be_bytes(checksum.value.as_slice().try_into().ok()?))
}

/// The number of a CRC of 32 bits.
pub(crate) fn number32(checksum: &Checksum) -> Option<u32> {
    Some(u32::from_be_bytes(checksum.value.as_slice().try_into().ok()?))
}

/// The CRC-64/NVME among the checksums of a document.
pub(crate) fn crc64nvme(checksums: &Checksums) -> Option<u64> {
    decode(checksums.get(Algorithm::Crc64Nvme.name())?)
}

/// The CRC-32C among the checksums of a document.
pub(crate) fn crc32c(checksums: &Checksums) -> Option<u32> {
    number32(&Checksum::parse(Algorithm::Crc32c, checksums.get(Algorithm::Crc32c.name())?)?)
}

/// As documents have it.
pub(crate) fn encode32(crc: u32) -> String {
    BASE64.encode(&crc.to_be_bytes())
}

/// Reads a CRC-64/NVME as headers and documents have it.
pub(crate) fn decode(text: &str) -> Option<u64> {
    number64(&Checksum::parse(Algorithm::Crc64Nvme, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PartNumber;
    use crate::wire::etag::ETag;
    use proptest::prelude::*;

    fn payload(pieces: &[&'static [u8]]) -> Payload {
        Payload { pieces: pieces.iter().map(|piece| Bytes::from_static(piece)).collect(), crc64nvme: None }
    }

    #[test]
    fn the_published_check_value_comes_out() {
        assert_eq!(of_payload(&payload(&[b"1234", b"", b"56789"])), 0xae8b_1486_0a79_9888);
        assert_eq!(crc64nvme_checksum(of_payload(&payload(&[b"hello world"]))).base64(), "jSnVw/bqjr4=");
        assert_eq!(decode("jSnVw/bqjr4="), Some(of_payload(&payload(&[b"hello ", b"world"]))));
        assert_eq!(of_payload(&Payload { crc64nvme: Some(7), ..payload(&[b"x"]) }), 7);
        for bad in ["", "jSnVw/bqjr4", "jSnVw/bqjg==", "?"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn digests_of_pieces_are_those_of_the_whole() {
        let pieces = payload(&[b"hello", b"", b" world"]).pieces;
        assert_eq!(crc32c_of(&payload(&[b"1234", b"56789"]).pieces), 0xe306_9283);
        assert_eq!(crc32c_checksum(crc32c_of(&pieces)).base64(), "yZRlqg==");
        assert_eq!(encode32(crc32c_of(&pieces)), "yZRlqg==");
        assert_eq!(HEXLOWER.encode(&md5_of(&pieces)), "5eb63bbbe01eeed093cb22bb8f5acdc3");
        assert_eq!(sha256_of(&pieces), "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
        let told = Checksums::from([("CRC32C".to_owned(), "yZRlqg==".to_owned()), ("SHA1".to_owned(), "x".to_owned())]);
        assert_eq!((crc32c(&told), crc64nvme(&told)), (Some(crc32c_of(&pieces)), None));
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_whole(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..5)) {
            let whole = of_payload(&Payload::from(Bytes::from(parts.concat())));
            let parts: Vec<Part> = (1..).zip(parts).map(|(number, bytes)| Part {
                number: PartNumber(number),
                etag: ETag::new("x"),
                size: bytes.len() as u64,
                crc64nvme: Some(of_payload(&Payload::from(Bytes::from(bytes)))),
                crc32c: None,
            }).collect();
            prop_assert_eq!(of_parts(&parts), Some(whole));
        }
    }
}
