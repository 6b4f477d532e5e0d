//! The multipart uploads that mounts of this machine have begun, so that what a crash leaves is aborted, and others' are
//! left alone.
//!
//! Each mount has a slot of its own below the bucket's directory, locked while it runs. A slot that nobody has locked is
//! a mount's that is gone: what is open in it is nobody's any more, and [`Leftovers::abort`] ends it. The log of a slot
//! has removals too ([`removals`]).

use crate::journal::directory;
use crate::journal::directory::Directory;
use crate::journal::directory::Error;
use crate::journal::log;
use crate::journal::log::Log;
use crate::journal::record::AttemptId;
use crate::journal::record::Record;
use crate::journal::recover::OpenUpload;
use crate::journal::recover::State;
use crate::journal::removals;
use crate::store;
use crate::store::Kind;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::layers::noted::Attempt;
use crate::store::layers::noted::Ledger;
use crate::store::layers::removals::Left;
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

/// More mounts of one bucket than this by one user find no slot.
const SLOTS_MAX: usize = 64;
/// How far a store's clock may be from where it is believed to be, for an upload to be taken for one of ours: the client
/// learns it no more exactly.
const SKEW_MAX: Duration = Duration::from_secs(60);
/// How long after being asked for an upload may begin: the longest that a request is waited for.
const BEGIN_MAX: Duration = Duration::from_secs(120);

/// How often, and with what pauses, uploads whose answers were lost are looked for while another one is being asked for under
/// the same key: five seconds.
const LOOKS: u32 = 51;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// What became of looking for an upload whose answer was lost.
enum Sought {
    /// So many were aborted; there will be no other.
    Settled(usize),
    /// Somebody waits for the answer to another one under the same key: it cannot be told from that yet.
    Unclear,
    /// None is there, and one may still begin: a request may outlive who has sent it.
    NotYet,
}

/// The memory of one mount.
pub struct Uploads {
    log: Log,
    by_id: Mutex<BTreeMap<(String, UploadId), AttemptId>>,
    complained: AtomicBool,
    slot: PathBuf,
    _lock: Directory,
}

/// What mounts that are gone have left open.
pub struct Leftovers {
    place: PathBuf,
    slots: Vec<(Arc<Uploads>, State)>,
}

/// Uploads that are noted: of mounts that run, and of such that are gone.
#[derive(Debug, Default)]
pub struct Known {
    /// By key and id, and whether the mount runs.
    pub uploads: BTreeMap<(String, UploadId), bool>,
}

/// Where a bucket's slots are. `identity` tells buckets apart: source without prefix, and endpoint.
#[must_use]
pub fn place(state_dir: &Path, identity: &str) -> PathBuf {
    state_dir.join("uploads").join(directory::name(identity))
}

impl Uploads {
    /// Takes a slot, and the slots of mounts that are gone.
    ///
    /// # Errors
    /// When the directory cannot be used.
    pub fn open(place: &Path) -> Result<(Arc<Self>, Leftovers), Error> {
        let mut slots = Vec::new();
        for slot in slots_at(place) {
            // Beyond the first that is free only those are of interest that are there.
            if !slots.is_empty() && !slot.exists() {
                continue;
            }
            match Self::take(&slot) {
                Ok(taken) => slots.push(taken),
                Err(Error::Busy(_)) => {}
                // Another's trouble is no reason against this mount.
                Err(error) if !slots.is_empty() => tracing::warn!(%error, "cannot see what a mount has left behind"),
                Err(error) => return Err(error),
            }
        }
        let own = slots.first().map(|(own, _)| Arc::clone(own));
        let place = place.to_owned();
        Ok((own.ok_or_else(|| Error::Busy(place.clone()))?, Leftovers { place, slots }))
    }

    fn take(slot: &Path) -> Result<(Arc<Self>, State), Error> {
        let directory = Directory::open(slot)?;
        let log = Log::open(slot).map_err(|cause| Error::Io { path: slot.to_owned(), cause })?;
        let state = log.state();
        let (by_id, complained) = (Mutex::default(), AtomicBool::new(false));
        let uploads = Self { log, by_id, complained, slot: slot.to_owned(), _lock: directory };
        Ok((Arc::new(uploads), state))
    }

    pub(in crate::journal) fn log(&self) -> &Log {
        &self.log
    }

    // One complaint is enough: the disk will not be better for the next.
    fn complain(&self, done: io::Result<()>) {
        if let Err(error) = done
            && !self.complained.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(%error, "cannot remember uploads: after a crash `brigade uploads` must be used to clean up");
        }
    }

    fn remember(&self, attempt: AttemptId, key: &str, upload: &UploadId) {
        let id = (key.to_owned(), upload.clone());
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner).insert(id, attempt);
    }

    async fn note(&self, record: Record) {
        let done = match self.log.append(&record) {
            Ok(()) => self.log.sync().await,
            Err(error) => Err(error),
        };
        self.complain(done);
    }
}

#[async_trait]
impl Ledger for Uploads {
    async fn intend(&self, key: &str, at: SystemTime) -> Attempt {
        let attempt = self.log.next_attempt();
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.note(Record::UploadIntended { attempt, key: key.to_owned(), at_ms }).await;
        Attempt(attempt.0)
    }

    async fn begun(&self, attempt: Attempt, key: &str, upload: &UploadId) {
        let attempt = AttemptId(attempt.0);
        self.remember(attempt, key, upload);
        self.note(Record::UploadBegun { attempt, upload: upload.0.clone() }).await;
    }

    // Not synced, as the next: what a power cut takes back is looked for in vain at the next start.
    fn not_begun(&self, attempt: Attempt) {
        self.complain(self.log.append(&Record::UploadEnded { attempt: AttemptId(attempt.0) }));
    }

    fn ended(&self, key: &str, upload: &UploadId) {
        let id = (key.to_owned(), upload.clone());
        if let Some(attempt) = self.by_id.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            self.complain(self.log.append(&Record::UploadEnded { attempt }));
        }
    }
}

fn slots_at(place: &Path) -> impl Iterator<Item = PathBuf> {
    (0..SLOTS_MAX).map(|slot| place.join(slot.to_string()))
}

fn peek(slot: &Path) -> Result<State, Error> {
    log::peek(slot).map_err(|cause| Error::Io { path: slot.to_owned(), cause })
}

impl Known {
    /// Reads all slots of a bucket; it need not be there.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(place: &Path) -> Result<Self, Error> {
        let mut known = Self::default();
        for slot in slots_at(place).filter(|slot| slot.exists()) {
            let (runs, _lock) = match Directory::open(&slot) {
                Ok(lock) => (false, Some(lock)),
                Err(Error::Busy(_)) => (true, None),
                Err(error) => return Err(error),
            };
            let state = peek(&slot)?;
            let ids = state.uploads.into_values().filter_map(|open| Some((open.key, UploadId(open.upload?))));
            known.uploads.extend(ids.map(|id| (id, runs)));
        }
        Ok(known)
    }
}

impl Leftovers {
    /// An upload goes on in this mount: it is not left over.
    pub fn adopt(&mut self, key: &str, upload: &UploadId) {
        let Some(own) = self.slots.first().map(|(own, _)| Arc::clone(own)) else { return };
        for (uploads, state) in &mut self.slots {
            let ours = |open: &OpenUpload| open.key == key && open.upload.as_ref() == Some(&upload.0);
            let Some(attempt) = state.uploads.iter().find_map(|(attempt, open)| ours(open).then_some(*attempt)) else {
                continue;
            };
            let open = state.uploads.remove(&attempt);
            if Arc::ptr_eq(uploads, &own) {
                own.remember(attempt, key, upload);
            } else if let Some(open) = open {
                let new = own.log.next_attempt();
                own.complain(own.log.append(&Record::UploadIntended {
                    attempt: new,
                    key: open.key,
                    at_ms: open.at_ms,
                }));
                own.complain(own.log.append(&Record::UploadBegun { attempt: new, upload: upload.0.clone() }));
                own.remember(new, key, upload);
                uploads.complain(uploads.log.append(&Record::UploadEnded { attempt }));
            }
            return;
        }
    }

    /// What they were asked to remove, and have not.
    #[must_use]
    pub fn removals(&self) -> Vec<Left> {
        self.slots.iter().flat_map(|(slot, state)| removals::left(removals::of_slot(slot), state)).collect()
    }

    /// Aborts what is still there, but for those that will be gone on with, and says how many that were. One that cannot be
    /// aborted stays noted for next time.
    pub async fn abort(self, store: &dyn Store, resumed: &BTreeSet<(String, UploadId)>) -> usize {
        let mut aborted = 0;
        for (uploads, state) in &self.slots {
            for (attempt, open) in &state.uploads {
                let id = open.upload.as_ref().map(|upload| (open.key.clone(), UploadId(upload.clone())));
                if id.is_some_and(|id| resumed.contains(&id)) {
                    continue;
                }
                let done = match &open.upload {
                    Some(upload) => {
                        let aborted = store.abort_upload(&open.key, &UploadId(upload.clone())).await;
                        aborted.map(|()| Sought::Settled(1))
                    }
                    None => self.abort_unnamed_in_time(store, open, state).await,
                };
                match done {
                    Ok(Sought::Settled(count)) => {
                        aborted += count;
                        uploads.complain(uploads.log.append(&Record::UploadEnded { attempt: *attempt }));
                    }
                    Ok(Sought::Unclear | Sought::NotYet) => {
                        tracing::debug!(key = open.key, "what a crash may have left is looked for at the next mount");
                    }
                    Err(error) => {
                        tracing::warn!(%error, "cannot abort an upload that a crash left; tried again at the next mount")
                    }
                }
            }
        }
        aborted
    }

    // As below, once nobody waits for the answer to another one under this key.
    async fn abort_unnamed_in_time(
        &self,
        store: &dyn Store,
        open: &OpenUpload,
        state: &State,
    ) -> store::Result<Sought> {
        for _ in 1..LOOKS {
            match self.abort_unnamed(store, open, state).await? {
                Sought::Unclear => tokio::time::sleep(LOOK_PAUSE).await,
                sought => return Ok(sought),
            }
        }
        self.abort_unnamed(store, open, state).await
    }

    // An upload whose answer was lost. Of what the store lists it is one of this very key, begun when it was asked for, and
    // without parts: nobody learnt its id. If there are more such than were asked for, somebody else's is among them, and
    // which is not known: all are left alone.
    async fn abort_unnamed(&self, store: &dyn Store, open: &OpenUpload, state: &State) -> store::Result<Sought> {
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(open.at_ms);
        let window = at.checked_sub(SKEW_MAX).unwrap_or(SystemTime::UNIX_EPOCH)..=at + BEGIN_MAX + SKEW_MAX;
        let listed = store.list_uploads(&open.key).await?;
        // Looked at after the listing: what a mount has begun before it was noted before that.
        let Some(known) = self.known_of(&open.key) else { return Ok(Sought::Unclear) };
        let mut found = Vec::new();
        for upload in listed {
            if upload.key != open.key || known.contains(&upload.id) || !window.contains(&upload.initiated) {
                continue;
            }
            match store.list_parts(&upload.key, &upload.id).await {
                Ok(parts) if parts.is_empty() => found.push(upload),
                Ok(_) => {}
                Err(error) if error.kind == Kind::NoSuchUpload => {}
                Err(error) => return Err(error),
            }
        }
        let asked = unnamed_of(state, &open.key).count();
        if found.len() > asked {
            tracing::warn!(key = open.key, "uploads that may be ours or not are left; see `brigade uploads list`");
            return Ok(Sought::Settled(0));
        }
        if found.is_empty() && store.now() < at + BEGIN_MAX {
            return Ok(Sought::NotYet);
        }
        for upload in &found {
            store.abort_upload(&upload.key, &upload.id).await?;
        }
        Ok(Sought::Settled(found.len()))
    }

    /// The uploads of a key whose ids mounts of this machine know, running or gone. `None` while one that runs has asked for
    /// one and has no answer, or cannot be looked at.
    fn known_of(&self, key: &str) -> Option<BTreeSet<UploadId>> {
        let mut known: BTreeSet<_> = self.slots.iter().flat_map(|(_, state)| named_of(state, key)).collect();
        let mut running = Vec::new();
        if let Some((own, gone)) = self.slots.first() {
            let mut state = own.log.state();
            state.uploads.retain(|attempt, _| !gone.uploads.contains_key(attempt));
            running.push(state);
        }
        let taken = |slot: &PathBuf| self.slots.iter().any(|(uploads, _)| uploads.slot == *slot);
        for slot in slots_at(&self.place).filter(|slot| slot.exists() && !taken(slot)) {
            running.push(peek(&slot).ok()?);
        }
        if running.iter().any(|state| unnamed_of(state, key).next().is_some()) {
            return None;
        }
        known.extend(running.iter().flat_map(|state| named_of(state, key)));
        Some(known)
    }
}

fn named_of(state: &State, key: &str) -> impl Iterator<Item = UploadId> {
    let of_key = state.uploads.values().filter(move |open| open.key == key);
    of_key.filter_map(|open| Some(UploadId(open.upload.clone()?)))
}

fn unnamed_of<'a>(state: &'a State, key: &'a str) -> impl Iterator<Item = &'a OpenUpload> {
    state.uploads.values().filter(move |open| open.key == key && open.upload.is_none())
}

#[cfg(test)]
mod tests;
