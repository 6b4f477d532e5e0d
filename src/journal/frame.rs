//! Frames: how a file of appended records tells what was wholly written from what was torn or changed. Pure.
//!
//! A frame is a header of 16 bytes and a payload. The header has a checksum of its own, so that frames can be walked
//! over whose payload was given back to the file system.

use crc_fast::CrcAlgorithm;
use std::ops::Range;

/// Bytes; length, kind, CRC-32C of the payload, CRC-32C of these three. Little endian, 32 bits each.
pub const HEADER_BYTES: usize = 16;

/// A frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the payload.
    pub payload_bytes: u32,
    /// What the payload is; the file's owner knows.
    pub kind: u32,
    /// CRC-32C of the payload.
    pub crc: u32,
}

/// CRC-32C.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    u32::try_from(crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes)).expect("a CRC of 32 bits has as many")
}

impl Header {
    /// The header of a payload, or `None` if it is longer than a frame can say (4 GiB).
    #[must_use]
    pub fn of(kind: u32, payload: &[u8]) -> Option<Self> {
        Some(Self { payload_bytes: u32::try_from(payload.len()).ok()?, kind, crc: crc32c(payload) })
    }

    /// As it is written.
    #[must_use]
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[4..8].copy_from_slice(&self.kind.to_le_bytes());
        out[8..12].copy_from_slice(&self.crc.to_le_bytes());
        let own = crc32c(&out[..12]);
        out[12..].copy_from_slice(&own.to_le_bytes());
        out
    }

    /// Reads one; `None` if it is cut or was changed. Zeros are no header.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        (word(12)? == crc32c(&bytes[..12])).then_some(Self { payload_bytes: word(0)?, kind: word(4)?, crc: word(8)? })
    }
}

/// A whole frame; `None` if the payload is too long for one.
#[must_use]
pub fn encode(kind: u32, payload: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload.len());
    out.extend(Header::of(kind, payload)?.encode());
    out.extend(payload);
    Some(out)
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Kind and place of the payload of each good frame, in order.
    pub frames: Vec<(u32, Range<usize>)>,
    /// Where the first frame begins that is not good, or the end.
    pub good_bytes: usize,
}

/// Reads frames until one is cut or damaged; everything before it is good.
#[must_use]
pub fn scan(bytes: &[u8]) -> Scan {
    let mut found = Scan::default();
    while let Some(header) = bytes.get(found.good_bytes..).and_then(Header::decode) {
        let begin = found.good_bytes + HEADER_BYTES;
        let Some(end) = usize::try_from(header.payload_bytes).ok().and_then(|length| begin.checked_add(length)) else {
            break;
        };
        if bytes.get(begin..end).is_none_or(|payload| crc32c(payload) != header.crc) {
            break;
        }
        found.frames.push((header.kind, begin..end));
        found.good_bytes = end;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;
    use proptest::sample::Index;

    fn written(payloads: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for payload in payloads {
            bytes.extend(encode(7, payload).unwrap());
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    fn read(bytes: &[u8]) -> Vec<Vec<u8>> {
        scan(bytes).frames.into_iter().map(|(_, range)| bytes[range].to_vec()).collect()
    }

    #[test]
    fn zeros_after_the_end_are_no_frames() {
        let (mut bytes, ends) = written(&[b"a".to_vec()]);
        bytes.extend([0; 64]);
        assert_eq!((scan(&bytes).good_bytes, scan(&bytes).frames.len()), (ends[1], 1));
    }

    proptest! {
        #[test]
        fn any_cut_leaves_the_whole_frames_before_it(payloads in vec(vec(any::<u8>(), 0..20), 0..6), cut in any::<Index>()) {
            let (bytes, ends) = written(&payloads);
            let cut = cut.index(bytes.len() + 1);
            let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
            prop_assert_eq!(read(&bytes[..cut]), payloads[..whole].to_vec());
            prop_assert_eq!(scan(&bytes[..cut]).good_bytes, ends[whole]);
        }

        #[test]
        fn any_flipped_bit_ends_what_is_good(payloads in vec(vec(any::<u8>(), 0..20), 1..6), bit in any::<Index>()) {
            let (mut bytes, ends) = written(&payloads);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let before = ends.iter().filter(|end| **end <= bit / 8).count() - 1;
            prop_assert_eq!(read(&bytes), payloads[..before].to_vec());
            prop_assert!(scan(&bytes).good_bytes <= bit / 8);
        }
    }
}
