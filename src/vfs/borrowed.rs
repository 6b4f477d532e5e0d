//! Files whose next version takes bytes from the object of another file: they are committed before that object changes.
//!
//! No file waits for itself in the end: who takes bytes from a file finds it committed, so it takes none from others then.

use crate::vfs::Vfs;
use crate::vfs::inode::Inode;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::sync::Weak;

impl Vfs {
    /// Notes that `borrower` needs the object of `lender` until it is committed.
    pub(super) fn lend(lender: &Inode, borrower: &Arc<Inode>) {
        let mut state = lender.state();
        let borrower = Arc::downgrade(borrower);
        state.borrowers.retain(|known| known.strong_count() > 0 && !known.ptr_eq(&borrower));
        state.borrowers.push(borrower);
    }

    /// The object of `lender` is about to be replaced, moved or removed: commits who needs it. To be called without any
    /// lock. How a commit ends is told to those who write that file.
    pub(super) fn settle_borrowers<'a>(&'a self, lender: &'a Inode) -> BoxFuture<'a, ()> {
        async move {
            let borrowers: Vec<Weak<Inode>> = std::mem::take(&mut lender.state().borrowers);
            for borrower in borrowers.iter().filter_map(Weak::upgrade) {
                if let Err(error) = self.commit(&borrower).await {
                    let key = self.tree.key(&borrower).unwrap_or_default();
                    tracing::error!(key, %error, "a file that took bytes from another one could not be committed");
                }
                self.tree.let_go(borrower);
            }
        }
        .boxed()
    }
}
