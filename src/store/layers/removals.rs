//! Removals that are acknowledged once they are noted, and carried out a moment later, many by one request.
//!
//! What holds, whoever asks in which order:
//!
//! * A removal is put off only when it is noted so that a crash does not undo it ([`Intents`]). Who notes nothing puts
//!   nothing off.
//! * Through a [`Gated`] store the key is gone at once. What puts, copies, completes or lists comes after the removal: it
//!   waits, and what waits goes out at once. So no removal overtakes what is put under its key later.
//! * The note is struck out, on the disk too, before anybody who waits goes on. So no later process takes what is put
//!   under the key later for what was to be removed.
//! * The first removal in a directory is not put off: its caller hears what the store says of it. One that was allowed
//!   stands for others in that directory and below it for ten seconds ([`queue`]).
//! * [`When`] says which of them wait at all: all, or of a long and quick series those behind its first.
//! * What the store refuses nevertheless is there again; it is logged, kept for whoever asks next how removals there have
//!   gone ([`Removals::take_refusals`]), and nothing is put off for a minute.
//! * What fails for the moment stays noted and gone, and is tried again, for ever. Who waits for it gets the error.
//! * At most [`queue::KEYS_MAX`] are put off; who would add another one waits.
//! * What another process has left noted is removed only if it is still the version that was meant.

pub mod gated;
mod perform;
pub mod queue;

pub use gated::Gated;
pub use queue::Reach;
pub use queue::Shown;
pub use queue::When;

use crate::store::Error;
use crate::store::Result;
use crate::store::Store;
use crate::wire::etag::ETag;
use async_trait::async_trait;
use perform::Outcome;
use queue::Doomed;
use queue::Next;
use queue::Queue;
use queue::Verdict;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::time::SystemTime;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::Instant;

/// Refusals that are kept for whoever asks; all of them are in the log.
const REFUSALS_MAX: usize = 1000;

/// Who notes removals.
#[async_trait]
pub trait Intents: Send + Sync + 'static {
    /// Notes that this version of an object is to be removed, and answers with a number for it. When this returns, a crash
    /// of this process does not take it back.
    ///
    /// # Errors
    /// When it cannot be noted.
    fn intend(&self, key: &str, etag: &ETag) -> io::Result<u64>;

    /// Returns when all that was noted is as safe as this mount promises.
    ///
    /// # Errors
    /// When it is not.
    async fn secure(&self) -> io::Result<()>;

    /// These are over. When this returns, nobody will carry them out again.
    async fn ended(&self, removals: Vec<u64>);
}

/// A removal that another process has noted and not carried out.
pub struct Left {
    /// The key.
    pub key: String,
    /// The version that was there.
    pub etag: ETag,
    /// When it was acknowledged.
    pub at: SystemTime,
    /// Its number.
    pub removal: u64,
    /// Where it is noted.
    pub intents: Arc<dyn Intents>,
}

/// A removal that the store has refused after it had been acknowledged.
#[derive(Debug)]
pub struct Refusal {
    /// The key, which is there again.
    pub key: String,
    /// Why.
    pub error: Error,
}

/// Where a removal is noted.
#[derive(Clone)]
struct Noted {
    intents: Arc<dyn Intents>,
    removal: u64,
}

type Watcher = Box<dyn Fn(&str) + Send + Sync>;

/// The removals of one mount.
pub struct Removals {
    store: Arc<dyn Store>,
    intents: Option<Arc<dyn Intents>>,
    runtime: Handle,
    queue: Mutex<Queue<Noted>>,
    refusals: Mutex<BTreeMap<String, Error>>,
    watcher: OnceLock<Watcher>,
    hurry: Notify,
    /// Changes with each batch that is over: what of it has failed for the moment.
    turns: watch::Sender<Option<Arc<Trouble>>>,
}

struct Trouble {
    keys: BTreeSet<String>,
    error: Error,
}

impl Removals {
    /// Removes from `store`, which knows nothing of this, and notes with `intents`; without them nothing is put off.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, intents: Option<Arc<dyn Intents>>, when: When, runtime: Handle) -> Arc<Self> {
        Arc::new(Self {
            store,
            intents,
            runtime,
            queue: Mutex::new(Queue::new(when)),
            refusals: Mutex::default(),
            watcher: OnceLock::new(),
            hurry: Notify::new(),
            turns: watch::Sender::new(None),
        })
    }

    /// Calls `watcher` with each key that is there again because the store has refused to remove it. For once.
    pub fn watch(&self, watcher: impl Fn(&str) + Send + Sync + 'static) {
        let fresh = self.watcher.set(Box::new(watcher)).is_ok();
        debug_assert!(fresh, "one watches");
    }

    /// Carries out what other processes have left.
    pub fn adopt(self: &Arc<Self>, left: Vec<Left>) {
        if left.is_empty() {
            return;
        }
        tracing::info!(objects = left.len(), "removing what an earlier mount was asked to remove");
        let (mut last, mut earlier) = (BTreeMap::<String, Left>::new(), Vec::new());
        for left in left {
            let older = match last.get(&left.key) {
                Some(known) if known.at > left.at => Some(left),
                Some(_) | None => last.insert(left.key.clone(), left),
            };
            earlier.extend(older.map(|Left { intents, removal, .. }| Noted { intents, removal }));
        }
        // Whoever removed it last knew what was there last.
        self.runtime.spawn(strike_out(earlier));
        let mut queue = self.lock();
        let mut begins = false;
        for Left { key, etag, at, removal, intents } in last.into_values() {
            let note = Noted { intents, removal };
            begins |= queue.add(Doomed { key, etag, left_at: Some(at), note }, Instant::now());
        }
        queue.hurry(Reach::Below(""), Instant::now());
        drop(queue);
        self.begin_if(begins);
    }

    /// Puts a removal off, if that can be, and says whether it is: it is noted then. Otherwise the caller removes the
    /// object, and tells [`allowed`](Self::allowed).
    ///
    /// # Errors
    /// When there is no room, because the store does not answer; nothing is noted then.
    pub async fn later(self: &Arc<Self>, key: &str, etag: &ETag) -> Result<bool> {
        let Some(intents) = &self.intents else { return Ok(false) };
        loop {
            match self.put_off(intents, key, etag) {
                Verdict::AtOnce => return Ok(false),
                Verdict::Full => self.room().await?,
                Verdict::Later => break,
            }
        }
        if intents.secure().await.is_err() {
            self.settled(Reach::Key(key)).await?;
        }
        Ok(true)
    }

    /// Whether each removal may wait, and not only one in a series.
    #[must_use]
    pub fn puts_all_off(&self) -> bool {
        self.lock().puts_all_off()
    }

    /// The store has removed an object that was not put off.
    pub fn allowed(&self, key: &str) {
        self.lock().allowed(key, Instant::now());
    }

    /// What a key stands for.
    #[must_use]
    pub fn shown(&self, key: &str) -> Shown {
        self.lock().shown(key)
    }

    /// The keys that are still to go.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        self.lock().keys()
    }

    /// How many keys are still to go.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().count()
    }

    /// Returns when none of these removals is left, carried out or refused.
    ///
    /// # Errors
    /// When one has failed for the moment.
    pub async fn settled(&self, reach: Reach<'_>) -> Result<()> {
        let mut turns = self.turns.subscribe();
        while self.lock().hurry(reach, Instant::now()) {
            self.hurry.notify_one();
            next_turn(&mut turns, reach).await?;
        }
        Ok(())
    }

    /// The refusals below a prefix that nobody has been told of. Whoever takes them tells somebody.
    #[must_use]
    pub fn take_refusals(&self, prefix: &str) -> Vec<Refusal> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let (taken, kept) = std::mem::take(&mut *refusals).into_iter().partition(|(key, _)| key.starts_with(prefix));
        *refusals = kept;
        let taken: BTreeMap<_, _> = taken;
        taken.into_iter().map(|(key, error)| Refusal { key, error }).collect()
    }

    async fn room(&self) -> Result<()> {
        let mut turns = self.turns.subscribe();
        while self.count() >= queue::KEYS_MAX {
            next_turn(&mut turns, Reach::Below("")).await?;
        }
        Ok(())
    }

    /// Notes a removal and takes it in, if there is no reason against it.
    fn put_off(self: &Arc<Self>, intents: &Arc<dyn Intents>, key: &str, etag: &ETag) -> Verdict {
        let now = Instant::now();
        // Noted under the lock: a key is noted once, and what is noted is here.
        let mut queue = self.lock();
        let verdict = queue.verdict(key, now);
        if verdict != Verdict::Later {
            return verdict;
        }
        let Ok(removal) = intents.intend(key, etag) else { return Verdict::AtOnce };
        let note = Noted { intents: Arc::clone(intents), removal };
        let begins = queue.add(Doomed { key: key.to_owned(), etag: etag.clone(), left_at: None, note }, now);
        let is_batch = queue.count() >= queue::BATCH_KEYS_MAX;
        drop(queue);
        self.begin_if(begins);
        if is_batch {
            self.hurry.notify_one();
        }
        Verdict::Later
    }

    fn begin_if(self: &Arc<Self>, begins: bool) {
        if begins {
            let removals = Arc::clone(self);
            self.runtime.spawn(async move { removals.go_round().await });
        }
    }

    async fn go_round(&self) {
        loop {
            let next = self.lock().next(Instant::now());
            match next {
                Next::Nothing => return,
                Next::Wait(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = self.hurry.notified() => {}
                },
                Next::Go(batch) => {
                    let over = perform::carry_out(&*self.store, batch).await;
                    self.conclude(over).await;
                }
            }
        }
    }

    async fn conclude(&self, over: Vec<(Doomed<Noted>, Outcome)>) {
        let (mut ended, mut gone, mut refused, mut again) = (Vec::new(), Vec::new(), BTreeMap::new(), Vec::new());
        let mut trouble: Option<Trouble> = None;
        for (doomed, outcome) in over {
            match outcome {
                Outcome::Gone => {
                    ended.push(doomed.note);
                    gone.push(doomed.key);
                }
                Outcome::Refused(error) => {
                    ended.push(doomed.note);
                    refused.insert(doomed.key, error);
                }
                Outcome::Failed(error) => {
                    let trouble = trouble.get_or_insert(Trouble { keys: BTreeSet::new(), error });
                    trouble.keys.insert(doomed.key.clone());
                    again.push(doomed);
                }
            }
        }
        strike_out(ended).await;
        if let Some(Trouble { keys, error }) = &trouble {
            tracing::warn!(objects = keys.len(), %error, "removed files are still in the bucket; tried again and again");
        }
        let refused_keys: Vec<String> = refused.keys().cloned().collect();
        self.lock().over(&gone, &refused_keys, again, Instant::now());
        self.refuse(refused);
        self.turns.send_replace(trouble.map(Arc::new));
    }

    /// What was acknowledged is not so: their names are there again, and somebody will have to be told.
    fn refuse(&self, refused: BTreeMap<String, Error>) {
        let Some((key, error)) = refused.first_key_value() else { return };
        let objects = refused.len();
        tracing::error!(objects, key, %error, "the store refuses to remove files: their names are there again");
        let keys: Vec<String> = refused.keys().cloned().collect();
        {
            let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
            let room = REFUSALS_MAX.saturating_sub(refusals.len());
            refusals.extend(refused.into_iter().take(room));
        }
        if let Some(watcher) = self.watcher.get() {
            keys.iter().for_each(|key| watcher(key));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue<Noted>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until a batch is over.
///
/// # Errors
/// When one of these removals was among what failed in it.
async fn next_turn(turns: &mut watch::Receiver<Option<Arc<Trouble>>>, reach: Reach<'_>) -> Result<()> {
    turns.changed().await.expect("who waits keeps the sender");
    let trouble = turns.borrow_and_update().clone();
    match trouble.filter(|trouble| trouble.keys.iter().any(|key| reach.covers(key))) {
        Some(trouble) => Err(trouble.error.of_key(&trouble.error.key)),
        None => Ok(()),
    }
}

async fn strike_out(ended: Vec<Noted>) {
    let mut by_place: Vec<(Arc<dyn Intents>, Vec<u64>)> = Vec::new();
    for Noted { intents, removal } in ended {
        match by_place.iter_mut().find(|(place, _)| Arc::ptr_eq(place, &intents)) {
            Some((_, removals)) => removals.push(removal),
            None => by_place.push((intents, vec![removal])),
        }
    }
    for (intents, removals) in by_place {
        intents.ended(removals).await;
    }
}
