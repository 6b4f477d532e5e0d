//! Builds the layers of one mount, from the store at the bottom to the file system, and takes them down again.

use crate::cache::blocks;
use crate::cache::blocks::BLOCK_BYTES;
use crate::cache::blocks::BlockCache;
use crate::fuse::Begin;
use crate::journal::Journal;
use crate::journal::removals;
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
use crate::store::layers::noted::Ledger;
use crate::store::layers::noted::Noted;
use crate::store::layers::removals::Gated;
use crate::store::layers::removals::Left;
use crate::store::layers::removals::Removals;
use crate::store::layers::removals::When;
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

/// The share of the memory that blocks may hold which wait to be written to the cache: an eighth.
const WAITING_SHARE: u64 = 8;

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
    cache: Option<Arc<BlockCache>>,
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
        let Local { disk, journal } = journal::open(plan).await?;
        let cache = cache(plan, inheritance.begin)?;
        let mut reached = Reached::open(&plan.source, &plan.endpoint).await?;
        let mut client = reached.client(None)?;
        // Unlayered: a person waits, and hears at once what a retry would hide.
        if inheritance.begin == Begin::Fresh {
            check::usable(&client, &plan.vfs.prefix, &reached.place).await.map_err(Error::Store)?;
        }
        if reached.provider().to_be_probed && !plan.vfs.read_only {
            let facts = facts_found(&reached, plan).await?;
            reached.find_integrity(&plan.vfs.prefix).await;
            client = reached.client(facts)?;
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
        let Remembered { store: noted, slot, leftovers } = remembered(traced, plan, &inheritance.known);
        let line = Arc::new(Line::default());
        let retry = Retry::at(Arc::clone(&noted), plan.policy.clone(), Arc::clone(&line));
        let retry = retry.counting(Arc::clone(&counters.store));
        let left = leftovers.as_ref().map(Leftovers::removals).unwrap_or_default();
        let removals = put_off(Arc::new(retry.for_storing()), plan, journal.as_ref(), slot.as_ref(), left);
        let (storing, store) = match &removals {
            Some(removals) => (behind(removals, retry.for_storing()), behind(removals, retry)),
            None => (Arc::new(retry.for_storing()) as Arc<dyn Store>, Arc::new(retry) as Arc<dyn Store>),
        };
        let resumed = journal.as_deref().map(journal::resumed).unwrap_or_default();
        let cleaning = leftovers.map(|leftovers| tokio::spawn(clean_up(leftovers, resumed, Arc::clone(&store))));
        let storing = match plan.vfs.durability {
            Durability::Bucket => storing,
            // What waits is in the journal, and lets programs go on meanwhile.
            Durability::Journal => Arc::clone(&store),
        };
        let means = Means { storing, disk, removals, cache: cache.clone(), waits: plan.policy.outage == Outage::Wait };
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
        Ok(Self { vfs, line, bare: noted, reached, cache, cleaning })
    }

    /// Takes the layers down; a data directory is free afterwards.
    pub async fn close(self) {
        drop(self.vfs);
        if let Some(cleaning) = self.cleaning
            && tokio::time::timeout(CLEANING_MAX, cleaning).await.is_err()
        {
            tracing::warn!("what crashed mounts have left is not all gone; the next mount goes on");
        }
        if let Some(cache) = self.cache
            && let Err(error) = tokio::task::spawn_blocking(move || cache.end()).await
        {
            tracing::error!(%error, "the cache could not be ended");
        }
        self.reached.close().await;
    }
}

/// The cache that a mount asks for. One that others have used before goes on without, if need be.
fn cache(plan: &Plan, begin: Begin) -> Result<Option<Arc<BlockCache>>, Error> {
    let Some(dir) = &plan.cache_dir else { return Ok(None) };
    let options = blocks::Options {
        limit_bytes: plan.cache_limit,
        waiting_max: usize::try_from(plan.vfs.memory_limit / WAITING_SHARE / BLOCK_BYTES).unwrap_or(usize::MAX),
        source: identity(&plan.source, &plan.endpoint),
    };
    match (BlockCache::open(dir, options), begin) {
        (Ok(cache), _) => Ok(Some(cache)),
        (Err(error), Begin::Fresh) => Err(error.into()),
        (Err(error), Begin::TakenOver) => {
            tracing::warn!(%error, "the mount goes on without a cache");
            Ok(None)
        }
    }
}

/// A store with a memory of its uploads.
struct Remembered {
    store: Arc<dyn Store>,
    /// Where this mount notes what it has to see to; nowhere if `None`.
    slot: Option<Arc<Uploads>>,
    /// What is left of mounts that are gone.
    leftovers: Option<Leftovers>,
}

/// A mount without a memory is better than none.
fn remembered(store: Arc<dyn Store>, plan: &Plan, known: &Known) -> Remembered {
    if plan.vfs.read_only {
        return Remembered { store, slot: None, leftovers: None };
    }
    let Some(dir) = &plan.state_dir else {
        tracing::warn!("no home directory, so uploads are not remembered; name a directory with --state-dir");
        return Remembered { store, slot: None, leftovers: None };
    };
    match Uploads::open(&uploads::place(dir, &identity(&plan.source, &plan.endpoint))) {
        Ok((slot, mut leftovers)) => {
            for (key, upload) in known.handed.values().filter_map(|writing| writing.stream.upload()) {
                leftovers.adopt(key, upload);
            }
            let ledger = Arc::clone(&slot) as Arc<dyn Ledger>;
            Remembered { store: Arc::new(Noted::new(store, ledger)), slot: Some(slot), leftovers: Some(leftovers) }
        }
        Err(error) => {
            tracing::warn!(%error, "uploads are not remembered, so a crash may leave some behind; see --state-dir");
            Remembered { store, slot: None, leftovers: None }
        }
    }
}

/// The removals that this mount puts off, and those that others have left. They are noted where files are safe when they
/// are closed: with a journal in that.
fn put_off(
    store: Arc<dyn Store>,
    plan: &Plan,
    journal: Option<&Arc<Journal>>,
    slot: Option<&Arc<Uploads>>,
    mut left: Vec<Left>,
) -> Option<Arc<Removals>> {
    if plan.vfs.read_only {
        return None;
    }
    let journaled = journal.map(|journal| (journal, removals::of_journal(journal)));
    if let Some((journal, noted)) = &journaled {
        left.extend(removals::left(Arc::clone(noted), &journal.state()));
    }
    let (intents, when) = match plan.vfs.durability {
        Durability::Bucket => (slot.map(removals::of_slot), When::InSeries),
        Durability::Journal => (journaled.map(|(_, noted)| noted), When::Always),
    };
    let removals = Removals::new(store, intents, when, Handle::current());
    removals.adopt(left);
    Some(removals)
}

fn behind(removals: &Arc<Removals>, store: Retry) -> Arc<dyn Store> {
    Arc::new(Gated::new(Arc::new(store), removals))
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
