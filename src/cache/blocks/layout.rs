//! How blocks lie on the disk, and how they are told from torn and damaged ones. Pure.
//!
//! A version of an object has two files. One has its blocks where they are in the object, with holes where there are none.
//! The other begins with a header and has an entry for each block: its checksum, and a checksum of that. An entry is
//! written after its block. Nothing is synced: what a power cut leaves of either is found out by the checksums.

use crate::store::ETag;
use crc_fast::CrcAlgorithm;
use data_encoding::HEXLOWER;
use sha2::Digest;
use sha2::Sha256;
use std::ops::Range;

/// Bytes of a block: what is kept or not kept as one, and has one checksum. As large as a segment of the memory that it
/// arrives in, so that it is written from there without a copy. A read of 4 KiB from the disk checks all of it, which
/// takes some 20 microseconds.
pub const BLOCK_BYTES: u64 = 256 << 10;

/// Bytes of the header.
pub const HEADER_BYTES: usize = 64;
/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 8;
/// What the header begins with.
const MAGIC: [u8; 16] = *b"brigade blocks 1";

/// Names one version of one object of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionId([u8; 32]);

impl VersionId {
    /// Of the object in `source` with this key, as long as it has this tag and size.
    #[must_use]
    pub fn new(source: &str, key: &str, etag: &ETag, size: u64) -> Self {
        let mut hash = Sha256::new();
        for part in [source, key, etag.as_str()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(size.to_le_bytes());
        Self(hash.finalize().into())
    }

    /// As a name of a file.
    #[must_use]
    pub fn name(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// Reads a name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(Self(HEXLOWER.decode(name.as_bytes()).ok()?.try_into().ok()?))
    }
}

/// How many blocks an object of `size` bytes has.
#[must_use]
pub fn blocks(size: u64) -> u64 {
    size.div_ceil(BLOCK_BYTES)
}

/// Which bytes of an object of `size` bytes a block has.
#[must_use]
pub fn block_range(size: u64, block: u64) -> Range<u64> {
    let start = block.saturating_mul(BLOCK_BYTES).min(size);
    start..(start + BLOCK_BYTES).min(size)
}

/// Where the entry of a block is.
#[must_use]
pub fn entry_at(block: u64) -> u64 {
    HEADER_BYTES as u64 + block * ENTRY_BYTES as u64
}

/// The header of a version.
#[must_use]
pub fn header(id: &VersionId, size: u64) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..16].copy_from_slice(&MAGIC);
    out[16..48].copy_from_slice(&id.0);
    out[48..56].copy_from_slice(&size.to_le_bytes());
    let block_bytes = u32::try_from(BLOCK_BYTES).expect("a small constant");
    out[56..60].copy_from_slice(&block_bytes.to_le_bytes());
    let own = crc32c(&[&out[..60]]);
    out[60..].copy_from_slice(&own.to_le_bytes());
    out
}

/// The entry of a block with this checksum.
#[must_use]
pub fn entry(id: &VersionId, block: u64, sum: u32) -> [u8; ENTRY_BYTES] {
    let mut out = [0; ENTRY_BYTES];
    out[..4].copy_from_slice(&sum.to_le_bytes());
    let own = crc32c(&[&id.0, &block.to_le_bytes(), &sum.to_le_bytes()]);
    out[4..].copy_from_slice(&own.to_le_bytes());
    out
}

/// The size of a version and the checksums of its blocks, by their numbers; `None` if these are not those of `id`. Entries
/// that are torn or damaged are left out.
#[must_use]
pub fn read(id: &VersionId, bytes: &[u8]) -> Option<(u64, Vec<(u64, u32)>)> {
    let head = bytes.get(..HEADER_BYTES)?;
    let size = u64::from_le_bytes(head[48..56].try_into().ok()?);
    if head != header(id, size) {
        return None;
    }
    let entries = bytes[HEADER_BYTES..].chunks_exact(ENTRY_BYTES).zip(0..blocks(size));
    let good = entries.filter_map(|(found, block)| {
        let sum = u32::from_le_bytes([found[0], found[1], found[2], found[3]]);
        (found == entry(id, block, sum)).then_some((block, sum))
    });
    Some((size, good.collect()))
}

/// CRC-32C of some pieces, one after the other.
#[must_use]
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi);
    for piece in pieces {
        digest.update(piece);
    }
    u32::try_from(digest.finalize()).expect("a CRC of 32 bits has as many")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::btree_map;
    use proptest::prelude::any;
    use proptest::prop_assert;
    use proptest::prop_assert_eq;
    use proptest::proptest;
    use proptest::sample::Index;

    fn id(n: u8) -> VersionId {
        VersionId([n; 32])
    }

    #[test]
    fn whatever_differs_gives_another_version() {
        let (one, two) = (ETag::new("1"), ETag::new("2"));
        let first = VersionId::new("s", "k", &one, 3);
        assert_eq!(first, VersionId::new("s", "k", &ETag::new("\"1\""), 3));
        let others = [
            VersionId::new("t", "k", &one, 3),
            VersionId::new("s", "l", &one, 3),
            VersionId::new("s", "k", &two, 3),
            VersionId::new("s", "k", &one, 4),
            VersionId::new("sk", "", &one, 3),
        ];
        assert!(!others.contains(&first));
        assert_eq!(VersionId::parse(&first.name()), Some(first));
        assert_eq!(VersionId::parse("lock"), None);
    }

    #[test]
    fn blocks_cover_an_object_exactly() {
        for size in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 5 * BLOCK_BYTES] {
            let mut at = 0;
            for block in 0..blocks(size) {
                let range = block_range(size, block);
                assert!(range.start == at && range.end > at, "{size}: {range:?}");
                at = range.end;
            }
            assert_eq!(at, size);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_what_is_damaged_is_not(
            held in btree_map(0..20_u64, any::<u32>(), 0..10), bit in any::<Index>(), cut in any::<Index>(),
        ) {
            let size = 20 * BLOCK_BYTES;
            let mut bytes = header(&id(1), size).to_vec();
            for block in 0..20 {
                bytes.extend(held.get(&block).map_or([0; ENTRY_BYTES], |sum| entry(&id(1), block, *sum)));
            }
            let all: Vec<_> = held.iter().map(|(block, sum)| (*block, *sum)).collect();
            prop_assert_eq!(read(&id(1), &bytes), Some((size, all.clone())));
            prop_assert_eq!(read(&id(2), &bytes), None, "another version's");
            let mut torn = bytes.clone();
            torn.truncate(cut.index(bytes.len()));
            let some = read(&id(1), &torn).map(|(_, blocks)| blocks).unwrap_or_default();
            prop_assert!(some.iter().all(|block| all.contains(block)));
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            let some = read(&id(1), &bytes).map(|(_, blocks)| blocks).unwrap_or_default();
            prop_assert!(some.iter().all(|block| all.contains(block)));
        }
    }
}
