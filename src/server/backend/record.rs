//! What is kept in the index, as values. How they are looked up and changed is the business of the other files here.
//!
//! Encoded by postcard, which names no fields: a change to a type here is a new [`super::index::FORMAT`].

use crate::wire::checksum::Checksum;
use crate::wire::checksum::Scope;
use crate::wire::etag::ETag;
use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::Range;
use std::time::Duration;
use std::time::SystemTime;

/// A point in time: milliseconds since 1970, which is what the wire can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Millis(pub u64);

impl Millis {
    /// The time as others take it.
    #[must_use]
    pub fn time(self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0)
    }
}

impl From<SystemTime> for Millis {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// When it was made.
    pub created: Millis,
}

/// The header that asks for encryption at rest, and tells of it.
pub const ENCRYPTION_HEADER: &str = "x-amz-server-side-encryption";
/// Its value for keys that the server keeps.
pub const ENCRYPTION: &str = "AES256";

/// How the bytes of an object lie on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// As they are.
    Plain,
    /// Encrypted, all of them; none lives in the index.
    Sealed,
}

/// The headers kept with an object. Values are bytes: what a client sent in another charset comes back unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// `Content-Type`, `Cache-Control` and so on, by lower-case name.
    pub headers: Vec<(String, Bytes)>,
    /// User metadata by lower-case name without prefix, ascending.
    pub metadata: Vec<(String, Bytes)>,
    /// Other than `STANDARD`.
    pub storage_class: Option<String>,
}

impl Attributes {
    /// How the object's bytes lie on disk. What the headers say is true: no blob of a sealed object is plain, none of
    /// a plain one is sealed.
    #[must_use]
    pub fn protection(&self) -> Protection {
        let is_sealed = self.headers.iter().any(|(name, _)| name == ENCRYPTION_HEADER);
        if is_sealed { Protection::Sealed } else { Protection::Plain }
    }

    /// Says how the object's bytes lie on disk.
    pub fn set_protection(&mut self, protection: Protection) {
        self.headers.retain(|(name, _)| name != ENCRYPTION_HEADER);
        match protection {
            Protection::Plain => {}
            Protection::Sealed => {
                self.headers.push((ENCRYPTION_HEADER.to_owned(), Bytes::from_static(ENCRYPTION.as_bytes())));
            }
        }
    }
}

/// A checksum, and of what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectChecksum {
    /// The value.
    pub checksum: Checksum,
    /// Of the bytes, or of the checksums of so many parts.
    pub scope: Scope,
    /// How many parts, when it is of them.
    pub parts: u32,
}

/// What a listing or a HEAD needs of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Bytes.
    pub size: u64,
    /// Its tag.
    pub etag: ETag,
    /// When it was written.
    pub modified: Millis,
    /// The headers kept with it.
    pub attributes: Attributes,
    /// Its checksum, if the writer gave or asked for one.
    pub checksum: Option<ObjectChecksum>,
}

/// Names one blob for ever; ids are never used again. The upper 24 bits count the starts of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BlobId(pub u64);

/// Some bytes of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Piece {
    /// Few enough to live in the index.
    Inline(Bytes),
    /// A run of a blob.
    Blob {
        /// Which.
        id: BlobId,
        /// Where it begins, in bytes of the content, also of a sealed one.
        offset: u64,
        /// How long it is, in bytes; not zero.
        bytes: u64,
    },
}

impl Piece {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob { bytes, .. } => *bytes,
        }
    }

    /// Whether it has none; such a piece is never stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A run within the piece.
    fn slice(&self, range: Range<u64>) -> Self {
        match self {
            Self::Inline(bytes) => {
                let index = |at: u64| usize::try_from(at).expect("within bytes that are in memory");
                Self::Inline(bytes.slice(index(range.start)..index(range.end)))
            }
            Self::Blob { id, offset, .. } => {
                Self::Blob { id: *id, offset: offset + range.start, bytes: range.end - range.start }
            }
        }
    }
}

/// The bytes of an object: pieces one after another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// In order; none is empty.
    pub pieces: Vec<Piece>,
    /// Bytes of each part of a multipart object; empty for others.
    pub part_sizes: Vec<u64>,
}

impl Content {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(Piece::len).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The pieces that make up a range of the bytes; the range must lie within them.
    #[must_use]
    pub fn slice(&self, range: Range<u64>) -> Vec<Piece> {
        let mut out = Vec::new();
        let mut at = 0;
        for piece in &self.pieces {
            let (start, end) = (at, at + piece.len());
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                out.push(piece.slice(from - start..to - start));
            }
            at = end;
        }
        assert!(range.end <= at, "a range beyond the object's end");
        out
    }
}

/// The blobs that pieces name, one entry for each piece that does.
pub fn blobs_of(pieces: &[Piece]) -> impl Iterator<Item = BlobId> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Inline(_) => None,
        Piece::Blob { id, .. } => Some(*id),
    })
}

/// An unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadRecord {
    /// When it was begun.
    pub initiated: Millis,
    /// The headers of the object to be.
    pub attributes: Attributes,
    /// Which checksum its parts and the object have, if that was asked for.
    pub checksum: Option<(crate::wire::checksum::Algorithm, Scope)>,
}

/// One part of an unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartRecord {
    /// Bytes.
    pub size: u64,
    /// MD5 of its bytes.
    pub md5: [u8; 16],
    /// When it was written.
    pub modified: Millis,
    /// Its checksum, if there is one.
    pub checksum: Option<Checksum>,
    /// Its bytes.
    pub pieces: Vec<Piece>,
}

/// An upload that was completed, so that a repeated request can be answered as the first one was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FinishedRecord {
    /// Bucket and key, as in the index.
    pub key: Vec<u8>,
    /// The parts that were named: number and tag.
    pub parts: Vec<(u32, ETag)>,
    /// The object that they became.
    pub object: ObjectRecord,
}

/// Encodes a value for the index.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    postcard::to_stdvec(value).expect("a vector takes any value, and none of ours refuses")
}

/// Decodes a value of the index; `None` when it is not one.
#[must_use]
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    postcard::from_bytes(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn bytes_of(pieces: &[Piece], blob: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Inline(bytes) => out.extend_from_slice(bytes),
                Piece::Blob { offset, bytes, .. } => {
                    let at = usize::try_from(*offset).unwrap();
                    out.extend_from_slice(&blob[at..at + usize::try_from(*bytes).unwrap()]);
                }
            }
        }
        out
    }

    proptest! {
        #[test]
        fn a_slice_has_the_bytes_of_the_range(
            layout in vec((any::<bool>(), 0u64..40, 1u64..10), 0..6),
            cut in (0u64..60, 0u64..60),
        ) {
            let blob: Vec<u8> = (0..50).collect();
            let pieces = layout.iter().map(|(inline, offset, bytes)| match inline {
                true => Piece::Inline(Bytes::from(vec![200; usize::try_from(*bytes).unwrap()])),
                false => Piece::Blob { id: BlobId(1), offset: *offset, bytes: *bytes },
            });
            let content = Content { pieces: pieces.collect(), part_sizes: vec![] };
            let whole = bytes_of(&content.pieces, &blob);
            let (start, end) = (cut.0.min(content.len()), cut.1.min(content.len()));
            let (start, end) = (start.min(end), end);
            let sliced = content.slice(start..end);
            prop_assert!(sliced.iter().all(|piece| !piece.is_empty()));
            let (from, to) = (usize::try_from(start).unwrap(), usize::try_from(end).unwrap());
            prop_assert_eq!(bytes_of(&sliced, &blob), &whole[from..to]);
            prop_assert_eq!(decode::<Content>(&encode(&content)), Some(content));
        }
    }
}
