//! Objects in a bucket: one small trait, its values, and what implements it.
//!
//! The trait speaks S3's verbs and knows nothing of files. A [`Store`] is bound to one bucket; keys are whole
//! object keys. Implementations: the network client, the in-memory fake ([`memory`]), and decorators over either
//! ([`layers`]). All of them pass one conformance suite.

pub(crate) mod checksum;
pub mod client;
pub mod credentials;
pub mod error;
pub mod layers;
pub mod line;
pub mod memory;
mod metadata;
mod ops;
pub mod probe;
pub mod provider;

pub use crate::wire::date::AmzDate;
pub use crate::wire::dialect::Dialect;
pub use crate::wire::etag::ETag;
pub use error::Error;
pub use error::Kind;
pub use error::Op;

use crate::base::clock;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

/// What a store call answers.
pub type Result<T> = std::result::Result<T, Error>;

/// The bytes of an object as they arrive. An error ends the stream; a short body is an error.
pub type Body = BoxStream<'static, Result<Bytes>>;

/// User metadata: lower-case names without the dialect's prefix, values as text.
pub type Metadata = BTreeMap<String, String>;

/// What is true of a provider. Ask for a fact, never for a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// How it speaks, and with it how it makes tags.
    pub dialect: Dialect,
    /// `If-Match` and `If-None-Match` on put and complete are honoured.
    pub conditional_writes: bool,
    /// Many keys can be deleted by one request.
    pub multi_delete: bool,
    /// A part can be copied from another object.
    pub copy_part: bool,
    /// A copy can be bound to the tag of its source.
    pub copy_conditions: bool,
    /// An object can be moved to another key by one request.
    pub move_object: bool,
    /// User metadata is kept with objects.
    pub user_metadata: bool,
    /// All parts but the last must have one size, and the last must not be larger.
    pub equal_parts: bool,
    /// The storage classes that may be asked for; any if there are none here.
    pub storage_classes: &'static [&'static str],
    /// A listing carries the user metadata of each object (MinIO's `metadata=true`, which the bundled backend has too).
    pub listing_metadata: bool,
    /// Bytes; smallest part that is not the last.
    pub part_bytes_min: u64,
    /// Bytes; largest part.
    pub part_bytes_max: u64,
    /// Bytes; parts are made no larger than this as long as nobody asks for it.
    pub part_bytes_preferred_max: u64,
    /// Largest number of parts of one upload.
    pub parts_max: u32,
    /// Bytes; largest object that one put or one copy takes.
    pub put_bytes_max: u64,
    /// Bytes; longest key.
    pub key_bytes_max: usize,
    /// Bytes; largest sum of names and values of user metadata.
    pub metadata_bytes_max: usize,
}

impl Facts {
    /// Amazon S3's figures, which most others share (user guide, "Multipart upload limits", "Object metadata").
    pub const S3: Self = Self {
        dialect: Dialect::S3,
        conditional_writes: true,
        multi_delete: true,
        copy_part: true,
        copy_conditions: true,
        move_object: false,
        user_metadata: true,
        equal_parts: false,
        storage_classes: &[],
        listing_metadata: false,
        part_bytes_min: 5 << 20,
        part_bytes_max: 5 << 30,
        part_bytes_preferred_max: 5 << 30,
        parts_max: 10_000,
        put_bytes_max: 5 << 30,
        key_bytes_max: 1024,
        metadata_bytes_max: 2048,
    };
}

/// The headers kept with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Headers {
    /// `Content-Type`; the store's default when `None`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Expires`, as text.
    pub expires: Option<String>,
    /// Storage class; the store's default when `None`.
    pub storage_class: Option<String>,
    /// How the store is to encrypt it; as the bucket says when `None`. Said with each write and not read back: an object
    /// that is copied is encrypted anew.
    pub server_side_encryption: Option<String>,
    /// User metadata.
    pub metadata: Metadata,
}

/// What HEAD and GET tell of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes of the whole object, also when a range was asked for.
    pub size: u64,
    /// Its version, as far as the store tells.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: SystemTime,
    /// The headers kept with it.
    pub headers: Headers,
}

/// What a read of an object answers.
pub struct GetObject {
    /// The object that `body` belongs to.
    pub object: Object,
    /// The bytes asked for, and no others.
    pub body: Body,
}

/// Bytes to be sent, in pieces, so that a retry costs no copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload {
    /// The bytes, in order.
    pub pieces: Vec<Bytes>,
    /// CRC-64/NVME of all of them, when it is already known; the client computes what it sends otherwise.
    pub crc64nvme: Option<u64>,
}

impl Payload {
    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self { pieces: vec![bytes], crc64nvme: None }
    }
}

/// Under which condition a write may replace what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// Always.
    #[default]
    None,
    /// Only if no object has the key: `If-None-Match: *`.
    Absent,
    /// Only if the object there has this tag: `If-Match`.
    Matches(ETag),
}

/// Where a copy takes its bytes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopySource {
    /// Key of an object in the same bucket.
    pub key: String,
    /// Fail with [`Kind::PreconditionFailed`] unless the source still has this tag.
    pub if_match: Option<ETag>,
}

/// The number of a part, `1..=10000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PartNumber(pub u32);

/// Names one unfinished multipart upload, together with its key. Opaque.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UploadId(pub String);

/// A part that the store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its number.
    pub number: PartNumber,
    /// Its tag, to be repeated in complete.
    pub etag: ETag,
    /// Bytes.
    pub size: u64,
    /// CRC-64/NVME, when the store or the sender knows it.
    pub crc64nvme: Option<u64>,
    /// CRC-32C, when the store or the sender knows it.
    pub crc32c: Option<u32>,
}

/// An unfinished upload, from a listing of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The key that it would write.
    pub key: String,
    /// Its id.
    pub id: UploadId,
    /// When it was begun.
    pub initiated: SystemTime,
}

/// One page of a listing is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListObjects {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that share what stands before this text (after the prefix) are rolled into one common prefix.
    pub delimiter: Option<String>,
    /// Only keys after this one; for the first page only.
    pub start_after: Option<String>,
    /// From [`ListPage::next`].
    pub continuation: Option<String>,
    /// At most so many entries; the store's own limit (1000) when `None`.
    pub limit: Option<u32>,
}

/// One key of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its tag.
    pub etag: ETag,
    /// When it was written.
    pub last_modified: SystemTime,
    /// Its user metadata, where listings carry them ([`Facts::listing_metadata`]).
    pub metadata: Option<Metadata>,
}

/// One page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Keys, ascending by their UTF-8 bytes.
    pub objects: Vec<Listed>,
    /// Common prefixes, delimiter included, ascending.
    pub prefixes: Vec<String>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

/// A bucket of objects.
///
/// Every method is one operation of S3, safe to call at the same time from many tasks. Errors carry a [`Kind`] that
/// tells what to do. A lost answer is not a lost request: after [`Kind::Network`] a write may have happened.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What is true of this provider.
    fn facts(&self) -> &Facts;

    /// The time by the store's clock, as far as that is known: the one that its objects and uploads are dated by.
    fn now(&self) -> SystemTime {
        clock::now()
    }

    /// Whether the bucket is there and may be used.
    async fn head_bucket(&self) -> Result<()>;

    /// Metadata of an object. [`Kind::NotFound`] if there is none.
    async fn head_object(&self, key: &str) -> Result<Object>;

    /// Bytes of an object: all, or a range within it (never empty). With `if_match`, [`Kind::PreconditionFailed`] when
    /// the object has another tag. [`Kind::InvalidRange`] when the range begins at or after the end.
    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject>;

    /// Writes a whole object.
    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag>;

    /// Removes an object; one that is not there counts as removed.
    async fn delete_object(&self, key: &str) -> Result<()>;

    /// Removes many objects and answers with those that could not be. Any number of keys.
    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>>;

    /// Copies an object within the bucket, up to [`Facts::put_bytes_max`]. `headers` replaces those of the source;
    /// `None` keeps them.
    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag>;

    /// Moves an object to another key, where [`Facts::move_object`] says so; like a copy followed by the removal of its
    /// source, in one request. Headers are kept.
    async fn move_object(&self, source: &CopySource, key: &str) -> Result<()> {
        let _ = source;
        Err(Error::new(Op::MoveObject, key, Kind::NotImplemented, "the store cannot move objects"))
    }

    /// One page of keys.
    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage>;

    /// Begins a multipart upload. An object of that name is untouched until complete.
    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId>;

    /// Sends one part; a part number may be sent again and is replaced.
    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part>;

    /// Makes a part from bytes of another object. `range` must lie within the source.
    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part>;

    /// Turns the parts, ascending by number, into the object.
    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag>;

    /// Drops an unfinished upload and its parts; one that is not there counts as dropped.
    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()>;

    /// The parts of an unfinished upload, ascending, all pages.
    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>>;

    /// The unfinished uploads under a prefix, all pages.
    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>>;
}
