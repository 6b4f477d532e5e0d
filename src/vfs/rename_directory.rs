//! Renaming directories: everything below one prefix comes to another.
//!
//! All objects are copied first and only then are any removed, so that a failure can be taken back and a crash finds a
//! whole directory somewhere. What is remembered of each object is 16 bytes, however long its key is.

use crate::base::clock;
use crate::store::ETag;
use crate::store::Kind as StoreKind;
use crate::store::ListObjects;
use crate::store::Listed;
use crate::vfs::Vfs;
use crate::vfs::attr::Posix;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::Version;
use crate::vfs::key;
use crate::vfs::listing::Seen;
use crate::vfs::plan::Plan;
use crate::vfs::plan::RENEWED_EVERY;
use crate::vfs::rename::Arrived;
use crate::vfs::rename::Place;
use crate::vfs::rename::Target;
use crate::vfs::setattr::moved;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::HashMap;
use std::collections::HashSet;
use std::hash::DefaultHasher;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Objects of a directory copied at the same time.
const COPIES_AT_ONCE: usize = 32;

/// One directory on its way.
struct Journey<'a> {
    plan: &'a Plan,
    /// The key of the written plan, once there is more than one object.
    written: Option<String>,
    renewed: Instant,
    /// What has arrived: its old key's mark, and that of the version.
    brought: HashMap<u64, u64>,
    /// The tags of copies that this mount knows under their old keys.
    tags: HashMap<String, ETag>,
    /// Old keys of files that this mount knows.
    known: HashSet<String>,
    /// Whether what is under the new name already may have come from here before a crash.
    resumed: bool,
}

impl<'a> Journey<'a> {
    fn new(plan: &'a Plan, known: HashSet<String>) -> Self {
        let (brought, tags) = (HashMap::new(), HashMap::new());
        Self { plan, written: None, renewed: clock::monotonic(), brought, tags, known, resumed: false }
    }

    fn new_key(&self, key: &str) -> String {
        format!("{}{}", self.plan.to, &key[self.plan.from.len()..])
    }
}

/// Stands for a key or a version where millions are remembered.
fn mark(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn mark_of_version(object: &Listed) -> u64 {
    mark((object.etag.as_str(), object.size))
}

impl Vfs {
    pub(super) async fn rename_directory(
        &self,
        from: &Place,
        to: &Place,
        source: &Arc<Inode>,
        replaced: Option<&Arc<Inode>>,
        target: Target,
    ) -> Result<()> {
        self.settle_below(source).await?;
        let new_prefix = format!("{}{}/", self.key_of(&to.directory)?, to.name);
        if let Some(replaced) = replaced {
            self.remove_marker(replaced).await?;
        } else if target == Target::MustBeFree && self.ask(new_prefix.trim_end_matches('/')).await?.is_some() {
            return Err(Error::Exists);
        }
        let plan = Plan { from: self.key_of(source)?, to: new_prefix };
        let below = self.tree.all().into_iter().filter(|inode| self.tree.is_below(inode.id, source.id));
        let known = below.filter_map(|inode| self.tree.key(&inode)).collect();
        let mut journey = Journey::new(&plan, known);
        if let Err(error) = self.travel(&mut journey).await {
            self.come_back(&journey).await;
            let below = self.tree.all().into_iter().filter(|inode| self.tree.is_below(inode.id, source.id));
            below.chain([Arc::clone(&from.directory), Arc::clone(&to.directory)]).for_each(|inode| self.doubt(&inode));
            if let Some(replaced) = replaced {
                // It was taken away for what does not come.
                let kept = self.put_marker(replaced, &plan.to).await;
                kept.unwrap_or_else(|error| tracing::warn!(key = plan.to, %error, "an empty directory is lost"));
            }
            return Err(error);
        }
        self.retag_below(source, &journey.tags);
        if let Some(replaced) = replaced {
            replaced.state().gone = true;
        }
        self.exchange_names(from, to);
        self.move_sealed_below(source).await?;
        self.remember_below(source);
        self.entry_added(&to.directory, &to.name, Seen::Directory);
        // A file that was committed just before its directory changed its name is still under the old one. From now on
        // every commit sees the new name.
        let late = self.travel(&mut journey).await;
        if let Some(key) = &journey.written {
            self.drop_plan(key).await;
        }
        late
    }

    /// Carries a plan out that somebody else has begun. Says how many objects were moved.
    pub(super) async fn finish_rename(&self, key: &str, plan: &Plan) -> Result<usize> {
        let mut journey = Journey::new(plan, HashSet::new());
        (journey.written, journey.resumed) = (Some(key.to_owned()), true);
        self.travel(&mut journey).await?;
        Ok(journey.brought.len())
    }

    /// Moves everything under one prefix to another, and what comes there meanwhile.
    async fn travel(&self, journey: &mut Journey<'_>) -> Result<()> {
        while self.bring(journey).await? {
            if !self.remove_brought(journey).await? {
                break;
            }
        }
        Ok(())
    }

    /// Copies all objects that have not arrived yet, and says whether there were any at all.
    async fn bring(&self, journey: &mut Journey<'_>) -> Result<bool> {
        let (mut any, mut next) = (false, None);
        loop {
            let (objects, after) = self.page_below(&journey.plan.from, next).await?;
            any |= !objects.is_empty();
            if journey.written.is_none() && (objects.len() > 1 || after.is_some()) {
                let key = self.plan_key();
                self.write_plan(&key, journey.plan).await?;
                (journey.written, journey.renewed) = (Some(key), clock::monotonic());
            }
            self.bring_page(journey, objects).await?;
            next = after;
            if next.is_none() {
                return Ok(any);
            }
        }
    }

    /// When one fails no other is begun.
    async fn bring_page(&self, journey: &mut Journey<'_>, objects: Vec<Listed>) -> Result<()> {
        let longest = objects.iter().map(|object| journey.new_key(&object.key).len()).max().unwrap_or(0);
        if longest > self.store.facts().key_bytes_max {
            return Err(Error::NameTooLong);
        }
        let failed = AtomicBool::new(false);
        let resumed = journey.resumed;
        let new = objects.into_iter().filter(|object| {
            // One that was changed after it had been copied is copied again.
            journey.brought.get(&mark(&object.key)) != Some(&mark_of_version(object))
        });
        let moves: Vec<_> = new.map(|object| (journey.new_key(&object.key), object)).collect();
        let copies = moves.into_iter().map(|(to, object): (String, Listed)| {
            let failed = &failed;
            async move {
                if failed.load(Ordering::Relaxed) {
                    return None;
                }
                let arrived = self.bring_listed(&object, &to, resumed).await;
                failed.fetch_or(arrived.is_err(), Ordering::Relaxed);
                Some((object, arrived))
            }
        });
        // To the end also after a failure: what is under way may arrive, and must be known to be taken back.
        let mut copies = stream::iter(copies).buffer_unordered(COPIES_AT_ONCE);
        let mut first_error = None;
        let mut tick = tokio::time::interval(RENEWED_EVERY);
        tick.tick().await;
        loop {
            let done = tokio::select! {
                done = copies.next() => done,
                _ = tick.tick() => {
                    self.renew(journey).await;
                    continue;
                }
            };
            match done {
                Some(Some((object, Ok(arrived)))) => {
                    journey.brought.insert(mark(&object.key), mark_of_version(&object));
                    if journey.known.contains(&object.key) {
                        journey.tags.insert(object.key, arrived.into_etag());
                    }
                }
                Some(Some((object, Err(error)))) => {
                    // Perhaps only its answer is lost.
                    journey.brought.insert(mark(&object.key), 0);
                    first_error.get_or_insert(error);
                }
                Some(None) => {}
                None => break,
            }
        }
        if journey.renewed.elapsed() >= RENEWED_EVERY {
            self.renew(journey).await;
        }
        first_error.map_or(Ok(()), Err)
    }

    /// Tells other mounts that somebody is at it, and the log how far.
    async fn renew(&self, journey: &mut Journey<'_>) {
        let Plan { from, to } = journey.plan;
        tracing::info!(from, to, objects = journey.brought.len(), "renaming a directory");
        journey.renewed = clock::monotonic();
        if let Some(key) = &journey.written
            && let Err(error) = self.write_plan(key, journey.plan).await
        {
            tracing::warn!(key, %error, "the plan of a rename is not renewed");
        }
    }

    /// Removes the objects that have arrived, and says whether there may be others.
    async fn remove_brought(&self, journey: &mut Journey<'_>) -> Result<bool> {
        let (mut others, mut next) = (false, None);
        loop {
            let (objects, after) = self.page_below(&journey.plan.from, next).await?;
            let (arrived, new): (Vec<_>, Vec<_>) = objects
                .into_iter()
                .partition(|object| journey.brought.get(&mark(&object.key)) == Some(&mark_of_version(object)));
            others |= !new.is_empty();
            let keys: Vec<String> = arrived.into_iter().map(|object| object.key).collect();
            self.delete_all(&keys).await?;
            if journey.renewed.elapsed() >= RENEWED_EVERY {
                self.renew(journey).await;
            }
            next = after;
            if next.is_none() {
                return Ok(others);
            }
        }
    }

    async fn delete_all(&self, keys: &[String]) -> Result<()> {
        match keys {
            [] => Ok(()),
            [one] => self.delete_surely(one).await,
            many => match self.store.delete_objects(many).await?.into_iter().next() {
                Some(error) => Err(error.into()),
                None => Ok(()),
            },
        }
    }

    /// After a failure: what has arrived goes back to where it was.
    async fn come_back(&self, journey: &Journey<'_>) {
        let Plan { from, to } = journey.plan;
        match self.take_back(journey).await {
            Ok(()) => {
                if let Some(key) = &journey.written {
                    self.drop_plan(key).await;
                }
            }
            // Its plan stays, so that it will be finished.
            Err(error) => tracing::error!(
                from, to, %error,
                "a rename failed half way and cannot be taken back now; a later mount finishes it"
            ),
        }
    }

    async fn take_back(&self, journey: &Journey<'_>) -> Result<()> {
        let mut there = HashSet::new();
        let mut next = None;
        loop {
            let (objects, after) = self.page_below(&journey.plan.from, next).await?;
            there.extend(objects.iter().map(|object| mark(&object.key)));
            next = after;
            if next.is_none() {
                break;
            }
        }
        loop {
            let (objects, after) = self.page_below(&journey.plan.to, next).await?;
            let mut copies = Vec::new();
            for object in objects {
                let old = format!("{}{}", journey.plan.from, &object.key[journey.plan.to.len()..]);
                if !journey.brought.contains_key(&mark(&old)) {
                    continue;
                }
                if there.contains(&mark(&old)) {
                    copies.push(object.key);
                } else if let Arrived::Copied(_) = self.bring_listed(&object, &old, false).await? {
                    copies.push(object.key);
                }
            }
            self.delete_all(&copies).await?;
            next = after;
            if next.is_none() {
                return Ok(());
            }
        }
    }

    async fn page_below(&self, prefix: &str, next: Option<String>) -> Result<(Vec<Listed>, Option<String>)> {
        let request = ListObjects { prefix: prefix.to_owned(), continuation: next, ..ListObjects::default() };
        let page = self.store.list_objects(&request).await?;
        let objects = page.objects.into_iter().filter(|object| !key::is_scratch(&object.key)).collect();
        Ok((objects, page.next))
    }

    /// Brings one object to a new key. With `resumed`, one that is there already may be what was brought before.
    async fn bring_listed(&self, object: &Listed, to: &str, resumed: bool) -> Result<Arrived> {
        let Listed { key, size, etag, last_modified, metadata } = object;
        if resumed {
            match self.store.head_object(to).await {
                // The copy of an object of several parts has another tag.
                Ok(there)
                    if there.etag == *etag
                        || (there.size == *size && !(there.etag.md5().is_some() && etag.md5().is_some())) =>
                {
                    return Ok(Arrived::Copied(there.etag));
                }
                Ok(_) => {
                    tracing::error!(key, to, "a rename is not finished: somebody has put another file in its place");
                    return Err(Error::Exists);
                }
                Err(error) if error.kind == StoreKind::NotFound => {}
                Err(error) => return Err(error.into()),
            }
        }
        let version = Version { etag: etag.clone(), size: *size, last_modified: *last_modified };
        let timeless = metadata.as_ref().is_some_and(|metadata| Posix::parse(metadata).mtime.is_none());
        let mut headers = None;
        if timeless || self.encrypts() {
            let mut kept = self.store.head_object(key).await?.headers;
            if timeless {
                Posix { mtime: Some(*last_modified), ..Posix::default() }.write(&mut kept.metadata);
            }
            kept.server_side_encryption.clone_from(&self.options.server_side_encryption);
            headers = Some(kept);
        }
        self.move_or_copy(key, &version, to, headers.as_ref()).await
    }

    /// Uploads under way name their keys, and attributes wait for theirs: they end before the keys change.
    async fn settle_below(&self, directory: &Arc<Inode>) -> Result<()> {
        for inode in self.tree.all() {
            let below = inode.id != directory.id && self.tree.is_below(inode.id, directory.id);
            let begun = inode.state().draft.as_ref().is_some_and(|draft| draft.has_begun());
            if below {
                self.settle_borrowers(&inode).await;
            }
            if below && begun {
                self.commit(&inode).await?;
            }
            if below {
                self.store_attributes(&inode).await?;
            }
        }
        self.store_attributes_locked(directory).await
    }

    /// Where only this mount knows attributes, it knows them by key.
    fn remember_below(&self, directory: &Arc<Inode>) {
        if self.keeps_attributes() {
            return;
        }
        for inode in self.tree.all() {
            if inode.id == directory.id || self.tree.is_below(inode.id, directory.id) {
                let (posix, version) = {
                    let state = inode.state();
                    (state.posix(true), state.version.clone())
                };
                self.remember_attributes(&inode, version.as_ref(), posix);
            }
        }
    }

    /// Files below a moved directory have the same contents under other keys, and some under other tags.
    fn retag_below(&self, directory: &Arc<Inode>, tags: &HashMap<String, ETag>) {
        for inode in self.tree.all() {
            if !self.tree.is_below(inode.id, directory.id) {
                continue;
            }
            let tag = self.tree.key(&inode).and_then(|key| tags.get(&key));
            let mut state = inode.state();
            state.directory.listing = None;
            state.directory.changes += 1;
            state.changed = Some(clock::monotonic());
            if let (Some(tag), true) = (tag, state.version.is_some()) {
                moved(&mut state, tag.clone());
            }
        }
    }
}
