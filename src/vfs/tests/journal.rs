//! `--durability journal`: what was acknowledged outlives the process, whole, in order, and without a second copy of what
//! the bucket has already.

use super::harness::BOTH;
use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use super::harness::REWRITE;
use super::harness::WRITE;
use crate::base::bytesize::MIB;
use crate::journal::Journal;
use crate::journal::directory::Directory;
use crate::journal::limit::Limit;
use crate::journal::removals;
use crate::store::Op;
use crate::store::Store;
use crate::store::layers::removals::Gated;
use crate::store::layers::removals::Removals;
use crate::store::layers::removals::When;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Durability;
use crate::vfs::Error;
use crate::vfs::Means;
use crate::vfs::Options;
use crate::vfs::Vfs;
use crate::vfs::known::Known;
use crate::vfs::notes::Notes;
use crate::vfs::open::How;
use crate::vfs::setattr::Changes;
use crate::writer::disk::Disk;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Handle;

/// A bucket, and the local disk of mounts that follow each other.
pub(super) struct Bed {
    pub store: Arc<Memory>,
    home: TempDir,
    lives: u32,
    limit: u64,
}

impl Bed {
    pub fn new() -> Self {
        Self { store: Arc::new(Memory::new()), home: TempDir::new().unwrap(), lives: 0, limit: u64::MAX }
    }

    fn journal_of(&self, life: u32) -> PathBuf {
        self.home.path().join(life.to_string())
    }

    /// A mount that ends as if its process were killed when `work` has. What it began is not heard of any more.
    pub fn live<F: Future>(&mut self, work: impl FnOnce(Mounted) -> F) -> F::Output {
        self.live_as(Durability::Journal, work)
    }

    pub fn live_as<F: Future>(&mut self, durability: Durability, work: impl FnOnce(Mounted) -> F) -> F::Output {
        let place = self.journal_of(self.lives);
        self.lives += 1;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let done = runtime.block_on(async {
            let journal = Arc::new(Journal::open(Directory::open(&place).unwrap()).unwrap());
            let disk = Disk::journal(Arc::clone(&journal), Limit::new(self.limit));
            let noted = removals::of_journal(&journal);
            let removals = Removals::new(self.store.clone(), Some(Arc::clone(&noted)), When::Always, Handle::current());
            removals.adopt(removals::left(noted, &journal.state()));
            let shared: Arc<dyn Store> = Arc::new(Gated::new(self.store.clone(), &removals));
            let options = Options { durability, memory_limit: 24 * MIB, ..Options::default() };
            let removals = Some(removals);
            let means = Means { storing: Arc::clone(&shared), disk: Some(disk), removals, cache: None, waits: false };
            let (notes, known) = (Notes::none(), Known::default());
            let vfs = Vfs::going_on(shared, means, options, Handle::current(), (&notes, &known));
            vfs.recover(&journal).await;
            work(Mounted { store: Arc::clone(&self.store), vfs }).await
        });
        runtime.shutdown_timeout(Duration::from_secs(10));
        // The lock of a mount that was killed is gone; that of one whose tasks were dropped here may not be.
        let next = self.journal_of(self.lives);
        fs::create_dir(&next).unwrap();
        for entry in fs::read_dir(&place).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), next.join(entry.file_name())).unwrap();
        }
        done
    }

    fn store_comes_back(&self) {
        self.store.lose_nothing();
    }

    pub fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.store.bytes(key).map(|bytes| bytes.to_vec())
    }

    /// A mount that finds what is left, and stores it.
    pub fn recover(&mut self) -> Vec<String> {
        self.store_comes_back();
        self.live(|mounted| async move { mounted.vfs.drain().await.iter().map(ToString::to_string).collect() })
    }

    pub fn data_files(&self) -> usize {
        let names = fs::read_dir(self.journal_of(self.lives)).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_str().unwrap().starts_with("data-")).count()
    }
}

pub(super) fn pattern(len: u64, seed: u8) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap().wrapping_add(seed)).collect()
}

#[test]
fn a_closed_file_outlives_the_process_and_is_stored_by_the_next_mount() {
    for size in [0, 10, 9 * MIB, 40 * MIB] {
        let mut bed = Bed::new();
        bed.live(|mounted| async move {
            mounted.mkdir("d").await.unwrap();
            mounted.store.lose_all_after(0);
            mounted.write("d/f", &pattern(size, 1)).await.unwrap();
            let id = mounted.inode("d/f").await.unwrap();
            let changes = Changes { permissions: Some(0o600), uid: Some(77), ..Changes::default() };
            mounted.vfs.setattr(id, None, changes).await.unwrap();
            assert!(mounted.read("d/f").await.unwrap() == pattern(size, 1), "{size}: it is read from the journal");
        });
        assert_eq!(bed.bytes("d/f"), None);
        bed.store_comes_back();
        bed.live(|mounted| async move {
            assert_eq!(mounted.names("d").await, ["f"]);
            assert!(mounted.read("d/f").await.unwrap() == pattern(size, 1), "{size}: before it is stored");
            let attr = mounted.vfs.getattr(mounted.inode("d/f").await.unwrap()).await.unwrap().attr;
            assert_eq!((attr.permissions, attr.uid, attr.size), (0o600, 77, size));
            assert!(mounted.vfs.drain().await.is_empty());
            assert!(mounted.read("d/f").await.unwrap() == pattern(size, 1));
        });
        assert!(bed.bytes("d/f").unwrap() == pattern(size, 1), "{size}");
        assert_eq!((bed.data_files(), bed.store.uploads_open()), (0, 0));
        assert!(bed.recover().is_empty());
        let after =
            bed.live(
                |mounted| async move { mounted.vfs.getattr(mounted.inode("d/f").await.unwrap()).await.unwrap().attr },
            );
        assert_eq!((after.permissions, after.uid), (0o600, 77));
    }
}

#[test]
fn fsync_keeps_what_was_written_so_far_and_what_comes_later_is_nobodys() {
    let mut bed = Bed::new();
    bed.live(|mounted| async move {
        mounted.write("f", &pattern(9 * MIB, 0)).await.unwrap();
        assert!(mounted.vfs.drain().await.is_empty());
        mounted.store.lose_all_after(0);
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, 5 * MIB, b"first").await.unwrap();
        mounted.vfs.fsync(handle).await.unwrap();
        mounted.write_at(handle, 5 * MIB, b"later").await.unwrap();
        mounted.write_at(handle, 9 * MIB, b"longer").await.unwrap();
    });
    assert!(bed.recover().is_empty());
    let mut want = pattern(9 * MIB, 0);
    let at = usize::try_from(5 * MIB).unwrap();
    want[at..at + 5].copy_from_slice(b"first");
    assert!(bed.bytes("f").unwrap() == want);
}

#[test]
fn names_follow_in_the_order_in_which_they_were_changed() {
    let mut bed = Bed::new();
    bed.live(|mounted| async move {
        mounted.mkdir("d").await.unwrap();
        mounted.write("a", b"first").await.unwrap();
        mounted.write("b", b"second").await.unwrap();
        mounted.rename("b", "a").await.unwrap();
        mounted.write("b", b"third").await.unwrap();
        mounted.write("gone", b"gone").await.unwrap();
        mounted.unlink("gone").await.unwrap();
        mounted.write("c", b"old").await.unwrap();
        mounted.write("c", b"new").await.unwrap();
        // Cut off, and never closed: what was acknowledged stays.
        let handle = mounted.open("b", REWRITE).await.unwrap();
        mounted.write_at(handle, 0, b"unfinished").await.unwrap();
        // Still open when its name goes.
        mounted.write("open", b"open").await.unwrap();
        let open = mounted.open("open", READ).await.unwrap();
        mounted.unlink("open").await.unwrap();
        assert_eq!(mounted.read_at(open, 0, 10).await.unwrap(), "open");
    });
    assert!(bed.recover().is_empty());
    let found: Vec<_> = bed.store.keys().into_iter().map(|key| (key.clone(), bed.bytes(&key).unwrap())).collect();
    let want = [("a", "second"), ("b", "third"), ("c", "new"), ("d/", "")];
    assert_eq!(found, want.map(|(key, bytes)| (key.to_owned(), bytes.as_bytes().to_vec())));
}

#[test]
fn a_directory_takes_files_along_that_wait() {
    let mut bed = Bed::new();
    bed.live(|mounted| async move {
        mounted.mkdir("from").await.unwrap();
        mounted.write("from/f", b"waits").await.unwrap();
        mounted.rename("from", "to").await.unwrap();
    });
    assert!(bed.recover().is_empty());
    assert_eq!(bed.store.keys(), ["to/", "to/f"]);
}

#[test]
fn an_upload_is_gone_on_with_after_a_crash() {
    let mut bed = Bed::new();
    let whole = pattern(40 * MIB, 3);
    bed.live(|mounted| {
        let whole = whole.clone();
        async move {
            mounted.store.lose(Op::PutPart, 5, Lost::Request);
            mounted.write("f", &whole).await.unwrap();
            assert_eq!(mounted.vfs.drain().await.len(), 1);
        }
    });
    let (begun, sent) = (bed.store.calls(Op::CreateUpload), bed.store.calls(Op::PutPart));
    assert_eq!((begun, sent, bed.store.uploads_open()), (1, 5, 1));
    bed.live(|mounted| async move { assert!(mounted.vfs.drain().await.is_empty()) });
    assert!(bed.bytes("f").unwrap() == whole);
    assert_eq!((bed.store.calls(Op::CreateUpload), bed.store.calls(Op::PutPart)), (1, 6), "only what is missing");
    assert_eq!((bed.store.uploads_open(), bed.data_files()), (0, 0));
}

#[test]
fn what_was_stored_just_before_the_crash_is_recognized() {
    for (size, op) in [(10, Op::PutObject), (20 * MIB, Op::CompleteUpload)] {
        let mut bed = Bed::new();
        bed.live(|mounted| async move {
            let (directory, name) = mounted.place("f").await.unwrap();
            let handle = mounted.vfs.create(directory, name, OWNER, EXCLUSIVE).await.unwrap().1.handle;
            mounted.write_at(handle, 0, &pattern(size, 4)).await.unwrap();
            mounted.store.lose(op, 1, Lost::Answer);
            mounted.close(handle).await.unwrap();
            assert_eq!(mounted.vfs.drain().await.len(), 1, "its answer is lost");
        });
        assert!(bed.bytes("f").unwrap() == pattern(size, 4));
        assert_eq!(bed.recover(), Vec::<String>::new());
        assert_eq!((bed.store.keys(), bed.data_files()), (vec!["f".to_owned()], 0), "{size}");
    }
}

async fn store_without_answers(mounted: &Mounted, how: How, names: [&str; 4]) {
    for name in names {
        let (directory, name) = mounted.place(name).await.unwrap();
        let created = mounted.vfs.create(directory, name, OWNER, how).await;
        let handle = created.unwrap().1.handle;
        mounted.write_at(handle, 0, b"first").await.unwrap();
        mounted.close(handle).await.unwrap();
    }
    (1..=4).for_each(|nth| mounted.store.lose(Op::PutObject, nth, Lost::Answer));
    assert_eq!(mounted.vfs.drain().await.len(), 4, "their answers are lost");
}

async fn change_after_doubt(mounted: &Mounted) {
    mounted.write("cut", b"second").await.unwrap();
    let handle = mounted.open("changed", WRITE).await.unwrap();
    mounted.write_at(handle, 0, b"F").await.unwrap();
    mounted.close(handle).await.unwrap();
    mounted.unlink("removed").await.unwrap();
    mounted.rename("renamed", "other").await.unwrap();
}

#[test]
fn what_was_stored_without_an_answer_can_be_changed_and_removed() {
    for (crashes_before, how) in [(false, EXCLUSIVE), (true, EXCLUSIVE), (false, WRITE), (true, WRITE)] {
        let mut bed = Bed::new();
        bed.live(|mounted| async move {
            store_without_answers(&mounted, how, ["cut", "changed", "removed", "renamed"]).await;
            if !crashes_before {
                change_after_doubt(&mounted).await;
            }
        });
        if crashes_before {
            bed.live(|mounted| async move { change_after_doubt(&mounted).await });
        }
        assert_eq!(bed.recover(), Vec::<String>::new());
        let found: Vec<_> = bed.store.keys().into_iter().map(|key| (key.clone(), bed.bytes(&key).unwrap())).collect();
        let want = [("changed", "First"), ("cut", "second"), ("other", "first")];
        assert_eq!(found, want.map(|(key, bytes)| (key.to_owned(), bytes.as_bytes().to_vec())));
    }
}

#[test]
fn what_another_host_was_faster_at_is_kept_beside_it() {
    for durability in [Durability::Journal, Durability::Bucket] {
        let mut bed = Bed::new();
        bed.live_as(durability, |mounted| async move {
            mounted.write("f", &pattern(100, 0)).await.unwrap();
            assert!(mounted.vfs.drain().await.is_empty());
            let handle = mounted.open("f", BOTH).await.unwrap();
            mounted.write_at(handle, 0, &pattern(200, 7)).await.unwrap();
            mounted.write_at(handle, 50, b"ours").await.unwrap();
            mounted.put("f", b"theirs").await;
            let closed = mounted.close(handle).await;
            assert_eq!(closed.is_ok(), durability == Durability::Journal);
            let failures = mounted.vfs.drain().await;
            assert!(failures.iter().all(|failure| matches!(failure.error, Error::Stale)), "{failures:?}");
            assert_eq!(mounted.read("f").await.unwrap(), b"theirs");
        });
        let mut ours = pattern(200, 7);
        ours[50..54].copy_from_slice(b"ours");
        let keys = bed.store.keys();
        assert_eq!((keys.len(), bed.bytes("f").unwrap()), (2, b"theirs".to_vec()), "{keys:?}");
        assert!(keys[1].starts_with("f.conflict-"), "{keys:?}");
        assert!(bed.bytes(&keys[1]).unwrap() == ours);
        assert_eq!(bed.data_files(), 0);
    }
}

#[test]
fn what_was_appended_to_a_small_file_that_another_host_has_replaced_is_kept_beside_it() {
    let mut bed = Bed::new();
    bed.live_as(Durability::Bucket, |mounted| async move {
        mounted.write("f", &pattern(100, 0)).await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, 100, b"appended").await.unwrap();
        mounted.put("f", b"theirs").await;
        assert!(matches!(mounted.close(handle).await, Err(Error::Stale)));
        let failures = mounted.vfs.drain().await;
        assert!(failures.iter().all(|failure| matches!(failure.error, Error::Stale)), "{failures:?}");
        assert_eq!(mounted.read("f").await.unwrap(), b"theirs");
    });
    let keys = bed.store.keys();
    assert!(keys.len() == 2 && keys[1].starts_with("f.conflict-"), "{keys:?}");
    assert!(bed.bytes(&keys[1]).unwrap() == [&pattern(100, 0)[..], b"appended"].concat());
}

#[test]
fn what_lacks_bytes_that_are_gone_is_told_of_until_it_is_removed() {
    for crashes_before in [false, true] {
        let mut bed = Bed::new();
        let end = async |mounted: &Mounted| {
            assert!(!mounted.vfs.drain().await.is_empty(), "what was acknowledged is not given up by itself");
            let names = mounted.names("").await;
            assert!(names.len() == 1 && names[0].starts_with("f.conflict-"), "{names:?}");
            let again = mounted.vfs.drain().await;
            assert!(again.len() == 1 && again[0].kept && again[0].key == names[0], "{again:?}");
            mounted.unlink(&names[0]).await.unwrap();
            assert!(mounted.vfs.drain().await.is_empty());
        };
        bed.live(|mounted| async move {
            mounted.write("f", &pattern(9 * MIB, 0)).await.unwrap();
            assert!(mounted.vfs.drain().await.is_empty());
            let handle = mounted.open("f", WRITE).await.unwrap();
            mounted.write_at(handle, 5 * MIB, b"changed").await.unwrap();
            mounted.close(handle).await.unwrap();
            mounted.store.delete_object("f").await.unwrap();
            if !crashes_before {
                end(&mounted).await;
            }
        });
        if crashes_before {
            bed.live(|mounted| async move { end(&mounted).await });
        }
        assert_eq!(bed.recover(), Vec::<String>::new());
        assert_eq!((bed.store.keys(), bed.data_files()), (Vec::<String>::new(), 0));
    }
}

#[test]
fn a_mount_without_a_journal_of_its_own_stores_what_another_has_left() {
    let mut bed = Bed::new();
    bed.live(|mounted| async move { mounted.write("f", b"left").await.unwrap() });
    bed.live_as(Durability::Bucket, |mounted| async move {
        mounted.write("g", b"stored at once").await.unwrap();
        assert_eq!(mounted.store.bytes("g").unwrap(), "stored at once");
        assert!(mounted.vfs.drain().await.is_empty());
    });
    assert_eq!(bed.bytes("f").unwrap(), b"left");
    assert_eq!(bed.data_files(), 0);
}

#[test]
fn writers_wait_when_the_journal_is_full_and_nothing_is_lost() {
    let mut bed = Bed::new();
    bed.limit = 16 * MIB;
    bed.live(|mounted| async move {
        for i in 0..8 {
            mounted.write(&format!("f{i}"), &pattern(10 * MIB, i)).await.unwrap();
        }
        // One that alone is larger goes to hidden objects.
        mounted.write("large", &pattern(60 * MIB, 9)).await.unwrap();
        assert!(mounted.vfs.drain().await.is_empty());
    });
    for i in 0..8 {
        assert!(bed.bytes(&format!("f{i}")).unwrap() == pattern(10 * MIB, i));
    }
    assert!(bed.bytes("large").unwrap() == pattern(60 * MIB, 9));
    assert_eq!((bed.store.keys().len(), bed.data_files()), (9, 0));
}

#[test]
fn a_file_larger_than_the_journal_outlives_the_process_too() {
    let mut bed = Bed::new();
    bed.limit = 8 * MIB;
    bed.live(|mounted| async move {
        mounted.write("large", &pattern(60 * MIB, 9)).await.unwrap();
    });
    assert!(bed.recover().is_empty());
    assert!(bed.bytes("large").unwrap() == pattern(60 * MIB, 9));
    assert_eq!(bed.store.keys(), ["large"], "hidden objects are gone");
}
