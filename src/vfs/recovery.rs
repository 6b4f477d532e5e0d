//! What a mount that is gone has acknowledged and not stored: it is in the tree again before programs see it, and goes into
//! the bucket as what is written now does.

use crate::base::clock;
use crate::journal::Journal;
use crate::journal::record::Expect;
use crate::journal::record::Place;
use crate::journal::recover::Kept;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::attr::Posix;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::lookup::apply;
use crate::writer::draft::Draft;
use crate::writer::patch::Patch;
use std::io;
use std::sync::Arc;

impl Vfs {
    /// Takes in all that the journal has kept, in the order in which it was acknowledged. Says how many files that were.
    /// What is damaged stays where it is; the log names it.
    pub async fn recover(&self, journal: &Journal) -> usize {
        let state = journal.state();
        let mut recovered = Vec::new();
        for kept in state.in_order() {
            match self.take_in(journal, kept).await {
                Ok(inode) => recovered.push((inode, kept)),
                Err(error) => tracing::error!(
                    key = kept.sealed.key, draft = kept.sealed.draft.0, %error,
                    "a file of the journal cannot be brought into the bucket; it stays in the journal"
                ),
            }
        }
        for (inode, kept) in &recovered {
            self.note_lenders(inode, kept);
        }
        for (inode, _) in &recovered {
            self.store_soon(inode);
        }
        recovered.len()
    }

    async fn take_in(&self, journal: &Journal, kept: &Kept) -> io::Result<Arc<Inode>> {
        let sealed = &kept.sealed;
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why);
        let names =
            sealed.key.strip_prefix(self.tree.prefix()).ok_or_else(|| invalid("it belongs to another mount"))?;
        let (directories, name) = names.rsplit_once('/').map_or(("", names), |(above, name)| (above, name));
        let mut parent = InodeId::ROOT;
        for directory in directories.split('/').filter(|name| !name.is_empty()) {
            let attr = || self.options.default_attr(Kind::Directory, clock::now());
            parent = self.tree.intern(parent, directory, attr).id;
        }
        let posix = Posix::parse(&sealed.headers.metadata);
        let mut attr = apply(self.options.default_attr(Kind::File, clock::now()), &posix);
        attr.size = sealed.size;
        let before = self.tree.child(parent, name);
        // One that programs still have open, from before the crash, goes on.
        let known = before.clone().filter(|known| known.kind == Kind::File && known.state().draft.is_none());
        let inode = match &known {
            Some(known) => Arc::clone(known),
            None => self.tree.replace(parent, name, attr.clone()),
        };
        let context = Arc::clone(&self.writing);
        let file = journal.data(sealed.draft)?;
        let patch = Patch::recovered(context, self.destination(&inode), kept, file);
        let patch = match (patch, &known) {
            (Ok(patch), _) => patch,
            (Err(error), Some(_)) => return Err(error),
            (Err(error), None) => {
                self.tree.unlink(parent, name);
                return Err(error);
            }
        };
        if let Some(before) = before.filter(|_| known.is_none()) {
            // It was replaced by this one, and a crash came before the journal was told.
            let replaced = before.state().draft.take();
            before.state().gone = true;
            if let Some(replaced) = replaced {
                replaced.abandon().await;
            }
        }
        let mut state = inode.state();
        state.attr = attr;
        state.begin(Draft::Patch(patch));
        state.sealed();
        state.inherited = false;
        state.headers = KnownHeaders::of(Kind::File, sealed.headers.clone());
        state.mtime_set = posix.mtime.is_some();
        state.checked = Some(clock::monotonic());
        match &sealed.expect {
            // Perhaps something is there that it will replace.
            Expect::Anything => state.covers = true,
            Expect::Absent => (state.exclusive, state.covers) = (true, kept.tried),
            Expect::Matches(etag) => (state.follows, state.covers) = (Some(etag.clone()), true),
        }
        drop(state);
        Ok(inode)
    }

    /// Whose objects it needs.
    fn note_lenders(&self, inode: &Arc<Inode>, kept: &Kept) {
        for run in &kept.sealed.runs {
            let Place::Object { key, .. } = &run.at else { continue };
            let Some(names) = key.strip_prefix(self.tree.prefix()).filter(|_| *key != kept.sealed.key) else {
                continue;
            };
            let mut lender = Some(self.root());
            for name in names.split('/') {
                lender = lender.and_then(|directory| self.tree.child(directory.id, name));
            }
            if let Some(lender) = lender {
                Self::lend(&lender, inode);
            }
        }
    }
}
