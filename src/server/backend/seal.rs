//! Encryption at rest, as values: keys, how one is wrapped in another, and how a blob is sealed in chunks.
//!
//! Each sealed blob has a key of its own, which the index keeps wrapped in the data directory's master key
//! ([`super::key_file`]), bound to the blob's id. The blob is cut into chunks of [`CHUNK_BYTES`], each sealed with
//! AES-256-GCM under a nonce that says its place and whether it is the last (the STREAM construction of Hoang,
//! Reyhanitabar, Rogaway and Vizár, CRYPTO 2015): a range opens only its own chunks, and what was flipped, moved or cut
//! off does not open. No files here.

use crate::base::random;
use crate::server::backend::record::BlobId;
use aws_lc_rs::aead::AES_256_GCM;
use aws_lc_rs::aead::Aad;
use aws_lc_rs::aead::LessSafeKey;
use aws_lc_rs::aead::NONCE_LEN;
use aws_lc_rs::aead::Nonce;
use aws_lc_rs::aead::UnboundKey;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::Write;
use std::ops::Range;
use zeroize::Zeroizing;

/// Bytes of the content in one chunk; the last one may have fewer.
pub const CHUNK_BYTES: u64 = 64 << 10;
/// The same, where bytes are in memory.
const CHUNK_LEN: usize = 64 << 10;
/// Bytes that sealing adds to a chunk: the tag of AES-GCM.
const TAG_BYTES: u64 = 16;
/// Bytes of a sealed chunk in the file.
const SEALED_BYTES: u64 = CHUNK_BYTES + TAG_BYTES;
/// Bytes of a key of AES-256.
pub const KEY_BYTES: usize = 32;
/// Bytes of a wrapped key: a nonce, the key, a tag.
const WRAPPED_BYTES: usize = NONCE_LEN + KEY_BYTES + 16;

/// What does not open: it was changed, moved or cut off, or was sealed with another key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// A wrapped key.
    #[error("the key of a sealed blob does not open with this encryption key")]
    Key,
    /// A chunk.
    #[error("chunk {0} of a sealed blob is damaged")]
    Chunk(u32),
    /// The file ends before the bytes that it must hold.
    #[error("a sealed blob is too short")]
    Short,
}

/// The keys of some sealed blobs, as the index keeps them.
pub type Seals = BTreeMap<BlobId, WrappedKey>;

/// The key of a blob, sealed with the master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrappedKey([u8; WRAPPED_BYTES]);

impl WrappedKey {
    /// As the index keeps it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// What the index kept; `None` when it is not one.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

/// The key of a data directory. It seals nothing but keys, at most 2^32 of them (NIST SP 800-38D, 8.3), so that
/// their nonces can be random.
pub struct MasterKey(LessSafeKey);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MasterKey").finish_non_exhaustive()
    }
}

impl MasterKey {
    /// Makes it of its bytes.
    #[must_use]
    pub fn new(bytes: &[u8; KEY_BYTES]) -> Self {
        Self(aes(bytes))
    }

    /// Makes a key for one blob, and what the index keeps of it.
    #[must_use]
    pub fn make(&self, id: BlobId) -> (DataKey, WrappedKey) {
        let bytes = Zeroizing::new(random::bytes::<KEY_BYTES>());
        let nonce = random::bytes::<NONCE_LEN>();
        let mut sealed = Zeroizing::new(*bytes);
        let tag = self.0.seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(id.0.to_be_bytes()),
            sealed.as_mut_slice(),
        );
        let tag = tag.expect("AES-GCM seals 32 bytes");
        let mut wrapped = [0; WRAPPED_BYTES];
        let (head, rest) = wrapped.split_at_mut(NONCE_LEN);
        let (body, tail) = rest.split_at_mut(KEY_BYTES);
        head.copy_from_slice(&nonce);
        body.copy_from_slice(sealed.as_slice());
        tail.copy_from_slice(tag.as_ref());
        (DataKey(aes(&bytes)), WrappedKey(wrapped))
    }

    /// Opens the key of a blob.
    pub fn open(&self, id: BlobId, wrapped: &WrappedKey) -> Result<DataKey, Broken> {
        let (nonce, sealed) = wrapped.0.split_at(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).expect("cut to its length");
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let opened = self.0.open_in_place(nonce, Aad::from(id.0.to_be_bytes()), sealed.as_mut_slice());
        let bytes: Option<&[u8; KEY_BYTES]> = opened.ok().and_then(|bytes| (&*bytes).try_into().ok());
        Ok(DataKey(aes(bytes.ok_or(Broken::Key)?)))
    }
}

fn aes(bytes: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, bytes).expect("32 bytes are a key of AES-256"))
}

/// The key of one blob.
pub struct DataKey(LessSafeKey);

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataKey").finish_non_exhaustive()
    }
}

/// Where a chunk stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Others follow.
    Inner,
    /// The content ends with it.
    Last,
}

// Each key seals one blob, and each chunk of it once: number and place alone make the nonce unique.
fn nonce(number: u32, place: Place) -> Nonce {
    let mut bytes = [0; NONCE_LEN];
    bytes[NONCE_LEN - 5..NONCE_LEN - 1].copy_from_slice(&number.to_be_bytes());
    bytes[NONCE_LEN - 1] = u8::from(place == Place::Last);
    Nonce::assume_unique_for_key(bytes)
}

/// Seals the content of one blob while it goes by. Without [`finish`](Self::finish) nothing of it opens at its end.
pub struct Sealer {
    key: DataKey,
    number: u32,
    chunk: Vec<u8>,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Sealer {
    /// Begins a blob.
    #[must_use]
    pub fn new(key: DataKey) -> Self {
        Self { key, number: 0, chunk: Vec::new() }
    }

    /// Takes the next bytes; chunks that are known not to be the last go out.
    pub fn write(&mut self, mut bytes: &[u8], out: &mut impl Write) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.chunk.len() == CHUNK_LEN {
                self.seal(Place::Inner, out)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_LEN - self.chunk.len()));
            self.chunk.extend_from_slice(now);
            bytes = later;
        }
        Ok(())
    }

    /// Ends the content: the last chunk goes out.
    pub fn finish(mut self, out: &mut impl Write) -> io::Result<()> {
        self.seal(Place::Last, out)
    }

    fn seal(&mut self, place: Place, out: &mut impl Write) -> io::Result<()> {
        let sealed = self.key.0.seal_in_place_append_tag(nonce(self.number, place), Aad::empty(), &mut self.chunk);
        sealed.map_err(|_| io::Error::other("a chunk cannot be sealed"))?;
        // Before anything can fail: no number is used twice.
        self.number = self.number.checked_add(1).ok_or_else(|| io::Error::other("a sealed blob is too large"))?;
        let written = out.write_all(&self.chunk);
        self.chunk.clear();
        written
    }
}

/// The chunks that hold a range of the content, and where the range lies in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// What to read, in bytes of the file.
    pub file: Range<u64>,
    first: u32,
    has_last: bool,
    within: Range<usize>,
}

impl Run {
    /// Finds the chunks of a range, which must not be empty, of a file of so many bytes.
    pub fn locate(range: &Range<u64>, file_bytes: u64) -> Result<Self, Broken> {
        assert!(!range.is_empty(), "nothing lies nowhere");
        let chunks = file_bytes.div_ceil(SEALED_BYTES);
        let (first, last) = (range.start / CHUNK_BYTES, (range.end - 1) / CHUNK_BYTES);
        if last >= chunks {
            return Err(Broken::Short);
        }
        let begin = first * CHUNK_BYTES;
        let index = |at: u64| usize::try_from(at - begin).map_err(|_| Broken::Short);
        Ok(Self {
            file: first * SEALED_BYTES..file_bytes.min((last + 1) * SEALED_BYTES),
            first: u32::try_from(first).map_err(|_| Broken::Short)?,
            has_last: last == chunks - 1,
            within: index(range.start)?..index(range.end)?,
        })
    }

    /// Opens what was read of the file and gives the bytes of the range.
    pub fn open(&self, key: &DataKey, mut sealed: Vec<u8>) -> Result<Vec<u8>, Broken> {
        let chunk_len = CHUNK_LEN + AES_256_GCM.tag_len();
        let count = sealed.len().div_ceil(chunk_len);
        let mut end = 0;
        for at in 0..count {
            let number = u32::try_from(at).ok().and_then(|at| self.first.checked_add(at)).ok_or(Broken::Short)?;
            let place = if self.has_last && at + 1 == count { Place::Last } else { Place::Inner };
            let from = at * chunk_len;
            let to = sealed.len().min(from + chunk_len);
            let opened = key.0.open_in_place(nonce(number, place), Aad::empty(), &mut sealed[from..to]);
            let bytes = opened.map_err(|_| Broken::Chunk(number))?.len();
            // Chunks move together where the tags were.
            sealed.copy_within(from..from + bytes, end);
            end += bytes;
        }
        if end < self.within.end {
            return Err(Broken::Short);
        }
        sealed.truncate(self.within.end);
        if self.within.start > 0 {
            sealed.drain(..self.within.start);
        }
        Ok(sealed)
    }
}

#[cfg(test)]
mod tests;
