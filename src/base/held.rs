//! Exclusive locks on files, between processes.

use std::fs::File;
use std::fs::TryLockError;
use std::io;

/// A file that is locked (`flock(2)`) until this is dropped.
///
/// Closing it would not be enough: a child process that was just made has a copy of the descriptor until it becomes
/// another program, and the lock is both's.
#[derive(Debug)]
pub struct Held(File);

impl Held {
    /// Locks a file; `None` if somebody else has it.
    ///
    /// # Errors
    /// When its file system cannot lock.
    pub fn try_new(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }

    /// Locks a file once nobody else has it.
    ///
    /// # Errors
    /// When its file system cannot lock.
    pub fn wait(file: File) -> io::Result<Self> {
        file.lock()?;
        Ok(Self(file))
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It cannot fail for a file that was locked.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_with_its_owner_whoever_has_a_copy_of_the_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::create(dir.path().join("lock")).unwrap();
        let held = Held::try_new(open()).unwrap().unwrap();
        // What a child has, too.
        let copy = held.file().try_clone().unwrap();
        assert!(Held::try_new(open()).unwrap().is_none());
        drop(held);
        assert!(Held::try_new(open()).unwrap().is_some());
        drop(copy);
    }
}
