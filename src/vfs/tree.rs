//! Which inode has which name, and how long it is remembered.
//!
//! An entry is forgotten when the kernel has dropped all its lookups, nothing hangs below it, and nobody holds the inode.

use crate::vfs::attr::Attr;
use crate::vfs::attr::Kind;
use crate::vfs::error::Error;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::known::Known;
use crate::vfs::known::Note;
use crate::vfs::known::Place;
use crate::vfs::notes::Notes;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// All inodes that are known.
pub struct Tree {
    prefix: String,
    state: Mutex<State>,
}

struct State {
    entries: HashMap<InodeId, Entry>,
    names: BTreeMap<(InodeId, Arc<str>), InodeId>,
    next: u64,
    notes: Arc<Notes>,
}

struct Entry {
    inode: Arc<Inode>,
    parent: InodeId,
    name: Arc<str>,
    lookups: u64,
    children: usize,
    /// Whether its name leads to it.
    linked: bool,
    /// The key of what is left of a file that has no name any more.
    refuge: Option<String>,
    /// Whether there are notes of it: the kernel knows it, or something below it.
    noted: bool,
}

// INVARIANT: every name leads to a linked entry, and every linked entry but the root is led to by its name.
// INVARIANT: `children` counts the entries, linked or not, whose parent this is; so a parent outlives its children.

impl Tree {
    /// A tree with only a root, whose keys begin with `prefix` (empty, or ending in a slash). What the kernel knows of it
    /// goes to `notes`.
    #[must_use]
    pub fn new(prefix: String, root: Attr, notes: &Arc<Notes>) -> Self {
        let inode = Inode::new(InodeId::ROOT, root, notes);
        let root = Entry {
            inode,
            parent: InodeId::ROOT,
            name: "".into(),
            lookups: 1,
            children: 0,
            linked: true,
            refuge: None,
            noted: true,
        };
        let entries = HashMap::from([(InodeId::ROOT, root)]);
        let state = State { entries, names: BTreeMap::new(), next: 2, notes: Arc::clone(notes) };
        Self { prefix, state: Mutex::new(state) }
    }

    /// What all keys begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The inode with this id.
    ///
    /// # Errors
    /// [`Error::Stale`] when it is not known (any more).
    pub fn get(&self, id: InodeId) -> Result<Arc<Inode>> {
        self.lock().entries.get(&id).map(|entry| Arc::clone(&entry.inode)).ok_or(Error::Stale)
    }

    /// The inode that a name leads to, if one is known.
    #[must_use]
    pub fn child(&self, parent: InodeId, name: &str) -> Option<Arc<Inode>> {
        let state = self.lock();
        let id = state.names.get(&(parent, name.into()))?;
        Some(Arc::clone(&state.entries[id].inode))
    }

    /// All known children of a directory.
    #[must_use]
    pub fn children(&self, parent: InodeId) -> Vec<(Arc<str>, Arc<Inode>)> {
        let state = self.lock();
        let range = state.names.range((parent, "".into())..(InodeId(parent.0 + 1), "".into()));
        range.map(|((_, name), id)| (Arc::clone(name), Arc::clone(&state.entries[id].inode))).collect()
    }

    /// The inode for a name, made with `attr` if it is not known or is of another kind.
    pub fn intern(&self, parent: InodeId, name: &str, attr: impl FnOnce() -> Attr) -> Arc<Inode> {
        let mut state = self.lock();
        let key = (parent, Arc::from(name));
        let attr = attr();
        if let Some(id) = state.names.get(&key).copied() {
            let inode = Arc::clone(&state.entries[&id].inode);
            if inode.kind == attr.kind {
                return inode;
            }
        }
        state.put(key, attr)
    }

    /// A new inode for a name; one that the name led to before keeps living without it.
    pub fn replace(&self, parent: InodeId, name: &str, attr: Attr) -> Arc<Inode> {
        self.lock().put((parent, name.into()), attr)
    }

    /// Takes a name away.
    pub fn unlink(&self, parent: InodeId, name: &str) {
        self.lock().unlink(&(parent, name.into()));
    }

    /// Moves what a name leads to; what the new name led to before keeps living without it.
    pub fn rename(&self, parent: InodeId, name: &str, new_parent: InodeId, new_name: &str) {
        let mut state = self.lock();
        let (from, to) = ((parent, Arc::from(name)), (new_parent, Arc::from(new_name)));
        if from == to {
            return;
        }
        let Some(id) = state.names.remove(&from) else { return };
        // Counted first, so that the new parent is not forgotten with what it loses.
        state.entry(new_parent).children += 1;
        state.unlink(&to);
        state.entry(parent).children -= 1;
        let entry = state.entry(id);
        (entry.parent, entry.name) = (new_parent, Arc::clone(&to.1));
        state.names.insert(to, id);
        if state.entry(id).noted {
            state.note_place(id);
        }
        state.forget_if_unused(parent);
    }

    /// Counts one more lookup by the kernel.
    pub fn looked_up(&self, id: InodeId) {
        let mut state = self.lock();
        if !state.entry(id).noted {
            state.note_place(id);
        }
        state.entry(id).lookups += 1;
        state.notes.note(&Note::LookedUp(id));
    }

    /// The kernel drops `count` lookups.
    pub fn forget(&self, id: InodeId, count: u64) {
        let mut state = self.lock();
        if let Some(entry) = state.entries.get_mut(&id) {
            entry.lookups = entry.lookups.saturating_sub(count);
            state.notes.note(&Note::Forgot(id, count));
        }
        state.forget_if_unused(id);
    }

    /// Gives an inode back that was held, so that it can be forgotten.
    pub fn let_go(&self, inode: Arc<Inode>) {
        let id = inode.id;
        drop(inode);
        self.lock().forget_if_unused(id);
    }

    /// From the end of its name on, what is left of a file has this key, which no name shows.
    pub fn take_refuge(&self, id: InodeId, key: String) {
        let mut state = self.lock();
        state.notes.note(&Note::Hidden(id, key.clone()));
        state.entry(id).refuge = Some(key);
    }

    /// Nothing is left of a file that had no name any more; answers with its key.
    pub fn leave_refuge(&self, id: InodeId) -> Option<String> {
        self.lock().entries.get_mut(&id)?.refuge.take()
    }

    /// The key of a file, or the prefix of a directory with its slash; `None` once its name is gone, unless it was given
    /// a [refuge](Self::take_refuge).
    #[must_use]
    pub fn key(&self, inode: &Inode) -> Option<String> {
        let state = self.lock();
        let own = state.entries.get(&inode.id)?;
        if !own.linked {
            return own.refuge.clone();
        }
        let mut names = Vec::new();
        let mut id = inode.id;
        while id != InodeId::ROOT {
            let entry = state.entries.get(&id).filter(|entry| entry.linked)?;
            names.push(Arc::clone(&entry.name));
            id = entry.parent;
        }
        names.reverse();
        let is_directory = inode.kind == Kind::Directory;
        let slash = if is_directory && !names.is_empty() { "/" } else { "" };
        Some(format!("{}{}{slash}", self.prefix, names.join("/")))
    }

    /// The directory that holds an inode; the root holds itself.
    #[must_use]
    pub fn parent(&self, id: InodeId) -> Option<Arc<Inode>> {
        let state = self.lock();
        let parent = state.entries.get(&id)?.parent;
        Some(Arc::clone(&state.entries[&parent].inode))
    }

    /// The directory and the name of an inode; `None` once its name is gone.
    #[must_use]
    pub fn place(&self, id: InodeId) -> Option<(Arc<Inode>, Arc<str>)> {
        let state = self.lock();
        let entry = state.entries.get(&id).filter(|entry| entry.linked)?;
        Some((Arc::clone(&state.entries[&entry.parent].inode), Arc::clone(&entry.name)))
    }

    /// Whether `inode` hangs somewhere below `ancestor`, or is it.
    #[must_use]
    pub fn is_below(&self, inode: InodeId, ancestor: InodeId) -> bool {
        let state = self.lock();
        let mut id = inode;
        loop {
            if id == ancestor {
                return true;
            }
            match state.entries.get(&id) {
                Some(entry) if id != InodeId::ROOT => id = entry.parent,
                _ => return false,
            }
        }
    }

    /// Puts back what the kernel knew of another process that served the mount; the attributes are those of `attr` until
    /// the bucket is asked. For a tree with only a root.
    pub fn inherit(&self, known: &Known, attr: impl Fn(Kind) -> Attr) {
        let mut state = self.lock();
        state.next = known.last_inode.max(InodeId::ROOT.0) + 1;
        for (id, inode) in &known.inodes {
            let Place { parent, name, kind } = &inode.place;
            // A note was lost of what has no parent: no name can lead to it.
            let hangs = *parent == InodeId::ROOT || known.inodes.contains_key(parent);
            let entry = Entry {
                inode: Inode::new(*id, attr(*kind), &state.notes),
                parent: if hangs { *parent } else { InodeId::ROOT },
                name: name.as_str().into(),
                lookups: inode.lookups,
                children: 0,
                linked: inode.linked && hangs,
                refuge: known.hidden.get(id).cloned(),
                noted: true,
            };
            state.entries.insert(*id, entry);
        }
        for id in known.inodes.keys() {
            let entry = state.entry(*id);
            let (parent, name, linked) = (entry.parent, Arc::clone(&entry.name), entry.linked);
            state.entry(parent).children += 1;
            if linked && let Some(other) = state.names.insert((parent, name), *id) {
                state.entry(other).linked = false;
            }
        }
    }

    /// How many inodes there are, and those of them that are wanted. The others are not held meanwhile: what the kernel
    /// forgets while somebody holds it is remembered until it is let go.
    #[must_use]
    pub fn look(&self, wanted: impl Fn(&Inode) -> bool) -> (usize, Vec<Arc<Inode>>) {
        let state = self.lock();
        let inodes = state.entries.values().map(|entry| &entry.inode);
        (state.entries.len(), inodes.filter(|inode| wanted(inode)).map(Arc::clone).collect())
    }

    /// All inodes, for the end of the mount.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Inode>> {
        self.lock().entries.values().map(|entry| Arc::clone(&entry.inode)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn entry(&mut self, id: InodeId) -> &mut Entry {
        self.entries.get_mut(&id).expect("whoever holds an inode or hangs below it keeps its entry")
    }

    /// Notes where an inode hangs, and the directories above it.
    fn note_place(&mut self, id: InodeId) {
        let entry = self.entry(id);
        entry.noted = true;
        let (parent, linked) = (entry.parent, entry.linked);
        let place = Place { parent, name: entry.name.to_string(), kind: entry.inode.kind };
        if !self.entry(parent).noted {
            self.note_place(parent);
        }
        self.notes.note(&Note::Named { id, place });
        if !linked {
            self.notes.note(&Note::Unlinked(id));
        }
    }

    fn put(&mut self, key: (InodeId, Arc<str>), attr: Attr) -> Arc<Inode> {
        let id = InodeId(self.next);
        self.next += 1;
        let inode = Inode::new(id, attr, &self.notes);
        let (parent, name) = key.clone();
        // Counted first, so that the parent is not forgotten with what it loses.
        self.entry(parent).children += 1;
        self.unlink(&key);
        let entry = Entry {
            lookups: 0,
            children: 0,
            linked: true,
            refuge: None,
            noted: false,
            parent,
            name,
            inode: Arc::clone(&inode),
        };
        self.entries.insert(id, entry);
        self.names.insert(key, id);
        inode
    }

    fn unlink(&mut self, key: &(InodeId, Arc<str>)) {
        if let Some(id) = self.names.remove(key) {
            self.entry(id).linked = false;
            if self.entry(id).noted {
                self.notes.note(&Note::Unlinked(id));
            }
            self.forget_if_unused(id);
        }
    }

    fn forget_if_unused(&mut self, id: InodeId) {
        let mut id = id;
        while let Some(entry) = self.entries.get(&id) {
            let used = entry.lookups > 0 || entry.children > 0 || Arc::strong_count(&entry.inode) > 1;
            if used || id == InodeId::ROOT {
                return;
            }
            let entry = self.entries.remove(&id).expect("just seen");
            if entry.noted {
                self.notes.note(&Note::Forgotten(id));
            }
            if entry.linked {
                self.names.remove(&(entry.parent, entry.name));
            }
            self.entry(entry.parent).children -= 1;
            id = entry.parent;
        }
    }
}

#[cfg(test)]
mod tests;
