//! Which removals wait, which are under way, and which may wait at all. Pure: times are arguments.

use crate::store::ETag;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::SystemTime;
use tokio::time::Instant;

/// How long a removal waits for others.
pub const GATHER: Duration = Duration::from_millis(50);
/// How many removals make a series: who removes fewer at a time, and looks into the bucket then, finds them gone.
pub const SERIES_MIN: u32 = 16;
/// The longest pause between two removals of which the second may be put off in a series. `rm -r` asks every 0.1 to 0.3 ms;
/// whoever asks the store in between takes longer.
pub const SERIES_GAP: Duration = Duration::from_millis(2);
/// The longest pause within a series.
const SERIES_PAUSE_MAX: Duration = Duration::from_millis(100);
/// How long after its last removal a series goes out.
pub const SERIES_GATHER: Duration = Duration::from_millis(5);
/// Keys of one batch at most: what one request of S3 takes.
pub const BATCH_KEYS_MAX: usize = 1000;
/// Keys that wait or are under way at most, about 200 bytes each; who would add another one waits.
pub const KEYS_MAX: usize = 2 * BATCH_KEYS_MAX;
/// For how long the removal of one object stands for others in its directory.
const PROOF_LASTS: Duration = Duration::from_secs(10);
/// Directories of which it is remembered that removals are allowed.
const PROVEN_MAX: usize = 1000;
/// For how long nothing is put off after the store has refused something that was.
const DISTRUST_LASTS: Duration = Duration::from_secs(60);
/// The pause after a failure, unless somebody waits.
const PAUSE: Duration = Duration::from_secs(5);

/// An object that is to go.
#[derive(Clone, Debug)]
pub struct Doomed<N> {
    /// Its key.
    pub key: String,
    /// The version that was there, as far as is known.
    pub etag: ETag,
    /// When somebody was told that it is gone, if that was another process: only that version goes then.
    pub left_at: Option<SystemTime>,
    /// How it is noted.
    pub note: N,
}

/// Which removals may be put off, where the store is known to allow them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// All.
    #[default]
    Always,
    /// Those in a long and quick series.
    InSeries,
}

/// What can be done with a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is put off.
    Later,
    /// It is carried out at once: nobody knows yet whether the store allows it, or it is under way already.
    AtOnce,
    /// There is no room for another one.
    Full,
}

/// What a key stands for while removals are put off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// For what the store has.
    Stored,
    /// For nothing.
    Gone,
    /// That follows from what the store does with a removal of another process.
    Undecided,
}

/// The removals that somebody is concerned with.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// That of one key.
    Key(&'a str),
    /// Those of keys that begin so.
    Below(&'a str),
}

/// What to do next.
#[derive(Debug)]
pub enum Next<N> {
    /// Nothing: whoever asks is to be called again when something is added.
    Nothing,
    /// Wait until then, or until somebody is in a hurry.
    Wait(Instant),
    /// Carry these out, and tell [`Queue::over`].
    Go(Vec<Doomed<N>>),
}

/// Removals that were put off.
#[derive(Debug)]
pub struct Queue<N> {
    waiting: BTreeMap<String, Doomed<N>>,
    /// The keys of those that wait. What has failed is behind what has not been tried yet.
    order: VecDeque<String>,
    /// Under way; whether it was left by another process.
    out: BTreeMap<String, bool>,
    /// When those that wait go out.
    due: Option<Instant>,
    /// After a failure nothing goes out before then, unless somebody waits for it.
    paused: Option<Instant>,
    /// Whether somebody goes round with this queue.
    driven: bool,
    trust: Trust,
    when: When,
    series: Series,
}

/// Removals that follow each other.
#[derive(Debug, Default)]
struct Series {
    length: u32,
    /// When the last one was answered.
    last: Option<Instant>,
}

/// Where removals are known to be allowed.
#[derive(Debug, Default)]
struct Trust {
    proven: HashMap<String, Instant>,
    none_until: Option<Instant>,
}

impl Reach<'_> {
    /// Whether it is about this key.
    #[must_use]
    pub fn covers(&self, key: &str) -> bool {
        match self {
            Self::Key(one) => *one == key,
            Self::Below(prefix) => key.starts_with(prefix),
        }
    }

    fn any<V>(&self, keys: &BTreeMap<String, V>) -> bool {
        match self {
            Self::Key(key) => keys.contains_key(*key),
            Self::Below(prefix) => keys.range((*prefix).to_owned()..).next().is_some_and(|(key, _)| self.covers(key)),
        }
    }
}

impl<N> Queue<N> {
    /// Nothing waits.
    #[must_use]
    pub fn new(when: When) -> Self {
        Self {
            waiting: BTreeMap::new(),
            order: VecDeque::new(),
            out: BTreeMap::new(),
            due: None,
            paused: None,
            driven: false,
            trust: Trust::default(),
            when,
            series: Series::default(),
        }
    }

    /// What can be done with the removal of a key that somebody asks for.
    #[must_use]
    pub fn verdict(&mut self, key: &str, now: Instant) -> Verdict {
        let may_wait = self.series.goes_on(now) || self.when == When::Always;
        if self.touches(Reach::Key(key)) || !may_wait || !self.trust.covers(key, now) {
            Verdict::AtOnce
        } else if self.count() >= KEYS_MAX {
            Verdict::Full
        } else {
            Verdict::Later
        }
    }

    /// Whether it is [`When::Always`].
    #[must_use]
    pub fn puts_all_off(&self) -> bool {
        self.when == When::Always
    }

    /// Takes a removal in. Says whether somebody must begin to go round with this queue.
    #[must_use]
    pub fn add(&mut self, doomed: Doomed<N>, now: Instant) -> bool {
        self.due = match self.when {
            When::Always => self.due.or(Some(now + GATHER)),
            When::InSeries => Some(now + SERIES_GATHER),
        };
        self.series.last = Some(now);
        self.wait(doomed);
        !std::mem::replace(&mut self.driven, true)
    }

    /// Removals that wait or are under way.
    #[must_use]
    pub fn count(&self) -> usize {
        self.waiting.len() + self.out.len()
    }

    /// What a key stands for.
    #[must_use]
    pub fn shown(&self, key: &str) -> Shown {
        let left = self.waiting.get(key).map(|doomed| doomed.left_at.is_some()).or(self.out.get(key).copied());
        match left {
            None => Shown::Stored,
            Some(false) => Shown::Gone,
            Some(true) => Shown::Undecided,
        }
    }

    /// Whether there are any of these.
    #[must_use]
    pub fn touches(&self, reach: Reach<'_>) -> bool {
        reach.any(&self.waiting) || reach.any(&self.out)
    }

    /// The keys that wait or are under way.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.waiting.keys().chain(self.out.keys()).cloned().collect()
    }

    /// Somebody waits for these: what waits goes out now. Says whether there are any of them.
    pub fn hurry(&mut self, reach: Reach<'_>, now: Instant) -> bool {
        if reach.any(&self.waiting) {
            (self.due, self.paused) = (Some(now), None);
        }
        self.touches(reach)
    }

    /// What to do next. One batch is under way at a time.
    #[must_use]
    pub fn next(&mut self, now: Instant) -> Next<N> {
        let Some(due) = self.due.filter(|_| !self.waiting.is_empty()) else {
            (self.due, self.driven) = (None, false);
            return Next::Nothing;
        };
        if let Some(paused) = self.paused.filter(|paused| *paused > now) {
            return Next::Wait(paused);
        }
        if due > now && self.waiting.len() < BATCH_KEYS_MAX {
            return Next::Wait(due);
        }
        self.paused = None;
        let mut batch = Vec::new();
        while batch.len() < BATCH_KEYS_MAX
            && let Some(doomed) = self.order.pop_front().and_then(|key| self.waiting.remove(&key))
        {
            let key = doomed.key.clone();
            self.out.insert(key, doomed.left_at.is_some());
            batch.push(doomed);
        }
        // What is left over has waited as long.
        self.due = (!self.waiting.is_empty()).then_some(due);
        Next::Go(batch)
    }

    /// A batch is over: these are gone, the store refuses these, and these are tried again.
    pub fn over(&mut self, gone: &[String], refused: &[String], again: Vec<Doomed<N>>, now: Instant) {
        self.out.clear();
        gone.iter().for_each(|key| self.trust.allowed(key, now));
        if !refused.is_empty() {
            self.trust = Trust { none_until: Some(now + DISTRUST_LASTS), ..Trust::default() };
        }
        if !again.is_empty() {
            (self.due, self.paused) = (self.due.or(Some(now)), Some(now + PAUSE));
        }
        again.into_iter().for_each(|doomed| self.wait(doomed));
    }

    fn wait(&mut self, doomed: Doomed<N>) {
        self.order.push_back(doomed.key.clone());
        self.waiting.insert(doomed.key.clone(), doomed);
    }

    /// The store has removed an object that was not put off.
    pub fn allowed(&mut self, key: &str, now: Instant) {
        self.trust.allowed(key, now);
        self.series.last = Some(now);
    }
}

impl Series {
    /// One more is asked for. Whether it may wait.
    fn goes_on(&mut self, now: Instant) -> bool {
        let pause = self.last.map(|last| now.saturating_duration_since(last));
        self.length =
            if pause.is_some_and(|pause| pause <= SERIES_PAUSE_MAX) { self.length.saturating_add(1) } else { 0 };
        self.length >= SERIES_MIN && pause.is_some_and(|pause| pause <= SERIES_GAP)
    }
}

impl Trust {
    fn allowed(&mut self, key: &str, now: Instant) {
        let directory = parent(key);
        if self.proven.len() >= PROVEN_MAX && !self.proven.contains_key(directory) {
            self.proven.retain(|_, at| now - *at < PROOF_LASTS);
            if self.proven.len() >= PROVEN_MAX {
                return;
            }
        }
        match self.proven.get_mut(directory) {
            Some(at) => *at = now,
            None => drop(self.proven.insert(directory.to_owned(), now)),
        }
    }

    /// Whether a removal in the directory of a key, or in one above it, was allowed just before.
    fn covers(&self, key: &str, now: Instant) -> bool {
        if self.none_until.is_some_and(|until| now < until) {
            return false;
        }
        let mut directory = parent(key);
        loop {
            if self.proven.get(directory).is_some_and(|at| now - *at < PROOF_LASTS) {
                return true;
            }
            if directory.is_empty() {
                return false;
            }
            directory = parent(directory);
        }
    }
}

/// The directory that a key is in, with its slash; a slash at the end of the key does not count.
fn parent(key: &str) -> &str {
    let name_at = key.strip_suffix('/').unwrap_or(key).rfind('/');
    name_at.map_or("", |slash| &key[..=slash])
}

#[cfg(test)]
mod tests;
