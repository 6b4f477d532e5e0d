//! The log: records appended to a file, made safe together, and written anew when most of it is over.

use crate::journal::directory;
use crate::journal::frame;
use crate::journal::record::AttemptId;
use crate::journal::record::DraftId;
use crate::journal::record::Record;
use crate::journal::record::RemovalId;
use crate::journal::recover::State;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// The kind of its frames.
const KIND: u32 = 2;
/// Bytes; a log is not written anew below this.
const COMPACT_BYTES_MIN: u64 = 1 << 20;
/// Bytes that are asked of the file system at a time, so that a full disk shows before anything is acknowledged.
const AHEAD_BYTES: u64 = 64 << 10;
/// Bytes that are kept for the record that ends a draft. Else what is stored could not be forgotten on a full disk, and the
/// next mount would store it once more, over what came later.
const ENDING_BYTES: u64 = 512;
/// Likewise for each removal: a number in a record, or a record with one number.
const REMOVED_BYTES: u64 = 128;
/// A log is written anew when it has grown to so many times what it was when it was last.
const COMPACT_GROWTH: u64 = 4;

/// An open log.
pub struct Log {
    shared: Arc<Shared>,
    /// How much is on the disk, counted as `Inner::appended`. Whoever holds this syncs for all who wait for it.
    synced: tokio::sync::Mutex<u64>,
}

struct Shared {
    directory: PathBuf,
    inner: Mutex<Inner>,
}

struct Inner {
    segment: u64,
    file: Arc<File>,
    /// Bytes of the file.
    end: u64,
    /// Bytes that the file system has promised.
    promised: u64,
    /// Bytes of the file when it was written anew.
    compact: u64,
    /// Bytes appended to this log since it was opened, over all files.
    appended: u64,
    state: State,
    /// After a failed sync nobody knows what is on the disk.
    broken: Option<String>,
}

fn segment_name(segment: u64) -> String {
    format!("log-{segment:020}")
}

/// The state that the log of a directory amounts to, without locking or changing it; empty if there is none.
///
/// # Errors
/// When it cannot be read.
pub fn peek(directory: &Path) -> io::Result<State> {
    match segments(directory)?.last() {
        Some(segment) => Ok(replay(&std::fs::read(directory.join(segment_name(*segment)))?)?.0),
        None => Ok(State::default()),
    }
}

fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let name = entry?.file_name();
        found
            .extend(name.to_str().and_then(|name| name.strip_prefix("log-")).and_then(|text| text.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

// What is good of a log, and its length.
fn replay(bytes: &[u8]) -> io::Result<(State, u64)> {
    let scan = frame::scan(bytes);
    let mut state = State::default();
    for (kind, payload) in scan.frames {
        let unknown = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("a record of the log: {why}"));
        if kind != KIND {
            return Err(unknown(format!("the kind {kind} is not known")));
        }
        state.apply(&serde_json::from_slice(&bytes[payload]).map_err(|error| unknown(error.to_string()))?);
    }
    Ok((state, scan.good_bytes as u64))
}

fn encoded(record: &Record) -> io::Result<Vec<u8>> {
    let payload = serde_json::to_vec(record).map_err(io::Error::other)?;
    frame::encode(KIND, &payload).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a record over 4 GiB"))
}

impl Log {
    /// Opens the log of a directory, which the caller has locked. A torn end is what was never acknowledged, and is cut
    /// off; the rest is written anew, so that a start leaves no garbage. Where the disk is full the file goes on as it is.
    ///
    /// # Errors
    /// When it cannot be read or written, or holds what this version does not know.
    pub fn open(directory: &Path) -> io::Result<Self> {
        let (mut segment, mut state, mut good_bytes) = (0, State::default(), 0);
        if let Some(last) = segments(directory)?.last() {
            segment = *last;
            (state, good_bytes) = replay(&std::fs::read(directory.join(segment_name(segment)))?)?;
        }
        let next = directory.join(segment_name(segment + 1));
        let (file, end) = match write_anew(directory, segment + 1, &state) {
            Ok(anew) => {
                segment += 1;
                anew
            }
            // What fills it is to be stored, which makes room.
            Err(error) if error.kind() == io::ErrorKind::StorageFull && segment > 0 && !next.exists() => {
                (go_on(directory, segment, good_bytes)?, good_bytes)
            }
            Err(error) => return Err(error),
        };
        let inner = Inner { segment, file, end, promised: end, compact: end, appended: 0, state, broken: None };
        let shared = Shared { directory: directory.to_owned(), inner: Mutex::new(inner) };
        Ok(Self { shared: Arc::new(shared), synced: tokio::sync::Mutex::new(0) })
    }

    /// What it amounts to, with everything that was appended.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.lock().state.clone()
    }

    /// How many drafts are acknowledged and not stored.
    #[must_use]
    pub fn drafts(&self) -> usize {
        self.shared.lock().state.drafts.len()
    }

    /// A number for a new draft.
    #[must_use]
    pub fn next_draft(&self) -> DraftId {
        let mut inner = self.shared.lock();
        inner.state.next_draft += 1;
        DraftId(inner.state.next_draft - 1)
    }

    /// A number for a new attempt at an upload.
    #[must_use]
    pub fn next_attempt(&self) -> AttemptId {
        let mut inner = self.shared.lock();
        inner.state.next_attempt += 1;
        AttemptId(inner.state.next_attempt - 1)
    }

    /// A number for a new removal.
    #[must_use]
    pub fn next_removal(&self) -> RemovalId {
        let mut inner = self.shared.lock();
        inner.state.next_removal += 1;
        RemovalId(inner.state.next_removal - 1)
    }

    /// Appends a record. It survives the process from here on, and the machine from the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// When the disk is full or fails; the log is as before then.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let bytes = encoded(record)?;
        let mut inner = self.shared.lock();
        inner.check()?;
        let end = inner.end + bytes.len() as u64;
        let needed = end + ending_bytes(&inner.state);
        if needed > inner.promised && !is_ending(record) {
            inner.promised = directory::promise(&inner.file, inner.end, needed, AHEAD_BYTES)?;
        }
        inner.file.write_all_at(&bytes, inner.end)?;
        inner.end = end;
        inner.appended += bytes.len() as u64;
        inner.state.apply(record);
        Ok(())
    }

    /// Returns when everything that was appended before the call is on the disk. Callers that come while the disk is busy
    /// share the next round.
    ///
    /// # Errors
    /// When the disk fails; from then on always.
    pub async fn sync(&self) -> io::Result<()> {
        let wanted = self.shared.lock().appended;
        let mut synced = self.synced.lock().await;
        if *synced >= wanted {
            return self.shared.lock().check();
        }
        let shared = Arc::clone(&self.shared);
        *synced = tokio::task::spawn_blocking(move || shared.sync()).await.map_err(io::Error::other)??;
        Ok(())
    }
}

impl Inner {
    fn check(&self) -> io::Result<()> {
        match &self.broken {
            None => Ok(()),
            Some(why) => Err(io::Error::other(format!("an earlier sync failed: {why}"))),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // One round: how much is safe afterwards.
    fn sync(&self) -> io::Result<u64> {
        let (file, appended) = {
            let mut inner = self.lock();
            inner.check()?;
            if inner.end > COMPACT_BYTES_MIN && inner.end / COMPACT_GROWTH > inner.compact {
                // Appenders wait, as what they append must not go to the old file. A failure leaves the old one as it is.
                match write_anew(&self.directory, inner.segment + 1, &inner.state) {
                    Ok((file, end)) => {
                        (inner.file, inner.end, inner.compact, inner.promised) = (file, end, end, end);
                        inner.segment += 1;
                        return Ok(inner.appended);
                    }
                    // Under its name it would be read instead of the old one, which goes on.
                    Err(error) if self.directory.join(segment_name(inner.segment + 1)).exists() => {
                        inner.broken = Some(error.to_string());
                        return Err(error);
                    }
                    Err(error) => tracing::debug!(%error, "cannot write the journal's log anew"),
                }
            }
            (Arc::clone(&inner.file), inner.appended)
        };
        if let Err(error) = file.sync_data() {
            self.lock().broken = Some(error.to_string());
            return Err(error);
        }
        Ok(appended)
    }
}

// For the drafts and removals that there are, and one that begins.
fn ending_bytes(state: &State) -> u64 {
    (state.drafts.len() as u64 + 1) * ENDING_BYTES + state.removals.len() as u64 * REMOVED_BYTES
}

fn is_ending(record: &Record) -> bool {
    matches!(record, Record::Stored { .. } | Record::Dropped { .. } | Record::Removed { .. })
}

// Appends to the file that is there, from the end of what is good in it. What the disk keeps for it beyond stays kept.
fn go_on(directory: &Path, segment: u64, good_bytes: u64) -> io::Result<Arc<File>> {
    let file = File::options().read(true).write(true).open(directory.join(segment_name(segment)))?;
    if file.metadata()?.len() > good_bytes {
        file.set_len(good_bytes)?;
    }
    file.sync_all()?;
    Ok(Arc::new(file))
}

// A file is under its name only when all of it is on the disk, so the last one is always whole.
fn write_anew(directory: &Path, segment: u64, state: &State) -> io::Result<(Arc<File>, u64)> {
    let mut bytes = Vec::new();
    for record in state.records() {
        bytes.extend(encoded(&record)?);
    }
    let file = directory::write_whole(directory, &segment_name(segment), &bytes, ending_bytes(state))?;
    for old in segments(directory)?.into_iter().filter(|old| *old < segment) {
        // One that stays is not read again, and tried again next time.
        if let Err(error) = std::fs::remove_file(directory.join(segment_name(old))) {
            tracing::debug!(%error, "cannot remove an old log");
        }
    }
    Ok((Arc::new(file), bytes.len() as u64))
}
