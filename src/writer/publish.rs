//! A planned commit, done: its parts copied or sent side by side, the object completed. Decides nothing.

use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::checksum;
use crate::writer::disk::fill;
use crate::writer::overlay::Piece;
use crate::writer::perform::abort;
use crate::writer::perform::sendable;
use crate::writer::plan::Part;
use crate::writer::plan::Plan;
use crate::writer::stream::Base;
use crate::writer::stream::Context;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use tokio::sync::Semaphore;

/// Parts that hold bytes read from objects or the disk at the same time: those are in memory beside what was written.
const GATHERED_AT_ONCE: usize = 2;

/// Bytes between two ranges of an object that are read and dropped rather than asked for by two requests.
const GAP_BYTES_MAX: u64 = 1 << 20;

/// Bytes of such a gap that are read along in any case.
const GAP_BYTES_MIN: u64 = 64 << 10;

/// Zeros that payloads share.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// Where an object goes.
pub struct Target {
    /// Its key.
    pub key: String,
    /// Its headers.
    pub headers: Headers,
    /// What must hold for it to be replaced.
    pub condition: Condition,
    /// An upload of the same contents that did not come to its end.
    pub resumed: Option<UploadId>,
}

/// What the plan refers to.
pub trait Contents: Send + Sync {
    /// The pieces of a range of the file.
    fn pieces(&self, range: Range<u64>) -> Vec<Piece>;
    /// An object by its number.
    fn source(&self, source: usize) -> Base;
    /// Bytes of the file.
    fn size(&self) -> u64;
    /// An upload was begun for it.
    fn begun(&self, key: &str, headers: &Headers, upload: &UploadId);
    /// Whether it will be tried again after a failure, so that what was uploaded is not in vain.
    fn outlives_failure(&self) -> bool;
}

/// Publishes a file, once. An upload that has vanished ([`Kind::NoSuchUpload`]) may be begun again.
///
/// # Errors
/// Why it was not; nothing is left behind then, as far as that can be reached.
pub async fn publish(context: &Context, contents: &dyn Contents, target: Target, plan: &Plan) -> Result<ETag, Error> {
    if let (Some(upload), Plan::Whole | Plan::Copy(_)) = (&target.resumed, plan) {
        // The file was larger then.
        abort(context.store.as_ref(), &target.key, upload).await;
    }
    match plan {
        Plan::Whole => put(context, contents, target).await,
        Plan::Copy(source) => copy(context.store.as_ref(), contents.source(*source), target).await,
        Plan::Parts(parts) => put_parts(context, contents, target, parts).await,
    }
}

async fn put(context: &Context, contents: &dyn Contents, target: Target) -> Result<ETag, Error> {
    let Target { key, headers, condition, .. } = target;
    let store = context.store.as_ref();
    let payload = gather(store, &context.pool, contents.pieces(0..contents.size())).await?;
    let condition = sendable(store, Op::PutObject, &key, condition).await?;
    store.put_object(&key, payload, &headers, &condition).await
}

async fn copy(store: &dyn Store, source: Base, target: Target) -> Result<ETag, Error> {
    let Target { key, headers, condition, .. } = target;
    sendable(store, Op::CopyObject, &key, condition).await?;
    let from = CopySource { key: source.key, if_match: Some(source.etag.clone()) };
    let etag = store.copy_object(&from, &key, Some(&headers)).await?;
    // An equal tag says that the bytes are equal; a copy of an object of several parts has another one.
    if etag != source.etag {
        let there = store.head_object(&key).await?;
        if there.size != source.size || there.etag != etag {
            let message = format!("the copy has {} bytes instead of {}", there.size, source.size);
            return Err(Error::new(Op::CopyObject, key, Kind::Corrupt, message));
        }
    }
    Ok(etag)
}

async fn put_parts(context: &Context, contents: &dyn Contents, target: Target, parts: &[Part]) -> Result<ETag, Error> {
    let Target { key, headers, condition, resumed } = target;
    let store = context.store.as_ref();
    let (upload, there) = match resumed {
        Some(upload) => resume(store, &key, upload).await?,
        None => None,
    }
    .unzip();
    let upload = match upload {
        Some(upload) => upload,
        None => {
            let upload = store.create_upload(&key, &headers).await?;
            contents.begun(&key, &headers, &upload);
            upload
        }
    };
    let there = there.unwrap_or_default();
    let (failed, gathering) = (AtomicBool::new(false), Semaphore::new(GATHERED_AT_ONCE));
    let numbered = (1..).map(PartNumber).zip(parts.iter().cloned());
    let performed = stream::iter(numbered).map(|(number, part)| {
        let (key, upload, failed, gathering) = (&key, &upload, &failed, &gathering);
        let there = there.get(&number);
        async move {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            let done = put_part(context, contents, (key, upload), (number, part, there), gathering).await;
            failed.fetch_or(done.is_err(), Ordering::Relaxed);
            Some(done)
        }
    });
    // To the end also after a failure: an abort that overtakes a part leaves that part behind, stored and billed.
    let performed: Vec<_> = performed.buffer_unordered(context.in_flight_max).collect().await;
    let stored: Result<Vec<_>, Error> = performed.into_iter().flatten().collect();
    let completed = match stored {
        Ok(mut parts) => {
            parts.sort_by_key(|part| part.number);
            match sendable(store, Op::CompleteUpload, &key, condition).await {
                Ok(condition) => store.complete_upload(&key, &upload, &parts, &condition).await,
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    if completed.is_err() && !contents.outlives_failure() {
        abort(store, &key, &upload).await;
    }
    completed
}

/// The parts that an upload has already; `None` if it has ended.
async fn resume(
    store: &dyn Store,
    key: &str,
    upload: UploadId,
) -> Result<Option<(UploadId, BTreeMap<PartNumber, crate::store::Part>)>, Error> {
    match store.list_parts(key, &upload).await {
        Ok(parts) => Ok(Some((upload, parts.into_iter().map(|part| (part.number, part)).collect()))),
        Err(error) if error.kind == Kind::NoSuchUpload => Ok(None),
        Err(error) => Err(error),
    }
}

async fn put_part(
    context: &Context,
    contents: &dyn Contents,
    (key, upload): (&str, &UploadId),
    (number, part, there): (PartNumber, Part, Option<&crate::store::Part>),
    gathering: &Semaphore,
) -> Result<crate::store::Part, Error> {
    let store = context.store.as_ref();
    match part {
        Part::Copy { source, from } => {
            let Base { key: source, etag, .. } = contents.source(source);
            store.copy_part(key, upload, number, &CopySource { key: source, if_match: Some(etag) }, from).await
        }
        Part::Send(range) => {
            let pieces = contents.pieces(range);
            let reads = pieces.iter().any(|piece| matches!(piece, Piece::Object(..) | Piece::Disk(..)));
            let _one_of_few = if reads { Some(gathering.acquire().await.expect("it is never closed")) } else { None };
            let payload = gather(store, &context.pool, pieces).await?;
            match there {
                Some(part) if checksum::fits(part, &payload) => Ok(part.clone()),
                Some(_) | None => store.put_part(key, upload, number, payload).await,
            }
        }
    }
}

/// The bytes of pieces, those of objects and on the disk read into memory.
async fn gather(store: &dyn Store, pool: &Arc<Pool>, pieces: Vec<Piece>) -> Result<Payload, Error> {
    let spans = spans(&pieces);
    let mut payload = Payload::default();
    let mut reads: Vec<Read> = Vec::new();
    for piece in &pieces {
        match piece {
            Piece::Bytes(bytes) => payload.pieces.push(bytes.clone()),
            Piece::Zeros(len) => payload.pieces.extend(zeros(*len)),
            Piece::Disk(extent, range) => payload.pieces.extend(extent.read_pooled(range.clone(), pool).await?),
            Piece::Object(base, range) => {
                let known = reads.iter().position(|read| read.covers(base, range));
                let read = match known {
                    Some(known) => &reads[known],
                    None => {
                        let (base, span) = spans.iter().find(|span| covers(span, base, range)).expect("one was made");
                        reads.push(Read::begin(store, pool, base, span.clone()).await?);
                        &reads[reads.len() - 1]
                    }
                };
                payload.pieces.extend(read.slices(range));
            }
        }
    }
    Ok(payload)
}

/// The ranges of objects that are worth one request each: those that lie close together, however many pieces of others
/// are between them in the file.
fn spans(pieces: &[Piece]) -> Vec<(Base, Range<u64>)> {
    let mut ranges: Vec<(&Base, &Range<u64>)> = Vec::new();
    for piece in pieces {
        if let Piece::Object(base, range) = piece {
            ranges.push((base, range));
        }
    }
    ranges.sort_by(|(one, range), (other, next)| (&one.key, range.start).cmp(&(&other.key, next.start)));
    let mut spans: Vec<(Base, Range<u64>)> = Vec::new();
    for (base, range) in ranges {
        match spans.last_mut() {
            Some((last, span)) if last == base && range.start <= span.end + gap_bytes_max(span) => {
                span.end = span.end.max(range.end);
            }
            Some(_) | None => spans.push((base.clone(), range.clone())),
        }
    }
    spans
}

/// A gap is read along when a request costs more, and as long as not much more is held in memory than is needed.
fn gap_bytes_max(span: &Range<u64>) -> u64 {
    (span.end - span.start).clamp(GAP_BYTES_MIN, GAP_BYTES_MAX)
}

fn covers((own, span): &(Base, Range<u64>), base: &Base, range: &Range<u64>) -> bool {
    own == base && span.start <= range.start && range.end <= span.end
}

/// A range of an object in memory.
struct Read {
    span: (Base, Range<u64>),
    pieces: Vec<Bytes>,
}

impl Read {
    async fn begin(store: &dyn Store, pool: &Arc<Pool>, base: &Base, range: Range<u64>) -> Result<Self, Error> {
        let mut body = store.get_object(&base.key, Some(range.clone()), Some(&base.etag)).await?.body;
        let mut segments: Vec<Segment> = Vec::new();
        while let Some(bytes) = body.next().await {
            // The number of parts that are gathered bounds it; waiting here for memory of the file that is being
            // committed would have no end.
            fill(&mut segments, &bytes?, pool);
        }
        let pieces: Vec<Bytes> = segments.into_iter().map(Segment::into_bytes).collect();
        let came: usize = pieces.iter().map(Bytes::len).sum();
        if came as u64 != range.end - range.start {
            let message = format!("{came} bytes came instead of {}", range.end - range.start);
            return Err(Error::new(Op::GetObject, base.key.clone(), Kind::Network, message));
        }
        Ok(Self { span: (base.clone(), range), pieces })
    }

    fn covers(&self, base: &Base, range: &Range<u64>) -> bool {
        covers(&self.span, base, range)
    }

    fn slices(&self, range: &Range<u64>) -> Vec<Bytes> {
        let (mut at, mut slices) = (self.span.1.start, Vec::new());
        for piece in &self.pieces {
            let end = at + piece.len() as u64;
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                let within = |offset: u64| usize::try_from(offset - at).expect("it is within a piece in memory");
                slices.push(piece.slice(within(from)..within(to)));
            }
            at = end;
        }
        slices
    }
}

/// So many zeros, which take no memory.
pub fn zeros(len: u64) -> impl Iterator<Item = Bytes> {
    let whole = ZEROS.len() as u64;
    (0..len.div_ceil(whole)).map(move |i| {
        let left = usize::try_from((len - i * whole).min(whole)).expect("not more than there are");
        Bytes::from_static(&ZEROS[..left])
    })
}
