//! The end of this process in favour of another one that goes on: what is being written goes into the notes, whole.
//!
//! For a time in which no program is answered. A file that is written in one go is handed over as it is, with its upload.
//! One that is changed here and there goes by way of the journal; without one it cannot, and whoever wants to hand over
//! waits until there is none.

use crate::base::clock;
use crate::vfs::Durability;
use crate::vfs::Vfs;
use crate::vfs::error::Result;
use crate::vfs::inode::Inode;
use crate::vfs::inode::InodeId;
use crate::vfs::known::Known;
use crate::vfs::known::Note;
use crate::vfs::known::Writing;
use crate::writer::draft::Draft;
use crate::writer::stream::Handed;
use crate::writer::stream::Stream;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether the parts that are being sent have arrived.
const LOOK_EVERY: Duration = Duration::from_millis(10);

impl Vfs {
    /// The key of a file that cannot be handed over now, if there is one.
    #[must_use]
    pub fn in_the_way(&self) -> Option<String> {
        let found = self.tree.all().into_iter().find(|inode| {
            let state = inode.state();
            // What has a name goes into the journal.
            let goes_on = self.options.durability == Durability::Journal && !state.gone;
            matches!(state.draft, Some(Draft::Patch(_))) && !goes_on
        })?;
        Some(self.tree.key(&found).unwrap_or_default())
    }

    /// Stores attributes, waits for parts that are being sent, and puts what is being written into the notes. No program may
    /// be answered from now on.
    ///
    /// # Errors
    /// What could not be stored; the process may go on then.
    pub async fn hand_over(&self) -> Result<()> {
        if let Some(failure) = self.store_removals().await.into_iter().next() {
            return Err(failure.error);
        }
        for inode in self.tree.all() {
            if inode.state().deferred && inode.state().draft.is_none() {
                self.store_attributes(&inode).await?;
            }
        }
        if let Some(failure) = self.store_all_touched().await.into_iter().next() {
            return Err(failure.error);
        }
        for inode in self.tree.all() {
            let draft = inode.state().draft.clone();
            match draft {
                Some(Draft::Stream(stream)) => {
                    // What has failed is lost here as there.
                    if let Some(handed) = at_rest(&stream).await {
                        let writing = Box::new(writing(&inode, handed));
                        self.notes.note(&Note::Handed(inode.id, writing));
                    }
                }
                Some(Draft::Patch(_)) => self.seal(&inode).await?,
                None => {}
            }
        }
        self.handles.hand_over();
        Ok(())
    }

    /// This process goes on after all.
    pub fn stay(&self) {
        self.notes.note(&Note::Taken);
    }

    /// Goes on with what another process has handed over. Before any program is answered.
    pub async fn take(&self, known: &Known) {
        for (id, writing) in &known.handed {
            self.take_file(*id, writing.clone()).await;
        }
        self.notes.note(&Note::Taken);
    }

    async fn take_file(&self, id: InodeId, writing: Writing) {
        let Ok(inode) = self.tree.get(id) else { return };
        let (context, destination) = (Arc::clone(&self.writing), self.destination(&inode));
        let stream = Stream::handed(context, destination, writing.stream).await;
        let mut state = inode.state();
        state.begin(Draft::Stream(stream));
        state.attr = writing.attr;
        (state.mtime_set, state.exclusive, state.covers) = (writing.mtime_set, writing.exclusive, writing.covers);
        (state.follows, state.described) = (writing.follows, writing.described);
        (state.headers, state.xattrs) = (writing.headers, writing.xattrs);
        (state.inherited, state.checked) = (false, Some(clock::monotonic()));
    }
}

/// What is to be handed over of a stream, when no request is under way; `None` if it has failed.
async fn at_rest(stream: &Arc<Stream>) -> Option<Handed> {
    loop {
        if let Some(handed) = stream.hand_over() {
            return Some(handed);
        }
        if stream.has_failed() {
            return None;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn writing(inode: &Inode, stream: Handed) -> Writing {
    let state = inode.state();
    Writing {
        attr: state.attr.clone(),
        mtime_set: state.mtime_set,
        exclusive: state.exclusive,
        follows: state.follows.clone(),
        covers: state.covers,
        described: state.described.clone(),
        headers: state.headers.clone(),
        xattrs: state.xattrs.clone(),
        stream,
    }
}
