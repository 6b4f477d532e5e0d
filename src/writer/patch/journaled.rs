//! A patch that outlives the process: sealed in the journal before anybody is told that it is safe, published afterwards,
//! and found again by the next mount.
//!
//! What is sealed is the whole version at one moment. Until it is stored or dropped, the journal has its bytes, whatever
//! becomes of this one.

use crate::journal::data::DataFile;
use crate::journal::record::Expect;
use crate::journal::record::Record;
use crate::journal::record::Sealed;
use crate::journal::recover::Kept;
use crate::store::Condition;
use crate::store::ETag;
use crate::store::Headers;
use crate::store::UploadId;
use crate::writer::overlay::Overlay;
use crate::writer::patch::Patch;
use crate::writer::patch::Phase;
use crate::writer::patch::State;
use crate::writer::perform::abort;
use crate::writer::staging::Staged;
use crate::writer::staging::Staging;
use crate::writer::stream::Context;
use crate::writer::stream::Destination;
use crate::writer::stream::WriteError;
use crate::writer::upload::Outcome;
use std::io;
use std::sync::Arc;

/// An upload whose parts need not be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Its key.
    pub key: String,
    /// The headers that it was begun with.
    pub headers: Headers,
    /// Its id.
    pub upload: UploadId,
}

impl Patch {
    /// A version that the journal has kept.
    ///
    /// # Errors
    /// When its data are not whole.
    pub fn recovered(
        context: Arc<Context>,
        destination: Arc<dyn Destination>,
        kept: &Kept,
        file: DataFile,
    ) -> io::Result<Arc<Self>> {
        let file = Arc::new(file);
        let limit = context.disk.as_ref().and_then(|disk| disk.limit());
        let sealed = &kept.sealed;
        let (overlay, needed) = Overlay::recover(Arc::clone(&context.pool), &sealed.runs, &file, limit)?;
        if overlay.size() != sealed.size {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the record does not cover the file"));
        }
        file.rest();
        let staging = Staging::recovered(overlay.staged_keys(), file, needed);
        let patch = Self::build(context, destination, overlay, Some(sealed.draft), staging);
        let unfinished = |(key, upload): (String, String)| Unfinished {
            key,
            headers: sealed.headers.clone(),
            upload: UploadId(upload),
        };
        {
            let mut state = patch.lock();
            state.unfinished = kept.upload.clone().map(unfinished);
            state.doubtful = kept.tried && sealed.expect != Expect::Anything;
        }
        Ok(patch)
    }

    /// Makes the version as it is now safe in the journal. For a caller who keeps commits away meanwhile.
    ///
    /// # Errors
    /// [`WriteError::Disk`] when the journal cannot be written; [`WriteError::Ended`] when it has ended, or there is no
    /// journal. Nothing may be acknowledged then.
    pub async fn seal(&self, condition: Condition) -> Result<(), WriteError> {
        let disk = self.context.disk.as_ref().ok_or(WriteError::Ended)?;
        let journal = disk.as_journal().ok_or(WriteError::Ended)?;
        let mut staged = self.staging.lock().await;
        if self.is_sealed() {
            // Its attributes may have been noted and not be safe yet.
            return Ok(journal.sync().await?);
        }
        let (taken, snapshot) = {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Open) {
                return Err(WriteError::Ended);
            }
            let taken = state.overlay.take_dirty();
            state.changed = false;
            let snapshot = state.overlay.snapshot(&taken);
            (taken, snapshot)
        };
        let unsafe_again = |_: &io::Error| self.lock().changed = true;
        let expected = self.context.pool.expect_back();
        let extents = staged.append(disk, taken.pieces.clone()).await.inspect_err(unsafe_again)?;
        {
            let mut state = self.lock();
            if !matches!(state.phase, Phase::Ended(_)) {
                state.overlay.on_disk(&taken, extents.clone());
            }
        }
        drop((taken, expected));
        let (runs, needed) = snapshot.on_disk(&extents);
        drop(extents);
        let Some((key, headers)) = self.destination.peek() else { return Err(WriteError::Ended) };
        let file = Arc::clone(staged.file().expect("appending has made it"));
        let draft = file.id().expect("a journal's files have numbers");
        needed.iter().for_each(|extent| extent.seal(true));
        let size = runs.iter().map(|run| run.len).sum();
        let sealed = Sealed { draft, key, size, runs, headers, expect: Expect::from(condition) };
        journal.seal(&file, sealed).await.inspect_err(unsafe_again)?;
        staged.seal(needed);
        self.lock().sealed = Some(draft);
        Ok(())
    }

    /// Whether the journal has all of it.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        let state = self.lock();
        state.sealed.is_some() && !state.changed
    }

    /// Whether it may be in the bucket already, so that it must not change before that is known.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.lock().doubtful
    }

    /// Whether the last commit failed in a way that does not tell what came of it.
    #[must_use]
    pub fn may_be_stored(&self) -> bool {
        self.lock().failed.as_ref().is_some_and(|error| error.is_transient())
    }

    /// It is known not to be in the bucket, or does not matter.
    pub fn clear_doubt(&self) {
        self.lock().doubtful = false;
    }

    /// Whether it takes no change now, and a caller who waits for commits finds it, or its successor, ready.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        let state = self.lock();
        match state.phase {
            Phase::Open => state.doubtful,
            Phase::Frozen | Phase::Committing | Phase::Ended(Outcome::Stored(_)) => true,
            Phase::Ended(Outcome::Failed(_) | Outcome::Abandoned) => false,
        }
    }

    /// Whether the journal has this or an earlier state of it.
    #[must_use]
    pub fn has_seal(&self) -> bool {
        self.lock().sealed.is_some()
    }

    /// Lets no byte in until a commit ends, if the journal has all of it: nothing else may be published behind a program's
    /// back. For a caller who commits next.
    #[must_use]
    pub fn freeze_if_sealed(&self) -> bool {
        let mut state = self.lock();
        let freezes = state.sealed.is_some() && !state.changed && matches!(state.phase, Phase::Open);
        if freezes {
            state.phase = Phase::Frozen;
        }
        freezes
    }

    /// It goes to another key. When this returns, that is safe too.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub async fn moves(&self, key: String, condition: Condition) -> Result<(), WriteError> {
        let sealed = self.lock().sealed;
        let (Some(draft), Some(disk)) = (sealed, &self.context.disk) else { return Ok(()) };
        let journal = disk.as_journal().ok_or(WriteError::Ended)?;
        Ok(journal.note(Record::Moved { draft, key, expect: Expect::from(condition) }).await?)
    }

    /// Its attributes have changed: they outlive the process when this returns, and the machine from the next
    /// [`seal`](Self::seal) on. Not for a caller that holds the inode.
    pub fn redescribe(&self) {
        let sealed = self.lock().sealed;
        let (Some(draft), Some(disk)) = (sealed, &self.context.disk) else { return };
        let (Some(journal), Some((_, headers))) = (disk.as_journal(), self.destination.peek()) else {
            return;
        };
        if let Err(error) = journal.append(&Record::Described { draft, headers }) {
            tracing::warn!(%error, "changed attributes of a file are not in the journal");
        }
    }

    /// Nobody has the file open: its descriptor on the disk is closed until it is needed.
    pub async fn rest(&self) {
        if self.has_seal()
            && let Some(file) = self.staging.lock().await.file()
        {
            file.rest();
        }
    }

    /// The process goes, or gives up waiting: what the journal has of it stays there, for the next mount.
    pub async fn let_go(self: &Arc<Self>) {
        if self.has_seal() {
            self.end_unless_stored().await;
        } else {
            self.abandon().await;
        }
    }

    /// The file has lost its name: the journal forgets it, open handles go on.
    pub async fn unseal(&self) {
        let mut staged = self.staging.lock().await;
        if let Some(Err(error)) = staged.file().map(|file| file.stay_open()) {
            tracing::warn!(%error, "what open handles have of a removed file cannot be read any more");
        }
        self.forget(&mut staged, None).await;
        staged.seal(Vec::new());
    }

    /// The same version as another file: this one has ended when this returns. `None` if it had ended before, or is being
    /// committed.
    #[must_use]
    pub async fn hand_over(&self, destination: Arc<dyn Destination>) -> Option<Arc<Self>> {
        let mut staged = self.staging.lock().await;
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Open) {
            return None;
        }
        let empty = Overlay::new(Arc::clone(&self.context.pool));
        let overlay = std::mem::replace(&mut state.overlay, empty);
        let (sealed, changed, unfinished) = (state.sealed.take(), state.changed, state.unfinished.take());
        self.end(&mut state, Outcome::Abandoned);
        drop(state);
        let heir = Self::build(Arc::clone(&self.context), destination, overlay, sealed, staged.hand_over());
        {
            let mut state = heir.lock();
            (state.changed, state.unfinished) = (changed, unfinished);
        }
        Some(heir)
    }

    /// It has become this object, as was found out otherwise.
    pub async fn is_stored(&self, etag: ETag) {
        let mut staged = self.staging.lock().await;
        // It did not become the object, or has ended with it.
        let left = self.lock().unfinished.take();
        if let Some(Unfinished { key, upload, .. }) = left {
            abort(self.context.store.as_ref(), &key, &upload).await;
        }
        self.drop_journaled(&mut staged, Some(&etag)).await;
        staged.discard(self.context.store.as_ref()).await;
        self.end(&mut self.lock(), Outcome::Stored(etag));
    }

    /// The journal needs it no more: it is stored, or nobody wants it.
    pub(super) async fn drop_journaled(&self, staged: &mut Staged<'_>, stored: Option<&ETag>) {
        self.forget(staged, stored).await;
        let left = self.lock().unfinished.take();
        if let (Some(Unfinished { key, upload, .. }), None) = (left, stored) {
            abort(self.context.store.as_ref(), &key, &upload).await;
        }
    }

    async fn forget(&self, staged: &mut Staged<'_>, stored: Option<&ETag>) {
        let Some(journal) = self.context.disk.as_ref().and_then(|disk| disk.as_journal()) else { return };
        let Some(draft) = staged.file().and_then(|file| file.id()) else { return };
        let was_sealed = self.lock().sealed.take().is_some();
        let done = match (was_sealed, stored) {
            (false, _) => journal.remove(draft),
            (true, Some(etag)) => journal.finish(Record::Stored { draft, etag: etag.clone() }, draft).await,
            (true, None) => journal.finish(Record::Dropped { draft }, draft).await,
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the journal keeps a file that it needs no more");
        }
    }

    /// An upload of this was begun; if it does not come to its end, its parts need not be sent again.
    pub(super) fn note_upload(&self, key: &str, headers: &Headers, upload: &UploadId) {
        let noted = {
            let mut state = self.lock();
            let Some(draft) = state.sealed else { return };
            state.unfinished =
                Some(Unfinished { key: key.to_owned(), headers: headers.clone(), upload: upload.clone() });
            if state.changed { None } else { Some(draft) }
        };
        let (Some(draft), Some(disk)) = (noted, &self.context.disk) else { return };
        let Some(journal) = disk.as_journal() else { return };
        let record = Record::Uploading { draft, upload: upload.0.clone(), key: key.to_owned() };
        if let Err(error) = journal.append(&record) {
            tracing::debug!(%error, "an upload is not in the journal, so a crash would begin it anew");
        }
    }

    /// The upload to go on with, if one was left under this key and with these headers; another one is aborted. Which of
    /// its parts are good is seen by their checksums.
    pub(super) async fn unfinished(&self, key: &str, headers: &Headers) -> Option<UploadId> {
        let left = {
            let mut state = self.lock();
            let fits = |left: &Unfinished| left.key == key && left.headers == *headers;
            match &state.unfinished {
                Some(left) if fits(left) => return Some(left.upload.clone()),
                Some(_) | None => state.unfinished.take()?,
            }
        };
        abort(self.context.store.as_ref(), &left.key, &left.upload).await;
        None
    }
}

impl State {
    /// Tells the journal that from now on the bucket may have it.
    pub(super) fn note_attempt(&self, context: &Context, condition: &Condition) {
        let journal = context.disk.as_ref().and_then(|disk| disk.as_journal());
        if let (Some(draft), Some(journal)) = (self.sealed.filter(|_| *condition != Condition::None), journal)
            && let Err(error) = journal.append(&Record::Tried { draft })
        {
            tracing::debug!(%error, "an attempt is not in the journal");
        }
    }
}
