//! What a mount tells of itself: the document of `brigade status --json`, whose names and units are a promise
//! (docs/status.md). Added to freely; what is renamed or removed changes [`VERSION`].

use crate::base::failures::Remembered;
use crate::base::metrics::Counted;
use crate::base::metrics::Hits;
use crate::base::metrics::Times;
use crate::cache::blocks;
use crate::vfs::figures;
use crate::vfs::figures::Stage;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

/// The version of the document.
pub const VERSION: u32 = 1;

/// No more files are listed one by one.
pub const UPLOADS_MAX: usize = 1000;

/// A mount at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// [`VERSION`].
    pub version: u32,
    /// The version of the program that serves the mount.
    pub program: String,
    /// The process that serves it.
    pub pid: u32,
    /// What is mounted.
    pub source: String,
    /// Where.
    pub dir: PathBuf,
    /// For how many seconds this process has served it.
    pub serving_s: u64,
    /// For how many seconds the store has not answered; `null` while it does.
    pub outage_s: Option<u64>,
    /// Files.
    pub files: Files,
    /// Memory for contents.
    pub memory: Memory,
    /// The journal; `null` without one.
    pub journal: Option<Journal>,
    /// How often the store need not be asked.
    pub caches: Caches,
    /// What the bucket does not have yet, by path; at most [`UPLOADS_MAX`].
    pub uploads: Vec<Upload>,
    /// What was asked of the store, by S3's names.
    pub requests: BTreeMap<String, Requests>,
    /// What programs asked of the mount.
    pub operations: BTreeMap<String, Operations>,
    /// What the requests cost, estimated.
    pub cost: Cost,
    /// The last failures, the latest last.
    pub errors: Vec<Failed>,
}

/// Files of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// Files that are open, once for each `open`.
    pub open: usize,
    /// Directories that are open.
    pub directories_open: usize,
    /// Files and directories that are remembered.
    pub known: usize,
    /// Files that the bucket does not have as programs see them.
    pub dirty: usize,
    /// Their bytes.
    pub dirty_bytes: u64,
    /// Of these, bytes that the store has not taken.
    pub unsent_bytes: u64,
    /// Objects of removed files that the bucket still has.
    pub to_be_removed: usize,
}

/// Memory for contents.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Bytes taken.
    pub bytes: u64,
    /// Bytes that may be taken.
    pub limit_bytes: u64,
    /// Requests that wait for some.
    pub waiting: usize,
}

/// The journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Journal {
    /// Files that are in it and not in the bucket.
    pub files: usize,
    /// Bytes of the disk taken.
    pub bytes: u64,
    /// Bytes of the disk that may be taken.
    pub limit_bytes: u64,
}

/// How often the store need not be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caches {
    /// Names and attributes, out of what is remembered.
    pub lookups: HitsAndMisses,
    /// Metadata of listed objects.
    pub metadata: HitsAndMisses,
    /// Reads, out of what was read ahead or is being written.
    pub reads: HitsAndMisses,
    /// Contents that are fetched, out of blocks on local disk; `null` without `--cache-dir`.
    pub blocks: Option<Blocks>,
}

/// Blocks on local disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Blocks {
    /// Blocks that were read from the disk.
    pub hits: u64,
    /// Blocks that the store was asked for.
    pub misses: u64,
    /// Bytes of contents that came from the disk.
    pub hit_bytes: u64,
    /// Bytes of contents that came from the store.
    pub miss_bytes: u64,
    /// Bytes of the disk taken.
    pub bytes: u64,
    /// Bytes of the disk that may be taken.
    pub limit_bytes: u64,
    /// Blocks that wait to be written.
    pub waiting: usize,
    /// Blocks that were not kept, because too many waited or the disk refused.
    pub dropped: u64,
    /// Blocks that were not what they had been when they were kept.
    pub damaged: u64,
}

/// How often something was there already, and how often not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HitsAndMisses {
    /// It was.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

/// A file that the bucket does not have as programs see it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Upload {
    /// The path below the mount point; empty for one whose name is gone.
    pub path: String,
    /// `open` (a program may write more), `storing` (it is as it shall be, and on its way), or `attributes` (nothing else is to be stored).
    pub stage: String,
    /// Bytes of it so far; more may come while it is open.
    pub size_bytes: u64,
    /// Of these, bytes that the store has taken, or had.
    pub stored_bytes: u64,
    /// Bytes a second that the store takes; `null` if that cannot be told.
    pub bytes_per_second: Option<u64>,
    /// Seconds until the store has all of it at this rate; `null` if that cannot be told, or it is open.
    pub remaining_s: Option<u64>,
}

/// How long something took, in microseconds. Quantiles are estimated from buckets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Latency {
    /// The mean.
    pub mean_us: u64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// Of a hundred, 95.
    pub p95_us: u64,
    /// Of a hundred, 99.
    pub p99_us: u64,
}

/// What was asked of the store by one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Requests {
    /// Requests that were begun, each attempt for itself.
    pub begun: u64,
    /// Of these, those under way.
    pub under_way: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Those that repeated one that had failed.
    pub retries: u64,
    /// Bytes of contents that were sent or received.
    pub bytes: u64,
    /// How long they took, until the answer began.
    pub latency: Latency,
    /// What they cost, estimated, in millionths of a US dollar.
    pub micro_usd: u64,
}

/// What programs asked by one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Operations {
    /// Requests that were begun.
    pub begun: u64,
    /// Of these, those under way.
    pub under_way: u64,
    /// Those that succeeded.
    pub ok: u64,
    /// Those that failed, by the name of the error.
    pub failed: BTreeMap<String, u64>,
    /// Bytes of contents that were read or written.
    pub bytes: u64,
    /// How long they took.
    pub latency: Latency,
}

/// What requests cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cost {
    /// In all, in millionths of a US dollar, rounded down.
    pub micro_usd: u64,
    /// Whose prices are taken.
    pub prices: String,
}

/// A failure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Failed {
    /// When it happened last, as in RFC 3339, in UTC.
    pub time: String,
    /// How often in a row.
    pub times: u64,
    /// Of the file system (`flush`) or of the store (`PutObject`).
    pub operation: String,
    /// The path in the mount, or the key.
    pub path: String,
    /// What the program was told; `null` for a request to the store.
    pub errno: Option<String>,
    /// The store's own code; `null` if there was none.
    pub code: Option<String>,
    /// The store's id of the request; `null` if there was none.
    pub request_id: Option<String>,
    /// For people, one line.
    pub message: String,
}

impl From<Hits> for HitsAndMisses {
    fn from(Hits { hits, misses }: Hits) -> Self {
        Self { hits, misses }
    }
}

impl From<blocks::Figures> for Blocks {
    fn from(figures: blocks::Figures) -> Self {
        let blocks::Figures { blocks, hit_bytes, miss_bytes, bytes, limit_bytes, waiting, dropped, damaged } = figures;
        let Hits { hits, misses } = blocks;
        Self { hits, misses, hit_bytes, miss_bytes, bytes, limit_bytes, waiting, dropped, damaged }
    }
}

impl From<Times> for Latency {
    fn from(times: Times) -> Self {
        let p = |of_a_thousand| times.quantile_us(of_a_thousand);
        Self { mean_us: times.mean_us(), p50_us: p(500), p95_us: p(950), p99_us: p(990) }
    }
}

impl From<figures::Dirty> for Upload {
    fn from(dirty: figures::Dirty) -> Self {
        let figures::Dirty { path, size_bytes, unsent_bytes, bytes_per_second, stage } = dirty;
        // Parts that were changed are to be sent once more, and count again.
        let unsent_bytes = unsent_bytes.min(size_bytes);
        let remaining_s = bytes_per_second.filter(|rate| stage == Stage::Storing && *rate > 0);
        Self {
            path,
            stage: word(stage).to_owned(),
            size_bytes,
            stored_bytes: size_bytes - unsent_bytes,
            bytes_per_second,
            remaining_s: remaining_s.map(|rate| unsent_bytes.div_ceil(rate)),
        }
    }
}

impl From<Remembered> for Failed {
    fn from(Remembered { at, times, failure }: Remembered) -> Self {
        Self {
            time: written(at),
            times,
            operation: failure.operation,
            path: failure.path,
            errno: failure.errno,
            code: failure.code,
            request_id: failure.request_id,
            message: failure.message,
        }
    }
}

/// The word for a stage.
#[must_use]
pub fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Open => "open",
        Stage::Storing => "storing",
        Stage::Attributes => "attributes",
    }
}

/// Failures by the names of their reasons. Different numbers may have one name.
pub(super) fn by_name(counted: &Counted, name: impl Fn(usize) -> &'static str) -> BTreeMap<String, u64> {
    let mut named = BTreeMap::new();
    for (reason, times) in &counted.failed {
        *named.entry(name(*reason).to_owned()).or_default() += times;
    }
    named
}

/// A time that a clock may have told wrong is shown as the beginning of all time rather than not at all.
fn written(at: SystemTime) -> String {
    jiff::Timestamp::try_from(at).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests;
