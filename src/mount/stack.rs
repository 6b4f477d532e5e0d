//! Builds the layers of one mount, from the store at the bottom to the file system, and takes them down again.

use crate::fuse::Begin;
use crate::journal::uploads;
use crate::journal::uploads::Leftovers;
use crate::journal::uploads::Uploads;
use crate::mount::check;
use crate::mount::daemon::Inheritance;
use crate::mount::journal;
use crate::mount::journal::Local;
use crate::mount::observatory::Counters;
use crate::mount::plan::Plan;
use crate::mount::reach::Error;
use crate::mount::reach::Reached;
use crate::mount::uploads::identity;
use crate::store::Facts;
use crate::store::Store;
use crate::store::UploadId;
use crate::store::layers::noted::Noted;
use crate::store::layers::retry::Outage;
use crate::store::layers::retry::Retry;
use crate::store::layers::trace::Traced;
use crate::store::line::Line;
use crate::store::probe;
use crate::vfs::Durability;
use crate::vfs::Means;
use crate::vfs::Vfs;
use crate::vfs::known::Known;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// How long the end of a mount waits for what it cleans up after others.
const CLEANING_MAX: Duration = Duration::from_secs(10);

/// The layers of one mount.
pub struct Stack {
    /// The file system.
    pub vfs: Arc<Vfs>,
    /// The way to the store, which all requests of the mount share.
    pub line: Arc<Line>,
    /// The store without retries, to ask whether it is there.
    pub bare: Arc<dyn Store>,
    reached: Reached,
    /// Aborts what mounts that are gone have left.
    cleaning: Option<JoinHandle<()>>,
}

impl Stack {
    /// Builds everything below the kernel. For a new mount checks that the store can be used; one that others have used
    /// before goes on, and waits for a store that is away. Requests are counted in `counters`.
    ///
    /// # Errors
    /// When a local source cannot be served, or the store cannot be used.
    pub async fn open(plan: &Plan, inheritance: &Inheritance, counters: &Counters) -> Result<Self, Error> {
        let Local { disk, journal } = journal::open(plan)?;
        let reached = Reached::open(&plan.source, &plan.endpoint).await?;
        let mut client = reached.client(None)?;
        // Unlayered: a person waits, and hears at once what a retry would hide.
        if inheritance.begin == Begin::Fresh {
            check::usable(&client, &plan.vfs.prefix, &reached.place).await.map_err(Error::Store)?;
        }
        if let Some(facts) = facts_found(&reached, plan).await? {
            client = reached.client(Some(facts))?;
        }
        if !client.facts().user_metadata && !plan.vfs.read_only {
            let endpoint = &reached.place.endpoint;
            tracing::warn!(
                endpoint,
                "the store keeps no user metadata: modes, owners and times last as long as the mount"
            );
        }
        // Traced below the retries, so that each attempt is seen.
        let traced = Arc::new(Traced::new(Arc::new(client), Arc::clone(&counters.store)));
        // Noted below the retries too: each attempt at an upload may leave one behind.
        let (noted, leftovers) = remembered(traced, plan, &inheritance.known);
        let line = Arc::new(Line::default());
        let retry = Retry::at(Arc::clone(&noted), plan.policy.clone(), Arc::clone(&line));
        let retry = retry.counting(Arc::clone(&counters.store));
        let (storing, store): (Arc<dyn Store>, Arc<dyn Store>) = (Arc::new(retry.for_storing()), Arc::new(retry));
        let resumed = journal.as_deref().map(journal::resumed).unwrap_or_default();
        let cleaning = leftovers.map(|leftovers| tokio::spawn(clean_up(leftovers, resumed, Arc::clone(&store))));
        let storing = match plan.vfs.durability {
            Durability::Bucket => storing,
            // What waits is in the journal, and lets programs go on meanwhile.
            Durability::Journal => Arc::clone(&store),
        };
        let means = Means { storing, disk, waits: plan.policy.outage == Outage::Wait };
        let Inheritance { notes, known, .. } = inheritance;
        let vfs = Vfs::going_on(store, means, plan.vfs.clone(), Handle::current(), (notes, known));
        if let Some(journal) = journal {
            match vfs.recover(&journal).await {
                0 => {}
                files => tracing::info!(files, "files that an earlier mount has acknowledged go into the bucket"),
            }
        }
        if !plan.vfs.read_only
            && let Err(error) = vfs.clean_up().await
        {
            tracing::warn!(%error, "cannot look for what crashed mounts have left");
        }
        Ok(Self { vfs, line, bare: noted, reached, cleaning })
    }

    /// Takes the layers down; a data directory is free afterwards.
    pub async fn close(self) {
        drop(self.vfs);
        if let Some(cleaning) = self.cleaning
            && tokio::time::timeout(CLEANING_MAX, cleaning).await.is_err()
        {
            tracing::warn!("what crashed mounts have left is not all gone; the next mount goes on");
        }
        self.reached.close().await;
    }
}

/// The store with a memory of its uploads, and what is left of mounts that are gone. A mount without a memory is better
/// than none.
fn remembered(store: Arc<dyn Store>, plan: &Plan, known: &Known) -> (Arc<dyn Store>, Option<Leftovers>) {
    if plan.vfs.read_only {
        return (store, None);
    }
    let Some(dir) = &plan.state_dir else {
        tracing::warn!("no home directory, so uploads are not remembered; name a directory with --state-dir");
        return (store, None);
    };
    match Uploads::open(&uploads::place(dir, &identity(&plan.source, &plan.endpoint))) {
        Ok((ledger, mut leftovers)) => {
            for (key, upload) in known.handed.values().filter_map(|writing| writing.stream.upload()) {
                leftovers.adopt(key, upload);
            }
            (Arc::new(Noted::new(store, ledger)), Some(leftovers))
        }
        Err(error) => {
            tracing::warn!(%error, "uploads are not remembered, so a crash may leave some behind; see --state-dir");
            (store, None)
        }
    }
}

async fn clean_up(leftovers: Leftovers, resumed: BTreeSet<(String, UploadId)>, store: Arc<dyn Store>) {
    match leftovers.abort(&*store, &resumed).await {
        0 => {}
        aborted => tracing::info!(aborted, "aborted uploads that a crash has left"),
    }
}

/// What is true of this store, where the provider's row does not know it and somebody will rely on it.
async fn facts_found(reached: &Reached, plan: &Plan) -> Result<Option<Facts>, Error> {
    let provider = reached.provider();
    if !provider.to_be_probed || plan.vfs.read_only {
        return Ok(None);
    }
    match probe::probe(&reached.asking_client()?, &provider.facts, &plan.vfs.prefix).await {
        Ok(findings) => {
            tracing::debug!(endpoint = reached.place.endpoint, found = ?findings.verdicts, "asked what the store can do");
            Ok(Some(findings.facts))
        }
        // Whoever may not write can still read.
        Err(error) => {
            let assumed = provider.name;
            tracing::warn!(%error, assumed, "cannot find out what the store can do; its provider's row is believed");
            Ok(None)
        }
    }
}
