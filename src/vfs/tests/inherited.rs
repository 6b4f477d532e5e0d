//! A process that goes on where another one has ended: what the kernel holds means the same, and what was lost is told.

use super::harness::*;
use crate::vfs::Error;
use crate::vfs::inode::InodeId;
use crate::vfs::setattr::Changes;
use std::ffi::OsStr;
use std::time::Duration;
use std::time::UNIX_EPOCH;

#[tokio::test]
async fn numbers_mean_the_same() {
    let (mounted, notes) = Mounted::noted();
    mounted.mkdir("dir").await.unwrap();
    mounted.write("dir/file", b"text").await.unwrap();
    let (dir, file) = (mounted.inode("dir").await.unwrap(), mounted.inode("dir/file").await.unwrap());
    let handle = mounted.open("dir/file", READ).await.unwrap();
    let listing = mounted.vfs.opendir(dir).unwrap();
    let after = mounted.taken_over(&notes);
    assert_eq!(after.read_at(handle, 1, 9).await.unwrap(), &b"ext"[..]);
    let entry = after.vfs.getattr(file).await.unwrap();
    assert_eq!((entry.attr.size, entry.attr.permissions, entry.attr.uid), (4, 0o640, 7));
    assert_eq!(after.inode("dir/file").await.unwrap(), file);
    assert_eq!(after.vfs.lookup(dir, OsStr::new("file")).await.unwrap().inode.id, file);
    after.vfs.releasedir(listing);
    after.close(handle).await.unwrap();
    let fresh = after.create("dir/new").await.unwrap();
    assert!(fresh.0 > handle.0.max(listing.0), "no number is given twice");
    assert!(after.inode("dir/new").await.unwrap() > file);
    // And once more, by the notes of the second.
    let last = after.taken_over(&notes);
    assert_eq!(last.inode("dir/file").await.unwrap(), file);
    assert!(matches!(last.read_at(handle, 0, 1).await, Err(Error::BadHandle)), "it was closed");
    assert!(matches!(last.write_at(fresh, 0, b"x").await, Err(Error::Lost)));
}

#[tokio::test]
async fn lost_bytes_are_told_by_every_way_to_store_them() {
    let (mounted, notes) = Mounted::noted();
    mounted.write("old", b"old").await.unwrap();
    let rewritten = mounted.open("old", REWRITE).await.unwrap();
    let patched = mounted.open("old", BOTH).await.unwrap();
    let new = mounted.create("new").await.unwrap();
    mounted.write_at(new, 0, b"new").await.unwrap();
    let after = mounted.taken_over(&notes);
    for handle in [rewritten, patched, new] {
        assert!(matches!(after.vfs.flush(handle, 0).await, Err(Error::Lost)));
        assert!(matches!(after.vfs.fsync(handle).await, Err(Error::Lost)));
        assert!(matches!(after.write_at(handle, 0, b"x").await, Err(Error::Lost)));
        assert!(matches!(after.append(handle, b"x").await, Err(Error::Lost)));
    }
    assert_eq!(after.read("old").await.unwrap(), b"old");
    assert!(matches!(after.read("new").await, Err(Error::NotFound)));
    for handle in [rewritten, patched, new] {
        after.vfs.release(handle).await.unwrap();
    }
    after.write("old", b"again").await.unwrap();
    after.write("new", b"again").await.unwrap();
    assert_eq!(after.read("old").await.unwrap(), b"again");
    assert_eq!(after.names("").await, ["new", "old"]);
}

#[tokio::test]
async fn what_was_stored_is_gone_on_from() {
    let (mounted, notes) = Mounted::noted();
    let handle = mounted.create("file").await.unwrap();
    mounted.write_at(handle, 0, b"one ").await.unwrap();
    mounted.vfs.fsync(handle).await.unwrap();
    let after = mounted.taken_over(&notes);
    after.append(handle, b"two ").await.unwrap();
    after.vfs.fsync(handle).await.unwrap();
    let last = after.taken_over(&notes);
    last.write_at(handle, 0, b"ONE").await.unwrap();
    last.close(handle).await.unwrap();
    assert_eq!(last.read("file").await.unwrap(), b"ONE two ");
    assert_eq!(last.vfs.getattr(last.inode("file").await.unwrap()).await.unwrap().attr.permissions, 0o640);
}

#[tokio::test]
async fn attributes_are_asked_for_before_they_are_changed() {
    let (mounted, notes) = Mounted::noted();
    mounted.mkdir("dir").await.unwrap();
    mounted.write("file", b"text").await.unwrap();
    let inodes = [mounted.inode("dir").await.unwrap(), mounted.inode("file").await.unwrap()];
    let after = mounted.taken_over(&notes);
    for inode in inodes {
        let changes = Changes { permissions: Some(0o701), ..Changes::default() };
        let entry = after.vfs.setattr(inode, None, changes).await.unwrap();
        assert_eq!((entry.attr.permissions, entry.attr.uid, entry.attr.gid), (0o701, 7, 8));
    }
}

#[tokio::test]
async fn what_others_changed_meanwhile_is_seen_and_not_mixed() {
    let (mounted, notes) = Mounted::noted();
    for name in ["gone", "replaced", "closed"] {
        mounted.write(name, b"text").await.unwrap();
    }
    let (gone, replaced) = (mounted.inode("gone").await.unwrap(), mounted.inode("replaced").await.unwrap());
    let reading = mounted.open("replaced", READ).await.unwrap();
    let closed = mounted.inode("closed").await.unwrap();
    mounted.put("replaced", b"other").await;
    mounted.put("closed", b"other").await;
    let other = mounted.again();
    other.unlink("gone").await.unwrap();
    let after = mounted.taken_over(&notes);
    assert!(matches!(after.vfs.getattr(gone).await, Err(Error::Stale)));
    assert!(matches!(after.read_at(reading, 0, 4).await, Err(Error::Stale)), "it reads one version or none");
    assert_ne!(after.inode("replaced").await.unwrap(), replaced);
    assert_eq!(after.read("replaced").await.unwrap(), b"other");
    assert_eq!(after.vfs.getattr(closed).await.unwrap().attr.size, 5);
}

#[tokio::test]
async fn files_without_a_name_and_moved_directories_keep_their_numbers() {
    let (mounted, notes) = Mounted::noted();
    mounted.mkdir("a").await.unwrap();
    mounted.write("a/file", b"text").await.unwrap();
    mounted.write("removed", b"text").await.unwrap();
    let file = mounted.inode("a/file").await.unwrap();
    let handle = mounted.open("removed", READ).await.unwrap();
    mounted.unlink("removed").await.unwrap();
    mounted.rename("a", "b").await.unwrap();
    let after = mounted.taken_over(&notes);
    assert_eq!(after.inode("b/file").await.unwrap(), file);
    assert_eq!(after.read_at(handle, 0, 9).await.unwrap(), &b"text"[..]);
    assert!(matches!(after.inode("removed").await, Err(Error::NotFound)));
    after.close(handle).await.unwrap();
    assert_eq!(after.names("").await, ["b"]);
    assert!(after.store.keys().iter().all(|key| !key.contains("unlinked")), "its last close has removed it");
    after.vfs.forget(file, u64::MAX);
    assert!(after.vfs.getattr(InodeId(file.0 + 100)).await.is_err());
}

#[tokio::test]
async fn a_new_file_that_nobody_was_told_of_is_made_again() {
    let (mounted, notes) = Mounted::noted();
    let lost = mounted.create("file").await.unwrap();
    let after = mounted.taken_over(&notes);
    let (directory, name) = after.place("file").await.unwrap();
    let (_, opened) = after.vfs.create(directory, name, OWNER, EXCLUSIVE).await.unwrap();
    after.write_at(opened.handle, 0, b"text").await.unwrap();
    after.close(opened.handle).await.unwrap();
    assert!(matches!(after.write_at(lost, 0, b"x").await, Err(Error::Lost)));
    assert_eq!(after.read("file").await.unwrap(), b"text");
}

#[tokio::test]
async fn what_is_being_written_is_handed_over_once() {
    let (mounted, notes) = Mounted::noted();
    mounted.write("grown", b"old").await.unwrap();
    let grown = mounted.open("grown", BOTH).await.unwrap();
    mounted.append(grown, b" and new").await.unwrap();
    let new = mounted.create("new").await.unwrap();
    mounted.write_at(new, 0, b"text").await.unwrap();
    let early = UNIX_EPOCH - Duration::from_secs(1000);
    let changes = Changes { permissions: Some(0o711), mtime: Some(early), ..Changes::default() };
    let id = mounted.inode("new").await.unwrap();
    mounted.vfs.setattr(id, Some(new), changes).await.unwrap();
    assert_eq!(mounted.vfs.in_the_way(), None);
    mounted.vfs.hand_over().await.unwrap();
    let after = mounted.taken_over_whole(&notes).await;
    assert_eq!(mounted.store.keys(), ["grown"], "nothing is published early");
    let entry = after.vfs.getattr(id).await.unwrap();
    assert_eq!((entry.attr.permissions, entry.attr.mtime, entry.attr.size), (0o711, early, 4));
    assert_eq!(after.names("").await, ["grown", "new"]);
    after.append(grown, b", too").await.unwrap();
    after.close(grown).await.unwrap();
    after.close(new).await.unwrap();
    assert_eq!(after.read("grown").await.unwrap(), b"old and new, too");
    let other = after.again();
    let stored = other.vfs.getattr(other.inode("new").await.unwrap()).await.unwrap();
    assert_eq!((stored.attr.permissions, stored.attr.mtime), (0o711, early));
}

#[tokio::test]
async fn a_crash_after_a_handover_takes_nothing_twice() {
    let (mounted, notes) = Mounted::noted();
    let handle = mounted.create("file").await.unwrap();
    mounted.write_at(handle, 0, b"text").await.unwrap();
    mounted.vfs.hand_over().await.unwrap();
    let after = mounted.taken_over_whole(&notes).await;
    after.write_at(handle, 4, b" that is lost").await.unwrap();
    let last = after.taken_over_whole(&notes).await;
    assert!(matches!(last.vfs.flush(handle, 0).await, Err(Error::Lost)));
    assert!(last.store.keys().is_empty());
    // One who wanted to hand over, and stays, has lost nothing but by a crash.
    let (mounted, notes) = Mounted::noted();
    let handle = mounted.create("file").await.unwrap();
    mounted.vfs.hand_over().await.unwrap();
    mounted.vfs.stay();
    mounted.write_at(handle, 0, b"text").await.unwrap();
    let after = mounted.taken_over_whole(&notes).await;
    assert!(matches!(after.vfs.flush(handle, 0).await, Err(Error::Lost)));
}

#[tokio::test]
async fn a_file_that_is_changed_here_and_there_is_in_the_way() {
    let (mounted, _notes) = Mounted::noted();
    mounted.write("file", b"text").await.unwrap();
    let handle = mounted.open("file", BOTH).await.unwrap();
    mounted.write_at(handle, 0, b"T").await.unwrap();
    assert_eq!(mounted.vfs.in_the_way().as_deref(), Some("file"));
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.vfs.in_the_way(), None);
}
