//! The thread that changes the index. It takes all operations that wait into one transaction, so that hundreds of
//! small writes a second share one flush of the disk.
//!
//! Order at a commit: the blobs' directories are flushed, the index is, blobs of failed operations go, answers are
//! given, dropped blobs are handed to [`Readers`]. A crash before the second step leaves the old state and some
//! files to be collected, one after it the new state.

use crate::server::backend::blobs::Pending;
use crate::server::backend::error::Error;
use crate::server::backend::error::Result;
use crate::server::backend::readers::Readers;
use crate::server::backend::record::BlobId;
use crate::server::backend::tables::Effects;
use crate::server::backend::tables::Tables;
use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::Sender;
use redb::Database;
use redb::Durability;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Operations that may wait; more than there can be connections, so that nobody ever waits to enter.
const QUEUE_MAX: usize = 8192;
/// Operations in one transaction.
const BATCH_MAX: usize = 1024;
/// Without `sync`, how old a change may get before it is flushed.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// Tells what became of an operation, once the transaction has ended.
type Answer = Box<dyn FnOnce(std::result::Result<(), String>) + Send>;
/// An operation.
type Job = Box<dyn FnOnce(&mut Tables<'_>) -> Answer + Send>;

/// Where operations are sent.
pub struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. With `sync` every answer is on disk; without, it is at most a second away from it.
    pub fn start(database: Arc<Database>, readers: Arc<Readers>, root: PathBuf, sync: bool) -> io::Result<Self> {
        let (jobs, waiting) = crossbeam_channel::bounded(QUEUE_MAX);
        let state =
            Committer { database, readers, root, sync, directories: BTreeSet::new(), unflushed: Unflushed::default() };
        let thread = std::thread::Builder::new().name("index-writer".into()).spawn(move || state.run(&waiting))?;
        Ok(Self { jobs: Some(jobs), thread: Some(thread) })
    }

    /// Runs an operation in the next transaction and answers when that is committed. It happens even if the caller
    /// does not wait for the answer.
    pub async fn run<T, F>(&self, operation: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Tables<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, answer) = oneshot::channel();
        let job: Job = Box::new(move |tables| {
            let result = operation(tables);
            Box::new(move |committed| {
                // Nobody waits any more if the client has gone.
                let _ = sender.send(committed.map_err(Error::Storage).and(result));
            })
        });
        let jobs = self.jobs.as_ref().expect("open until it is dropped");
        jobs.send(job).map_err(|_| Error::Storage("the index writer has ended".into()))?;
        answer.await.unwrap_or_else(|_| Err(Error::Storage("the operation was broken off".into())))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // The thread ends when it has committed what waits.
        self.jobs = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the index writer panicked");
        }
    }
}

/// What a commit that was not flushed leaves to the next flush.
#[derive(Default)]
struct Unflushed {
    changes: bool,
    doomed: Vec<BlobId>,
}

struct Committer {
    database: Arc<Database>,
    readers: Arc<Readers>,
    root: PathBuf,
    sync: bool,
    // Directories of blobs whose own names are on disk.
    directories: BTreeSet<PathBuf>,
    unflushed: Unflushed,
}

impl Committer {
    fn run(mut self, waiting: &Receiver<Job>) {
        loop {
            let first = match waiting.recv_timeout(FLUSH_EVERY) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout) => {
                    self.flush_and_log();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut batch = vec![first];
            batch.extend(waiting.try_iter().take(BATCH_MAX - 1));
            self.commit(batch);
        }
        self.flush_and_log();
    }

    fn commit(&mut self, batch: Vec<Job>) {
        let mut answers = Vec::with_capacity(batch.len());
        let committed = self.transact(batch, &mut answers);
        if let Err(error) = &committed {
            tracing::error!(%error, "a transaction failed");
        }
        let outcome = committed.map_err(|error| error.to_string());
        for answer in answers {
            answer(outcome.clone());
        }
    }

    fn transact(&mut self, batch: Vec<Job>, answers: &mut Vec<Answer>) -> Result<()> {
        let mut txn = self.database.begin_write()?;
        txn.set_durability(if self.sync { Durability::Immediate } else { Durability::None })?;
        let effects = {
            let mut tables = Tables::open(&txn)?;
            for job in batch {
                // The other operations of the batch fail with it, as nobody knows what it had changed already.
                let answer = catch_unwind(AssertUnwindSafe(|| job(&mut tables)));
                answers.push(answer.map_err(|_| Error::Storage("an operation panicked".into()))?);
            }
            tables.into_effects()
        };
        if self.sync {
            self.sync_directories(&effects.kept)?;
        }
        let Effects { kept, doomed } = effects;
        let committed = txn.commit();
        // After a commit that failed the index may name them or not: the next start will know.
        kept.into_iter().for_each(Pending::keep);
        committed?;
        if self.sync {
            self.doom(doomed);
        } else {
            self.unflushed.changes = true;
            self.unflushed.doomed.extend(doomed);
        }
        Ok(())
    }

    fn sync_directories(&mut self, kept: &[Pending]) -> io::Result<()> {
        let used: BTreeSet<&Path> = kept.iter().map(Pending::directory).collect();
        let mut is_new = false;
        for directory in used {
            File::open(directory)?.sync_all()?;
            is_new |= self.directories.insert(directory.to_owned());
        }
        if is_new {
            File::open(&self.root)?.sync_all()?;
        }
        Ok(())
    }

    fn flush_and_log(&mut self) {
        if let Err(error) = self.flush() {
            tracing::error!(%error, "cannot flush the index");
        }
    }

    /// Brings changes to disk that were committed without: first the blobs, then the index that names them.
    fn flush(&mut self) -> Result<()> {
        if !self.unflushed.changes {
            return Ok(());
        }
        rustix::fs::syncfs(File::open(&self.root)?).map_err(io::Error::from)?;
        let mut txn = self.database.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        txn.commit()?;
        let unflushed = std::mem::take(&mut self.unflushed);
        self.doom(unflushed.doomed);
        Ok(())
    }

    fn doom(&self, blobs: Vec<BlobId>) {
        if !blobs.is_empty() {
            self.readers.doom(blobs);
        }
    }
}
