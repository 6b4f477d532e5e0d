//! Where a mount is looked at: all figures of its layers together, for people (`status.rs`) and for monitors (`metrics.rs`).

use crate::base::clock;
use crate::base::failures::Failures;
use crate::base::metrics::Counted;
use crate::base::metrics::Hits;
use crate::fuse;
use crate::fuse::errno;
use crate::fuse::observe::Operation;
use crate::mount::control::Answers;
use crate::mount::control::Question;
use crate::mount::control::Reply;
use crate::mount::prices;
use crate::mount::status;
use crate::mount::status::Caches;
use crate::mount::status::Cost;
use crate::mount::status::Files;
use crate::mount::status::Journal;
use crate::mount::status::Memory;
use crate::mount::status::Operations;
use crate::mount::status::Requests;
use crate::mount::status::Status;
use crate::mount::status::UPLOADS_MAX;
use crate::mount::status::VERSION;
use crate::mount::status::by_name;
use crate::store::Op;
use crate::store::layers::trace;
use crate::store::layers::trace::REASONS;
use crate::store::line::Line;
use crate::vfs::Vfs;
use crate::vfs::figures::Figures;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// What is counted while a mount is served.
pub struct Counters {
    /// Requests to the store.
    pub store: Arc<trace::Counters>,
    /// Requests of the kernel.
    pub fuse: Arc<fuse::Counters>,
    /// What failed last.
    pub failures: Arc<Failures>,
}

impl Default for Counters {
    fn default() -> Self {
        let failures = Arc::<Failures>::default();
        let store = Arc::new(trace::Counters::new(Arc::clone(&failures)));
        Self { store, fuse: Arc::new(fuse::Counters::new(Arc::clone(&failures))), failures }
    }
}

/// A mount that is looked at.
pub struct Observatory {
    source: String,
    dir: PathBuf,
    vfs: Arc<Vfs>,
    line: Arc<Line>,
    counters: Arc<Counters>,
    logging: Arc<dyn Logging>,
    since: Instant,
}

/// What is logged, which can be changed.
pub trait Logging: Send + Sync + 'static {
    /// Changes how much is logged, and whether every request of a program is a line, where they are given; answers both as
    /// they are then.
    ///
    /// # Errors
    /// One line that says what is wrong with the level. Nothing is changed then.
    fn change(&self, level: Option<&str>, access: Option<bool>) -> Result<(String, bool), String>;
}

/// A mount as it is to be looked at.
pub struct Looked {
    /// What is mounted, in its own words.
    pub source: String,
    /// Where.
    pub dir: PathBuf,
    /// The tree.
    pub vfs: Arc<Vfs>,
    /// The way to the store.
    pub line: Arc<Line>,
}

/// All that is known at some moment.
pub struct View {
    /// For how long the process has served the mount.
    pub serving: Duration,
    /// For how long the store has not answered.
    pub outage: Option<Duration>,
    /// The tree.
    pub figures: Figures,
    /// Requests to the store that were made at all, with how many of them were repeats.
    pub requests: Vec<(Op, Counted, u64)>,
    /// Requests of the kernel that were made at all.
    pub operations: Vec<(Operation, Counted)>,
}

impl Observatory {
    /// Looks at a mount whose requests are in `counters`.
    #[must_use]
    pub fn new(looked: Looked, counters: Arc<Counters>, logging: Arc<dyn Logging>) -> Self {
        let Looked { source, dir, vfs, line } = looked;
        Self { source, dir, vfs, line, counters, logging, since: clock::monotonic() }
    }

    /// What is mounted, and where.
    #[must_use]
    pub fn named(&self) -> (&str, String) {
        (&self.source, self.dir.display().to_string())
    }

    /// Everything, now.
    #[must_use]
    pub fn view(&self) -> View {
        let (store, fuse) = (&self.counters.store, &self.counters.fuse);
        let now = clock::monotonic();
        let requests = Op::ALL.into_iter().map(|op| (op, store.read(op), store.repeats(op)));
        let operations = Operation::ALL.into_iter().map(|operation| (operation, fuse.read(operation)));
        View {
            serving: now - self.since,
            outage: self.line.outage(),
            figures: self.vfs.figures(now),
            requests: requests.filter(|(_, counted, _)| counted.begun > 0).collect(),
            operations: operations.filter(|(_, counted)| counted.begun > 0).collect(),
        }
    }

    /// How often reads were answered at once.
    #[must_use]
    pub fn reads(&self) -> Hits {
        self.counters.fuse.reads()
    }

    /// The document of `brigade status --json`.
    #[must_use]
    pub fn status(&self) -> Status {
        let view = self.view();
        let figures = view.figures;
        let nano_usd: u64 = view.requests.iter().map(|(op, counted, _)| counted.begun * prices::nano_usd(*op)).sum();
        Status {
            version: VERSION,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            source: self.source.clone(),
            dir: self.dir.clone(),
            serving_s: view.serving.as_secs(),
            outage_s: view.outage.map(|outage| outage.as_secs()),
            files: files(&figures),
            memory: Memory {
                bytes: figures.memory_bytes,
                limit_bytes: figures.memory_limit_bytes,
                waiting: figures.memory_waiting,
            },
            journal: figures.journal.map(|journal| Journal {
                files: journal.files,
                bytes: journal.bytes,
                limit_bytes: journal.limit_bytes,
            }),
            caches: Caches {
                lookups: figures.lookups.into(),
                metadata: figures.metadata.into(),
                reads: self.reads().into(),
                blocks: figures.blocks.map(status::Blocks::from),
            },
            uploads: figures.dirty.into_iter().take(UPLOADS_MAX).map(status::Upload::from).collect(),
            requests: view.requests.iter().map(requests).collect(),
            operations: view.operations.iter().map(operations).collect(),
            cost: Cost { micro_usd: nano_usd / 1000, prices: prices::NAME.to_owned() },
            errors: self.counters.failures.all().into_iter().map(status::Failed::from).collect(),
        }
    }
}

impl Answers for Observatory {
    fn answer(&self, question: &Question) -> Reply {
        match question {
            Question::Status => Reply::Status(Box::new(self.status())),
            Question::Log { level, access } => match self.logging.change(level.as_deref(), *access) {
                Ok((level, access)) => Reply::Log { level, access },
                Err(why) => Reply::Refused(why),
            },
        }
    }
}

fn files(figures: &Figures) -> Files {
    Files {
        open: figures.files_open,
        directories_open: figures.directories_open,
        known: figures.inodes,
        dirty: figures.dirty.len(),
        dirty_bytes: figures.dirty.iter().map(|dirty| dirty.size_bytes).sum(),
        unsent_bytes: figures.dirty.iter().map(|dirty| dirty.unsent_bytes).sum(),
        to_be_removed: figures.removals,
    }
}

fn requests((op, counted, repeats): &(Op, Counted, u64)) -> (String, Requests) {
    let requests = Requests {
        begun: counted.begun,
        under_way: counted.under_way,
        ok: counted.ok,
        failed: by_name(counted, |reason| REASONS[reason]),
        retries: *repeats,
        bytes: counted.bytes,
        latency: counted.times.into(),
        micro_usd: counted.begun * prices::nano_usd(*op) / 1000,
    };
    (op.name().to_owned(), requests)
}

fn operations((operation, counted): &(Operation, Counted)) -> (String, Operations) {
    let operations = Operations {
        begun: counted.begun,
        under_way: counted.under_way,
        ok: counted.ok,
        failed: by_name(counted, errno::of_reason),
        bytes: counted.bytes,
        latency: counted.times.into(),
    };
    (operation.name().to_owned(), operations)
}
