//! Copies and moves, and what stands in for them where a store cannot bind a copy to a version, or copy into a part.

use crate::store::CopySource;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::client::Client;
use crate::store::ops;
use futures_util::TryStreamExt;
use std::borrow::Cow;
use std::ops::Range;

/// Parts that pass this machine at the same time: each is held in memory, beside what writers hold.
pub(super) const AT_ONCE_MAX: usize = 2;
/// Bytes; the largest part that passes this machine.
const THROUGH_BYTES_MAX: u64 = 256 << 20;

impl Client {
    /// The source as a request may name it. Where a copy cannot be bound to its source's tag, the source is looked at
    /// before: what replaces it in between is copied unseen.
    pub(super) async fn pinned<'a>(&self, op: Op, source: &'a CopySource, key: &str) -> Result<Cow<'a, CopySource>> {
        let Some(want) = source.if_match.as_ref().filter(|_| !self.facts.copy_conditions) else {
            return Ok(Cow::Borrowed(source));
        };
        let there = self.head_object(&source.key).await?.etag;
        if there != *want {
            let message = format!("the source {:?} changed: its tag is {there}, not {want}", source.key);
            return Err(Error::new(op, key, Kind::PreconditionFailed, message));
        }
        Ok(Cow::Owned(CopySource { if_match: None, ..source.clone() }))
    }

    pub(super) async fn move_within(&self, source: &CopySource, key: &str) -> Result<()> {
        let refuse = |kind, message| Err(Error::new(Op::MoveObject, key, kind, message));
        if !self.facts.move_object {
            return refuse(Kind::NotImplemented, "the store cannot move objects");
        }
        // As a copy and a removal of its source it would end with nothing.
        if source.key == key {
            return refuse(Kind::Invalid, "an object cannot be moved onto itself");
        }
        let source = &*self.pinned(Op::MoveObject, source, key).await?;
        self.run(&ops::MoveObject { bucket: &self.options.bucket, source, key }).await
    }

    /// Reads a range of the source and sends it as a part.
    pub(super) async fn copy_part_through(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        let refuse = |kind, message| Err(Error::new(Op::CopyPart, key, kind, message));
        let bytes = range.end - range.start;
        if bytes > THROUGH_BYTES_MAX {
            let message = format!("the store cannot copy parts, and {bytes} bytes are too many to read and send again");
            return refuse(Kind::NotImplemented, message);
        }
        let _one_of_few = self.through.acquire().await.expect("it is never closed");
        let got = self.get_object(&source.key, Some(range.clone()), source.if_match.as_ref()).await?;
        if range.end > got.object.size {
            let message = format!("the source has only {} bytes, not {}", got.object.size, range.end);
            return refuse(Kind::InvalidRange, message);
        }
        let pieces = got.body.try_collect().await?;
        self.put_part(key, upload, number, Payload { pieces, crc64nvme: None }).await
    }
}
