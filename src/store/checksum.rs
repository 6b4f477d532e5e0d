//! CRC-64/NVME of what is sent, and of a whole object from that of its parts.

use crate::store::Part;
use crate::store::Payload;
use crc_fast::CrcAlgorithm;
use crc_fast::Digest;
use data_encoding::BASE64;

/// The checksum of a payload: the one it brings along, or computed now.
pub(crate) fn of_payload(payload: &Payload) -> u64 {
    payload.crc64nvme.unwrap_or_else(|| {
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        for piece in &payload.pieces {
            digest.update(piece);
        }
        digest.finalize()
    })
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

/// As headers and documents have it.
pub(crate) fn encode(crc: u64) -> String {
    BASE64.encode(&crc.to_be_bytes())
}

/// Reads what [`encode`] writes.
pub(crate) fn decode(text: &str) -> Option<u64> {
    let bytes = BASE64.decode(text.trim().as_bytes()).ok()?;
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::PartNumber;
    use crate::wire::etag::ETag;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn payload(pieces: &[&'static [u8]]) -> Payload {
        Payload { pieces: pieces.iter().map(|piece| Bytes::from_static(piece)).collect(), crc64nvme: None }
    }

    #[test]
    fn the_published_check_value_comes_out() {
        assert_eq!(of_payload(&payload(&[b"1234", b"", b"56789"])), 0xae8b_1486_0a79_9888);
        assert_eq!(encode(of_payload(&payload(&[b"hello world"]))), "jSnVw/bqjr4=");
        assert_eq!(decode("jSnVw/bqjr4="), Some(of_payload(&payload(&[b"hello ", b"world"]))));
        assert_eq!(of_payload(&Payload { crc64nvme: Some(7), ..payload(&[b"x"]) }), 7);
        for bad in ["", "jSnVw/bqjr4", "jSnVw/bqjg==", "?"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
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
            }).collect();
            prop_assert_eq!(of_parts(&parts), Some(whole));
        }
    }
}
