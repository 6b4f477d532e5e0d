//! Where the bytes of a file go, told to its writer when the first request must know it.

use crate::store::Headers;
use crate::vfs::Options;
use crate::vfs::attr::Posix;
use crate::vfs::inode::Inode;
use crate::vfs::inode::State;
use crate::vfs::scratch;
use crate::vfs::tree::Tree;
use crate::vfs::xattr;
use crate::writer::stream::Destination;
use crate::writer::stream::Written;
use std::sync::Arc;

/// The name and the attributes that a file has at that moment.
pub struct FileDestination {
    /// Where its name hangs.
    pub tree: Arc<Tree>,
    /// The file.
    pub inode: Arc<Inode>,
    /// Settings of the mount.
    pub options: Arc<Options>,
}

impl Destination for FileDestination {
    fn describe(&self, written: Written) -> Option<(String, Headers)> {
        let key = self.tree.key(&self.inode)?;
        let mut state = self.inode.state();
        let headers = self.headers(&state, written);
        state.described = Some(Box::new(headers.clone()));
        Some((key, headers))
    }

    fn peek(&self) -> Option<(String, Headers)> {
        let key = self.tree.key(&self.inode)?;
        let headers = self.headers(&self.inode.state(), Written::All);
        Some((key, headers))
    }

    fn stage(&self) -> (String, Headers) {
        let headers =
            Headers { server_side_encryption: self.options.server_side_encryption.clone(), ..Headers::default() };
        (scratch::key(self.tree.prefix(), scratch::STAGED_PREFIX), headers)
    }
}

impl FileDestination {
    fn headers(&self, state: &State, written: Written) -> Headers {
        let mut headers = state.headers.to_headers().unwrap_or_default();
        if headers.storage_class.is_none() {
            headers.storage_class.clone_from(&self.options.storage_class);
        }
        headers.server_side_encryption.clone_from(&self.options.server_side_encryption);
        // What was said of the bytes of an earlier version must not stand for these.
        headers.content_encoding = None;
        Posix::WRITTEN_NAMES.iter().for_each(|name| drop(headers.metadata.remove(*name)));
        xattr::apply(&mut headers.metadata, &state.xattrs);
        state.posix(written == Written::All).write(&mut headers.metadata);
        headers
    }
}
