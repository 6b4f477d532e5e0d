//! Copies that cannot share the blobs of their source, because one of the two is sealed and the other is not. The bytes
//! are read and written anew, before the index changes and outside of its transaction.

use crate::server::backend::Backend;
use crate::server::backend::blobs::Blobs;
use crate::server::backend::blobs::Pending;
use crate::server::backend::error::Error;
use crate::server::backend::error::Result;
use crate::server::backend::index;
use crate::server::backend::index::Snapshot;
use crate::server::backend::readers::Reading;
use crate::server::backend::reading::Reader;
use crate::server::backend::record::Content;
use crate::server::backend::record::ObjectRecord;
use crate::server::backend::record::PartRecord;
use crate::server::backend::record::Piece;
use crate::server::backend::record::Protection;
use crate::server::backend::seal::Seals;
use crate::server::backend::tables::CopyObject;
use crate::server::backend::tables::Name;
use crate::server::backend::tables::NewObject;
use crate::server::backend::uploads::CopyPart;
use crate::server::condition::ReadCondition;
use std::sync::Arc;

impl Backend {
    /// Copies an object by writing its bytes anew.
    pub async fn rewrite_object(&self, copy: CopyObject) -> Result<ObjectRecord> {
        let reading = self.enter();
        let (copy, record, content, seals) = self
            .read(move |snapshot| {
                snapshot.check_write(&copy.target.bucket, &copy.target.key, &copy.target_condition)?;
                let (source, content, seals) = source(snapshot, &copy.source, &copy.source_condition)?;
                let record = copy.record(source, snapshot.bucket_class(&copy.target.bucket)?)?;
                Ok((copy, record, content, seals))
            })
            .await?;
        let Content { pieces, part_sizes } = content;
        let (pieces, pending) = self.rewrite(pieces, seals, reading, record.attributes.protection()).await?;
        let object = NewObject { record: record.clone(), content: Content { pieces, part_sizes }, pending };
        self.write(move |tables| tables.put_object(&copy.target, object, &copy.target_condition)).await?;
        Ok(record)
    }

    /// Makes a part by writing bytes of another object anew.
    pub async fn rewrite_part(&self, copy: CopyPart) -> Result<PartRecord> {
        let reading = self.enter();
        let (copy, mut part, seals, protection) = self
            .read(move |snapshot| {
                let Name { bucket, key } = &copy.upload.name;
                let upload = snapshot.upload(bucket, key, &copy.upload.id)?;
                let (source, content, seals) = source(snapshot, &copy.source, &copy.source_condition)?;
                let (mut part, range) = copy.part(&upload, &source)?;
                part.pieces = content.slice(range);
                Ok((copy, part, seals, upload.attributes.protection()))
            })
            .await?;
        let (pieces, pending) = self.rewrite(std::mem::take(&mut part.pieces), seals, reading, protection).await?;
        part.pieces = pieces;
        let answered = part.clone();
        self.write(move |tables| tables.put_part(&copy.upload, copy.number, &part, pending)).await?;
        Ok(answered)
    }

    async fn rewrite(
        &self,
        pieces: Vec<Piece>,
        seals: Seals,
        reading: Reading,
        protection: Protection,
    ) -> Result<(Vec<Piece>, Option<Pending>)> {
        let bytes: u64 = pieces.iter().map(Piece::len).sum();
        if bytes == 0 {
            return Ok((Vec::new(), None));
        }
        let (blobs, sync) = (Arc::clone(self.blobs()), self.syncs());
        let reader = Reader::new(Arc::clone(&blobs), pieces, seals, reading)?;
        let written = tokio::task::spawn_blocking(move || write(reader, &blobs, protection, sync)).await;
        let pending = written.unwrap_or_else(|error| Err(Error::Storage(error.to_string())))?;
        Ok((vec![Piece::Blob { id: pending.id(), offset: 0, bytes }], Some(pending)))
    }
}

fn source(snapshot: &Snapshot, name: &Name, condition: &ReadCondition) -> Result<(ObjectRecord, Content, Seals)> {
    let record = index::admit(condition, snapshot.object(&name.bucket, &name.key)?)?;
    let content = snapshot.content(&name.bucket, &name.key)?;
    let seals = snapshot.seals(&record, &content)?;
    Ok((record, content, seals))
}

fn write(reader: Reader, blobs: &Blobs, protection: Protection, sync: bool) -> Result<Pending> {
    let mut pending = blobs.create(protection)?;
    for bytes in reader {
        pending.write(&bytes?)?;
    }
    pending.close(sync)?;
    Ok(pending)
}
