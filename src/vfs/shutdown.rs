//! The end of a mount: what is not in the bucket yet, and getting it there.

use crate::base::bytesize::ByteSize;
use crate::store;
use crate::store::Kind;
use crate::store::Op;
use crate::vfs::Vfs;
use crate::vfs::error::Error;
use crate::vfs::inode::Inode;
use crate::writer::draft::Draft;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Commits at the same time.
const COMMITS_AT_ONCE: usize = 16;

/// How long a store that is gone is left alone before it is asked again at the end of a mount.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// What is not in the bucket yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Files whose contents or attributes are not all there, or whose removal is not.
    pub files: usize,
    /// Bytes that the store has not acknowledged.
    pub bytes: u64,
    /// Of the files, those that programs still have open for writing.
    pub writers_open: usize,
}

/// What should have been done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its contents and attributes should be in the bucket.
    Storing,
    /// It should be there no more.
    Removal,
}

/// A file that is not in the bucket as it should be.
#[derive(Debug)]
pub struct Failure {
    /// Its key.
    pub key: String,
    /// Why.
    pub error: Error,
    /// Bytes that are lost with it.
    pub bytes: u64,
    /// Whether it is noted on local disk, so that the next mount will see to it.
    pub kept: bool,
    /// What is not done.
    pub what: What,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, error, bytes, kept, what } = self;
        match what {
            What::Storing => write!(f, "{key:?} ({}) is not in the bucket: {error}", ByteSize(*bytes))?,
            What::Removal => write!(f, "{key:?} was removed and is still in the bucket: {error}")?,
        }
        match what {
            _ if !kept => Ok(()),
            What::Storing => f.write_str("; it is in the journal, and the next mount stores it"),
            What::Removal => f.write_str("; that is noted, and the next mount removes it"),
        }
    }
}

impl Vfs {
    /// What is not in the bucket now.
    #[must_use]
    pub fn pending(&self) -> Pending {
        let removals = self.removals.as_ref().map_or(0, |removals| removals.count());
        let mut pending = Pending { files: removals, ..Pending::default() };
        for inode in self.ahead() {
            let state = inode.state();
            pending.files += 1;
            pending.bytes += state.draft.as_ref().map_or(0, |draft| draft.unsent_bytes());
            pending.writers_open += usize::from(state.draft.is_some() && state.writers > 0);
        }
        pending
    }

    /// Brings everything that no program has open for writing into the bucket, and tells what could not be.
    pub async fn drain(&self) -> Vec<Failure> {
        let closed = || self.ahead().into_iter().filter(|inode| inode.state().writers == 0);
        let (first, mut known) = (closed().collect::<Vec<_>>(), HashSet::new());
        known.extend(first.iter().map(|inode| inode.id));
        let mut failures = self.settle(first).await;
        // What another host was faster at is beside it by now.
        failures.extend(self.settle(closed().filter(|inode| !known.contains(&inode.id)).collect()).await);
        failures.extend(self.store_removals().await);
        failures.extend(self.store_all_touched().await);
        failures
    }

    /// Nothing can be written any more: brings everything that is whole into the bucket and drops what is not. For the
    /// time after the file system has been unmounted.
    pub async fn finish(&self) -> Vec<Failure> {
        let (open, whole): (Vec<_>, Vec<_>) = self.ahead().into_iter().partition(|inode| {
            let state = inode.state();
            state.writers > 0 && state.draft.as_ref().is_some_and(|draft| draft.size() > 0)
        });
        let mut failures = self.settle(whole).await;
        failures.extend(self.abort(open).await);
        failures.extend(self.store_removals().await);
        failures.extend(self.store_all_touched().await);
        self.forget_all_unlinked().await;
        failures
    }

    /// The files whose contents, or whose removals, are not in the bucket now, as they are named when they are given up.
    #[must_use]
    pub fn unstored(&self) -> Vec<Failure> {
        let written = self.ahead().into_iter().filter(|inode| inode.state().draft.is_some());
        let given_up = written.map(|inode| self.given_up(&inode));
        given_up.chain(self.removals_unsettled(&given_up_error(""))).collect()
    }

    /// Gives up every file that is being written. Programs that write get an error.
    pub async fn abort_writers(&self) -> Vec<Failure> {
        let written = self.ahead().into_iter().filter(|inode| inode.state().draft.is_some()).collect();
        self.abort(written).await
    }

    fn ahead(&self) -> Vec<Arc<Inode>> {
        let is_ahead = |inode: &Arc<Inode>| {
            let state = inode.state();
            state.is_ahead() && !state.gone
        };
        self.tree.all().into_iter().filter(is_ahead).collect()
    }

    async fn settle(&self, inodes: Vec<Arc<Inode>>) -> Vec<Failure> {
        let settled = stream::iter(inodes).map(|inode: Arc<Inode>| async move {
            let (key, bytes) = self.described(&inode);
            let done = loop {
                match self.commit(&inode).await {
                    Ok(()) => break self.store_attributes(&inode).await,
                    Err(error) if self.waits_for_store && error.is_transient() && has_seal(&inode) => {
                        tokio::time::sleep(STORE_PAUSE).await;
                    }
                    Err(error) => break Err(error),
                }
            };
            done.err().map(|error| Failure { key, error, bytes, kept: has_seal(&inode), what: What::Storing })
        });
        settled.buffer_unordered(COMMITS_AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    async fn abort(&self, inodes: Vec<Arc<Inode>>) -> Vec<Failure> {
        let mut failures = Vec::new();
        for inode in inodes {
            let failure = self.given_up(&inode);
            let draft = {
                let mut state = inode.state();
                state.broken = Some(failure.error.clone());
                state.draft.take()
            };
            match draft {
                Some(Draft::Patch(patch)) => patch.let_go().await,
                Some(Draft::Stream(stream)) => stream.abandon().await,
                None => continue,
            }
            failures.push(failure);
        }
        failures
    }

    fn given_up(&self, inode: &Inode) -> Failure {
        let (key, bytes) = self.described(inode);
        let error = given_up_error(&key);
        Failure { key, error, bytes, kept: has_seal(inode), what: What::Storing }
    }

    fn described(&self, inode: &Inode) -> (String, u64) {
        let size = inode.state().draft.as_ref().map_or(0, |draft| draft.size());
        (self.tree.key(inode).unwrap_or_default(), size)
    }
}

fn given_up_error(key: &str) -> Error {
    store::Error::new(Op::PutObject, key, Kind::Network, "given up before it was stored").into()
}

fn has_seal(inode: &Inode) -> bool {
    matches!(&inode.state().draft, Some(Draft::Patch(patch)) if patch.has_seal())
}
