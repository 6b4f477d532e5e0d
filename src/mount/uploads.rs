//! `brigade uploads`: the unfinished uploads of a bucket, whose they are, and how they end.

mod layout;

use crate::base::clock;
use crate::journal::uploads;
use crate::journal::uploads::Known;
use crate::mount::check;
use crate::mount::check::Place;
use crate::mount::plan::Endpoint;
use crate::mount::reach;
use crate::mount::reach::Reached;
use crate::mount::source::Source;
use crate::store;
use crate::store::Condition;
use crate::store::Kind;
use crate::store::Payload;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::layers::retry::Policy;
use crate::store::layers::retry::Retry;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How many uploads are asked for their parts at the same time.
const ASKED_AT_ONCE: usize = 8;
/// Bytes of a part that are read from a file at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Which bucket, and where what is known of it is kept.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The bucket.
    pub source: Source,
    /// Only keys that begin so; empty, or ending in a slash.
    pub prefix: String,
    /// How to reach the store.
    pub endpoint: Endpoint,
    /// The state directory, if there is one.
    pub state_dir: Option<PathBuf>,
}

/// Who began an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A mount of this machine that runs.
    Running,
    /// A mount of this machine that is gone.
    Gone,
    /// Nobody that is known here.
    Unknown,
}

/// An unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key that it would write.
    pub key: String,
    /// Its id.
    pub id: UploadId,
    /// How long ago it was begun.
    pub age: Duration,
    /// Its parts; `None` if the store does not tell.
    pub parts: Option<usize>,
    /// Bytes of its parts; `None` if the store does not tell.
    pub bytes: Option<u64>,
    /// Whose it is.
    pub owner: Owner,
}

/// Which uploads are to be aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// These, whosever they are.
    Named(Vec<UploadId>),
    /// Those that were begun at least so long ago, but none of a running mount.
    OlderThan(Duration),
}

/// What was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumed {
    /// The key.
    pub key: String,
    /// Parts that were there and fit.
    pub kept: usize,
    /// Parts that were sent.
    pub sent: usize,
}

/// Why it did not work. Each is one line for the user.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store cannot be reached or used.
    #[error("{0}")]
    Store(String),
    /// What is known here cannot be read.
    #[error("{0}; whose the uploads are is not known without it")]
    State(#[from] crate::journal::directory::Error),
    /// No such upload.
    #[error("no unfinished upload has the id {0:?}; `brigade uploads list` shows them")]
    NoUpload(String),
    /// A running mount is at it.
    #[error("the upload {0:?} belongs to a mount that is running; unmount it first")]
    Running(String),
    /// The file.
    #[error("cannot read {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The file and the upload do not go together.
    #[error("{} cannot be uploaded so: {why}", path.display())]
    Layout {
        /// Which file.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl From<reach::Error> for Error {
    fn from(error: reach::Error) -> Self {
        Self::Store(error.to_string())
    }
}

/// What tells a bucket from others on this machine: mounts of any part of it share what they know.
#[must_use]
pub fn identity(source: &Source, endpoint: &Endpoint) -> String {
    match source {
        Source::Local { data } => format!("local:{}", data.display()),
        Source::Bucket { dialect, bucket, .. } => {
            let at = endpoint.url.as_ref().map_or_else(|| endpoint.provider.name.to_owned(), ToString::to_string);
            format!("{}://{bucket} at {at}", dialect.scheme())
        }
    }
}

/// A bucket that is being looked at.
pub struct Bucket {
    reached: Reached,
    store: Arc<dyn Store>,
    prefix: String,
    known: Known,
}

impl Bucket {
    /// Reaches the bucket, and reads what is known here of its uploads.
    ///
    /// # Errors
    /// When either cannot be done.
    pub async fn open(plan: &Plan) -> Result<Self, Error> {
        let known = match &plan.state_dir {
            Some(dir) => Known::read(&uploads::place(dir, &identity(&plan.source, &plan.endpoint)))?,
            None => Known::default(),
        };
        let reached = Reached::open(&plan.source, &plan.endpoint).await?;
        let client = Arc::new(reached.client(None)?);
        let store: Arc<dyn Store> = Arc::new(Retry::new(client, Policy::default()));
        Ok(Self { reached, store, prefix: plan.prefix.clone(), known })
    }

    /// Lets go of it; a data directory is free afterwards.
    pub async fn close(self) {
        drop(self.store);
        self.reached.close().await;
    }

    /// The unfinished uploads, oldest first.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn list(&self) -> Result<Vec<Row>, Error> {
        let place = &self.reached.place;
        let found = self.store.list_uploads(&self.prefix).await.map_err(|error| refused(&error, place))?;
        let now = clock::now();
        let rows = stream::iter(found).map(|upload: store::Upload| async move {
            let parts = match self.store.list_parts(&upload.key, &upload.id).await {
                Ok(parts) => Some(parts),
                // Ended meanwhile.
                Err(error) if error.kind == Kind::NoSuchUpload => return None,
                Err(error) => {
                    tracing::warn!(%error, "cannot tell what an upload costs");
                    None
                }
            };
            let owner = match self.known.uploads.get(&(upload.key.clone(), upload.id.clone())) {
                Some(true) => Owner::Running,
                Some(false) => Owner::Gone,
                None => Owner::Unknown,
            };
            Some(Row {
                age: now.duration_since(upload.initiated).unwrap_or_default(),
                parts: parts.as_ref().map(Vec::len),
                bytes: parts.map(|parts| parts.iter().map(|part| part.size).sum()),
                key: upload.key,
                id: upload.id,
                owner,
            })
        });
        let mut rows: Vec<Row> = rows.buffered(ASKED_AT_ONCE).filter_map(|row| async move { row }).collect().await;
        rows.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| (&a.key, &a.id).cmp(&(&b.key, &b.id))));
        Ok(rows)
    }

    /// Aborts uploads, and tells of each that is aborted.
    ///
    /// # Errors
    /// When a named one is not there (none is aborted then), or the store refuses.
    pub async fn abort(&self, which: &Which, mut told: impl FnMut(&Row)) -> Result<(), Error> {
        let rows = self.list().await?;
        if let Which::Named(ids) = which
            && let Some(missing) = ids.iter().find(|id| rows.iter().all(|row| row.id != **id))
        {
            return Err(Error::NoUpload(missing.0.clone()));
        }
        for row in rows.iter().filter(|row| is_meant(which, row)) {
            let done = self.store.abort_upload(&row.key, &row.id).await;
            done.map_err(|error| refused(&error, &self.reached.place))?;
            told(row);
        }
        Ok(())
    }

    /// Sends what an upload lacks of a file, and completes it. A part that is there counts if its checksum is the file's.
    ///
    /// # Errors
    /// When there is no such upload, a running mount has it, the file cannot be read, or the store refuses.
    pub async fn resume(&self, id: &UploadId, path: &Path, mut told: impl FnMut(u64, u64)) -> Result<Resumed, Error> {
        let place = &self.reached.place;
        let rows = self.list().await?;
        let row = rows.into_iter().find(|row| row.id == *id).ok_or_else(|| Error::NoUpload(id.0.clone()))?;
        if row.owner == Owner::Running {
            return Err(Error::Running(id.0.clone()));
        }
        let file_error = |cause| Error::File { path: path.to_owned(), cause };
        let file = Arc::new(File::open(path).map_err(file_error)?);
        let size = file.metadata().map_err(file_error)?.len();
        let there = self.store.list_parts(&row.key, id).await.map_err(|error| refused(&error, place))?;
        let slices = layout::slices(&there, size, self.store.facts())
            .map_err(|why| Error::Layout { path: path.to_owned(), why })?;
        let mut resumed = Resumed { key: row.key, kept: 0, sent: 0 };
        let mut parts = Vec::with_capacity(slices.len());
        for slice in slices {
            let payload = read(&file, slice.range.clone()).await.map_err(file_error)?;
            let part = match slice.there.filter(|part| checksum::fits(part, &payload)) {
                Some(part) => {
                    resumed.kept += 1;
                    part
                }
                None => {
                    resumed.sent += 1;
                    let sent = self.store.put_part(&resumed.key, id, slice.number, payload).await;
                    sent.map_err(|error| refused(&error, place))?
                }
            };
            parts.push(part);
            told(slice.range.end, size);
        }
        let done = self.store.complete_upload(&resumed.key, id, &parts, &Condition::None).await;
        done.map_err(|error| refused(&error, place))?;
        Ok(resumed)
    }
}

fn is_meant(which: &Which, row: &Row) -> bool {
    match which {
        Which::Named(ids) => ids.contains(&row.id),
        Which::OlderThan(age) => row.owner != Owner::Running && row.age >= *age,
    }
}

fn refused(error: &store::Error, place: &Place) -> Error {
    Error::Store(check::explain(error, place))
}

// In pieces, so that no allocation is as large as a part can be.
async fn read(file: &Arc<File>, range: Range<u64>) -> io::Result<Payload> {
    let file = Arc::clone(file);
    let pieces = tokio::task::spawn_blocking(move || {
        let mut pieces = Vec::new();
        let mut at = range.start;
        while at < range.end {
            let length = usize::try_from(range.end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            let mut piece = vec![0; length];
            file.read_exact_at(&mut piece, at)?;
            at += length as u64;
            pieces.push(Bytes::from(piece));
        }
        Ok::<_, io::Error>(pieces)
    });
    Ok(Payload { pieces: pieces.await.map_err(io::Error::other)??, crc64nvme: None })
}
