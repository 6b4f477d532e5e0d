//! The times of directories, which change with their entries: kept in mind at once, stored a while later, by one request
//! for all that happened meanwhile.

use crate::base::clock;
use crate::store;
use crate::store::CopySource;
use crate::store::Headers;
use crate::store::Kind as StoreKind;
use crate::vfs::Vfs;
use crate::vfs::attr::Kind;
use crate::vfs::error::Result;
use crate::vfs::headers::DIRECTORY_CONTENT_TYPE;
use crate::vfs::headers::KnownHeaders;
use crate::vfs::inode::Inode;
use crate::vfs::inode::State;
use crate::vfs::shutdown::Failure;
use crate::vfs::shutdown::What;
use crate::vfs::xattr;
use futures_util::StreamExt;
use futures_util::stream;
use std::sync::Arc;
use std::time::Duration;

/// How long changes are gathered. A directory in which something happens all the time costs a request in each such time.
const GATHER: Duration = Duration::from_secs(30);

/// Directories whose times are stored at the same time, at the end of a mount.
const STORED_AT_ONCE: usize = 16;

impl Vfs {
    /// Programs see that a directory's entries have changed. Its object, if it has one, will say so soon.
    pub(super) fn touch_directory(&self, directory: &Arc<Inode>) {
        let now = clock::now();
        let mut state = directory.state();
        (state.attr.mtime, state.attr.ctime, state.mtime_set) = (now, now, false);
        if !self.keeps_attributes() || !self.has_object(directory) || state.directory.marker != Some(true) {
            return;
        }
        state.directory.touched = true;
        if std::mem::replace(&mut state.directory.touch_scheduled, true) {
            return;
        }
        drop(state);
        let (vfs, directory) = (self.itself.clone(), Arc::clone(directory));
        self.runtime.spawn(async move {
            loop {
                tokio::time::sleep(GATHER).await;
                // The end of the mount stores them itself.
                let Some(vfs) = vfs.upgrade() else { return };
                directory.state().directory.touch_scheduled = false;
                let Err(error) = vfs.store_touched(&directory).await else {
                    return vfs.tree.let_go(directory);
                };
                let key = vfs.tree.key(&directory).unwrap_or_default();
                tracing::warn!(key, %error, "the time of a directory is not in the bucket");
                let again = error.is_transient();
                let mut state = directory.state();
                state.directory.touched &= again;
                if !again || std::mem::replace(&mut state.directory.touch_scheduled, true) {
                    drop(state);
                    return vfs.tree.let_go(directory);
                }
            }
        });
    }

    /// Stores the times of a directory that changed with its entries, if they have.
    ///
    /// By a copy of the object over itself, not by writing it: one that another host has removed meanwhile stays removed.
    pub(super) async fn store_touched(&self, directory: &Arc<Inode>) -> Result<()> {
        let _changing = directory.changing.lock().await;
        let due = {
            let state = directory.state();
            state.directory.touched && !state.gone
        };
        if due && self.tree.key(directory).is_some() {
            self.fetch_marker_headers(directory).await?;
        }
        let headers = {
            let mut state = directory.state();
            let there = state.directory.marker == Some(true) && state.directory.described && !state.gone;
            // What waits to be stored with other attributes is stored with them.
            if !there || state.deferred || !std::mem::take(&mut state.directory.touched) {
                return Ok(());
            }
            self.marker_headers(directory, &state)
        };
        let stored = match self.tree.key(directory) {
            Some(key) => self.copy_marker(&key, &headers).await,
            None => Ok(()),
        };
        let mut state = directory.state();
        match stored {
            Ok(()) => {
                state.xattrs_stored(&headers.metadata);
                state.headers = KnownHeaders::of(Kind::Directory, headers);
            }
            Err(error) if error.kind == StoreKind::NotFound => state.directory.marker = Some(false),
            Err(error) => {
                state.directory.touched = true;
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn copy_marker(&self, key: &str, headers: &Headers) -> store::Result<()> {
        let source = CopySource { key: key.to_owned(), if_match: None };
        self.store.copy_object(&source, key, Some(headers)).await.map(drop)
    }

    /// The headers of a directory's object as they should be.
    pub(super) fn marker_headers(&self, directory: &Inode, state: &State) -> Headers {
        debug_assert_eq!(directory.kind, Kind::Directory, "files are described by their destination");
        let mut headers = state.headers.to_headers().unwrap_or_default();
        headers.content_type = Some(DIRECTORY_CONTENT_TYPE.to_owned());
        headers.server_side_encryption.clone_from(&self.options.server_side_encryption);
        xattr::apply(&mut headers.metadata, &state.xattrs);
        state.posix(true).write(&mut headers.metadata);
        headers
    }

    /// Stores the times of all directories, at the end of a mount.
    pub(super) async fn store_all_touched(&self) -> Vec<Failure> {
        let touched = self.tree.all().into_iter().filter(|inode| inode.state().directory.touched);
        let stored = stream::iter(touched.collect::<Vec<_>>()).map(|directory: Arc<Inode>| async move {
            let error = self.store_touched(&directory).await.err()?;
            let key = self.tree.key(&directory).unwrap_or_default();
            Some(Failure { key, error, bytes: 0, kept: false, what: What::Storing })
        });
        stored.buffer_unordered(STORED_AT_ONCE).collect::<Vec<_>>().await.into_iter().flatten().collect()
    }
}
