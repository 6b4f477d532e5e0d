//! Removals that are put off: names go at once and objects a moment later, in no order that anybody could tell from the
//! plain one, and what the store refuses is told.

use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use super::journal::Bed;
use crate::store::Condition;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Store;
use crate::store::layers::removals::Gated;
use crate::store::layers::removals::Intents;
use crate::store::layers::removals::Removals;
use crate::store::layers::removals::When;
use crate::store::layers::removals::queue;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Durability;
use crate::vfs::Error;
use crate::vfs::Means;
use crate::vfs::Options;
use crate::vfs::Vfs;
use crate::vfs::inode::InodeId;
use crate::vfs::known::Known;
use crate::vfs::notes::Notes;
use crate::wire::etag::ETag;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;

/// Notes in memory.
#[derive(Default)]
struct Noting {
    open: Mutex<BTreeMap<u64, String>>,
    full: AtomicBool,
}

#[async_trait]
impl Intents for Noting {
    fn intend(&self, key: &str, _etag: &ETag) -> io::Result<u64> {
        if self.full.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut open = self.open.lock().unwrap();
        let removal = open.last_key_value().map_or(0, |(last, _)| last + 1);
        open.insert(removal, key.to_owned());
        Ok(removal)
    }

    async fn secure(&self) -> io::Result<()> {
        Ok(())
    }

    async fn ended(&self, removals: Vec<u64>) {
        let mut open = self.open.lock().unwrap();
        removals.iter().for_each(|removal| drop(open.remove(removal).expect("it was noted, and not over")));
    }
}

impl Noting {
    fn keys(&self) -> Vec<String> {
        self.open.lock().unwrap().values().cloned().collect()
    }
}

struct Site {
    mounted: Mounted,
    noting: Arc<Noting>,
}

impl Site {
    fn over(store: Arc<Memory>) -> Self {
        let noting = Arc::new(Noting::default());
        let intents: Arc<dyn Intents> = noting.clone();
        let removals = Removals::new(store.clone(), Some(intents), When::Always, Handle::current());
        let shared: Arc<dyn Store> = Arc::new(Gated::new(store.clone(), &removals));
        let means =
            Means { storing: Arc::clone(&shared), disk: None, removals: Some(removals), cache: None, waits: false };
        let (notes, known) = (Notes::none(), Known::default());
        let vfs = Vfs::going_on(shared, means, Options::default(), Handle::current(), (&notes, &known));
        Self { mounted: Mounted { store, vfs }, noting }
    }

    /// A directory with these files, in which removals may be put off.
    async fn with(facts: Facts, names: &[&str]) -> Self {
        let site = Self::over(Arc::new(Memory::with_facts(facts)));
        let mounted = &site.mounted;
        mounted.mkdir("d").await.unwrap();
        for name in names.iter().chain(&["first"]) {
            mounted.write(&format!("d/{name}"), name.as_bytes()).await.unwrap();
        }
        mounted.unlink("d/first").await.unwrap();
        assert_eq!(mounted.store.bytes("d/first"), None, "the first is not put off");
        site
    }

    async fn of(names: &[&str]) -> Self {
        Self::with(Facts::S3, names).await
    }

    fn stored(&self, key: &str) -> Option<Bytes> {
        self.mounted.store.bytes(key)
    }

    async fn wait(&self) {
        tokio::time::sleep(queue::GATHER * 2).await;
    }

    async fn fsync(&self, path: &str) -> crate::vfs::Result<()> {
        self.mounted.vfs.fsyncdir(self.mounted.inode(path).await?).await
    }
}

fn denied<T: std::fmt::Debug>(done: crate::vfs::Result<T>) -> bool {
    matches!(done.unwrap_err(), Error::Access(error) if error.kind == Kind::AccessDenied)
}

#[tokio::test(start_paused = true)]
async fn a_name_is_gone_at_once_and_its_object_a_moment_later() {
    let site = Site::of(&["a", "b", "c"]).await;
    let mounted = &site.mounted;
    mounted.unlink("d/a").await.unwrap();
    mounted.unlink("d/b").await.unwrap();
    assert!(site.stored("d/a").is_some(), "it is put off");
    assert_eq!(site.noting.keys(), ["d/a", "d/b"], "and noted");
    assert_eq!(mounted.vfs.pending().files, 2);
    assert!(matches!(mounted.inode("d/a").await, Err(Error::NotFound)));
    assert!(matches!(mounted.unlink("d/a").await, Err(Error::NotFound)));
    assert!(site.stored("d/a").is_some(), "looking is no reason to hurry");
    site.wait().await;
    assert_eq!(mounted.store.keys(), ["d/", "d/c"]);
    assert_eq!((mounted.store.calls(Op::DeleteObjects), mounted.store.calls(Op::DeleteObject)), (1, 1));
    assert_eq!((site.noting.keys().len(), mounted.vfs.pending().files), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn no_listing_shows_what_is_to_go() {
    let site = Site::of(&["a", "b"]).await;
    let mounted = &site.mounted;
    // What is remembered is too old by then.
    tokio::time::sleep(Duration::from_secs(6)).await;
    mounted.unlink("d/a").await.unwrap();
    mounted.vfs.doubt(&mounted.vfs.directory(mounted.inode("d").await.unwrap()).unwrap());
    assert!(site.stored("d/a").is_some(), "it is put off");
    assert_eq!(mounted.names("d").await, ["b"]);
    assert_eq!(site.stored("d/a"), None, "who lists comes after it");
}

#[tokio::test(start_paused = true)]
async fn what_is_put_under_a_key_comes_after_its_removal() {
    let makes: [(&str, &[&str]); 5] = [
        ("a file", &["d/a"]),
        ("a symbolic link", &["d/a"]),
        ("a rename", &["d/a", "d/other"]),
        ("a copy", &["d/a"]),
        ("a directory", &["d/a/"]),
    ];
    for (what, keys) in makes {
        let site = Site::of(&["a", "b", "other"]).await;
        let mounted = &site.mounted;
        mounted.unlink("d/a").await.unwrap();
        assert!(site.stored("d/a").is_some(), "it is put off");
        let (directory, name) = mounted.place("d/a").await.unwrap();
        match what {
            "a file" => mounted.write("d/a", b"new").await.unwrap(),
            "a symbolic link" => {
                mounted.vfs.symlink(directory, name, OsStr::new("new"), OWNER).await.unwrap();
            }
            "a rename" => mounted.rename("d/other", "d/a").await.unwrap(),
            "a copy" => {
                let version = mounted.store.head_object("d/other").await.unwrap().etag;
                let source = crate::store::CopySource { key: "d/other".into(), if_match: Some(version) };
                mounted.vfs.store.copy_object(&source, "d/a", None).await.unwrap();
            }
            _ => mounted.mkdir("d/a").await.unwrap(),
        }
        site.wait().await;
        assert!(site.stored(keys[0]).is_some(), "{what}");
        if keys[0] == "d/a" {
            assert_ne!(site.stored("d/a").unwrap(), "a", "{what}");
        }
        assert_eq!(site.stored("d/a").is_some(), keys[0] == "d/a", "{what}");
        assert_eq!(site.stored("d/other").is_some(), what != "a rename", "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_source_of_a_rename_goes_later_and_its_name_at_once() {
    let site = Site::of(&["a", "b"]).await;
    let mounted = &site.mounted;
    let ((), cost) = mounted.cost(async { mounted.rename("d/a", "d/z").await.unwrap() }).await;
    assert_eq!(cost.get("DeleteObject").or(cost.get("DeleteObjects")), None, "{cost:?}");
    assert!(site.stored("d/a").is_some(), "it is put off");
    assert!(matches!(mounted.inode("d/a").await, Err(Error::NotFound)));
    assert_eq!(mounted.read("d/z").await.unwrap(), b"a");
    assert_eq!(mounted.names("d").await, ["b", "z"]);
    // And back again.
    mounted.rename("d/z", "d/a").await.unwrap();
    assert_eq!(mounted.read("d/a").await.unwrap(), b"a");
    site.wait().await;
    assert_eq!(mounted.store.keys(), ["d/", "d/a", "d/b"]);
}

#[tokio::test(start_paused = true)]
async fn who_has_a_removed_file_open_goes_on_reading_it() {
    let site = Site::of(&["a", "b"]).await;
    let mounted = &site.mounted;
    let open = mounted.open("d/a", READ).await.unwrap();
    mounted.unlink("d/a").await.unwrap();
    assert!(site.stored("d/a").is_some(), "it is put off");
    assert_eq!(mounted.read_at(open, 0, 10).await.unwrap(), "a");
    mounted.write("d/a", b"new").await.unwrap();
    assert_eq!(mounted.read_at(open, 0, 10).await.unwrap(), "a");
    mounted.close(open).await.unwrap();
    assert_eq!(mounted.read("d/a").await.unwrap(), b"new");
    assert_eq!(mounted.store.keys(), ["d/", "d/a", "d/b"]);
}

#[tokio::test(start_paused = true)]
async fn who_promises_that_all_is_in_the_bucket_carries_removals_out() {
    for who in ["fsync", "rmdir", "drain", "finish", "handover", "rename above"] {
        let site = Site::of(&["a"]).await;
        let mounted = &site.mounted;
        mounted.unlink("d/a").await.unwrap();
        assert!(site.stored("d/a").is_some(), "it is put off");
        match who {
            "fsync" => site.fsync("").await.unwrap(),
            "rmdir" => mounted.rmdir("d").await.unwrap(),
            "drain" => assert!(mounted.vfs.drain().await.is_empty()),
            "finish" => assert!(mounted.vfs.finish().await.is_empty()),
            "handover" => mounted.vfs.hand_over().await.unwrap(),
            _ => mounted.rename("d", "e").await.unwrap(),
        }
        assert_eq!(site.stored("d/a"), None, "{who}");
        assert_eq!((site.noting.keys().len(), site.stored("e/a")), (0, None), "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_removal_in_a_directory_tells_what_the_store_says() {
    let site = Site::of(&["a"]).await;
    let mounted = &site.mounted;
    mounted.mkdir("e").await.unwrap();
    mounted.write("e/a", b"a").await.unwrap();
    mounted.store.lose(Op::DeleteObject, 1, Lost::Refused(Kind::AccessDenied));
    assert!(denied(mounted.unlink("e/a").await));
    assert_eq!(mounted.read("e/a").await.unwrap(), b"a");
    assert!(site.noting.keys().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refuses_later_is_there_again_and_told_once() {
    for who in ["fsync", "rmdir", "drain"] {
        let site = Site::of(&["a", "b"]).await;
        let mounted = &site.mounted;
        mounted.unlink("d/a").await.unwrap();
        mounted.unlink("d/b").await.unwrap();
        // For each key, too.
        mounted.store.lose(Op::DeleteObjects, 1, Lost::Refused(Kind::AccessDenied));
        mounted.store.lose(Op::DeleteObject, 1, Lost::Refused(Kind::AccessDenied));
        site.wait().await;
        let left = mounted.store.keys();
        assert_eq!(left.len(), 2, "one of them was allowed");
        let name = left[1].strip_prefix("d/").unwrap();
        assert_eq!(mounted.names("d").await, [name]);
        assert_eq!(mounted.read(&left[1]).await.unwrap(), name.as_bytes());
        assert!(site.noting.keys().is_empty(), "who looks sees that it was not removed");
        match who {
            "fsync" => assert!(denied(site.fsync("d").await)),
            "rmdir" => assert!(denied(mounted.rmdir("d").await)),
            _ => {
                let failures = mounted.vfs.drain().await;
                assert_eq!(failures.iter().map(|failure| &failure.key).collect::<Vec<_>>(), [&left[1]]);
            }
        }
        site.fsync("d").await.unwrap();
        assert!(matches!(mounted.rmdir("d").await, Err(Error::NotEmpty)), "{who}");
        // And nothing is put off for a while.
        mounted.store.lose(Op::DeleteObject, 1, Lost::Refused(Kind::AccessDenied));
        assert!(denied(mounted.unlink(&left[1]).await));
        mounted.unlink(&left[1]).await.unwrap();
        assert_eq!(mounted.store.keys(), ["d/"]);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_requests_and_lost_answers_undo_no_removal() {
    for facts in [Facts::S3, Facts { multi_delete: false, ..Facts::S3 }] {
        for lost in [Lost::Request, Lost::Answer] {
            let site = Site::with(facts.clone(), &["a", "b", "c"]).await;
            let mounted = &site.mounted;
            mounted.unlink("d/a").await.unwrap();
            mounted.unlink("d/b").await.unwrap();
            for op in [Op::DeleteObject, Op::DeleteObjects] {
                mounted.store.lose(op, 1, lost.clone());
            }
            site.wait().await;
            for name in ["d/a", "d/b"] {
                assert!(matches!(mounted.inode(name).await, Err(Error::NotFound)), "{lost:?}");
            }
            mounted.write("d/a", b"new").await.unwrap();
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(mounted.store.keys(), ["d/", "d/a", "d/c"], "{lost:?}");
            assert_eq!(site.stored("d/a").unwrap(), "new", "{lost:?}");
            site.fsync("d").await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_store_is_away_so_many_are_put_off_and_the_next_fails() {
    let names: Vec<String> = (0..=queue::KEYS_MAX).map(|i| format!("{i:04}")).collect();
    let site = Site::of(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mounted = &site.mounted;
    mounted.names("d").await;
    let (last, others) = names.split_last().unwrap();
    mounted.store.lose_all_after(0);
    for name in others {
        mounted.unlink(&format!("d/{name}")).await.unwrap();
    }
    assert!(mounted.unlink(&format!("d/{last}")).await.is_err());
    let known = mounted.inode(&format!("d/{last}")).await;
    assert!(!matches!(known, Err(Error::NotFound)), "it was not removed");
    assert!(site.fsync("").await.is_err());
    assert!(mounted.write(&format!("d/{}", others[0]), b"new").await.is_err(), "it waits for the removal");
    let failures = mounted.vfs.drain().await;
    assert!(failures.iter().filter(|failure| failure.kept).count() >= others.len(), "{}", failures.len());
    mounted.store.lose_nothing();
    assert!(mounted.vfs.drain().await.is_empty());
    assert_eq!(mounted.store.keys(), ["d/".to_owned(), format!("d/{last}")]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_noted_is_not_put_off() {
    let site = Site::of(&["a"]).await;
    site.noting.full.store(true, Ordering::Relaxed);
    site.mounted.unlink("d/a").await.unwrap();
    assert_eq!(site.stored("d/a"), None);
}

#[tokio::test(start_paused = true)]
async fn what_another_host_puts_there_after_a_removal_is_seen() {
    let site = Site::of(&["a", "b"]).await;
    let mounted = &site.mounted;
    mounted.unlink("d/a").await.unwrap();
    site.wait().await;
    mounted.put("d/a", b"theirs").await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    mounted.vfs.doubt(&mounted.vfs.directory(mounted.inode("d").await.unwrap()).unwrap());
    assert_eq!(mounted.read("d/a").await.unwrap(), b"theirs");
}

#[tokio::test(start_paused = true)]
async fn two_thousand_files_are_removed_by_a_few_requests() {
    let names: Vec<String> = (0..2000).map(|i| format!("{i:04}")).collect();
    for (facts, most) in [(Facts::S3, 8), (Facts { multi_delete: false, ..Facts::S3 }, 2004)] {
        let site = Site::with(facts, &names.iter().map(String::as_str).collect::<Vec<_>>()).await;
        let mounted = &site.mounted;
        tokio::time::sleep(Duration::from_secs(60)).await;
        let ((), cost) = mounted
            .cost(async {
                for name in mounted.names("d").await {
                    mounted.unlink(&format!("d/{name}")).await.unwrap();
                }
                mounted.rmdir("d").await.unwrap();
            })
            .await;
        assert_eq!(mounted.store.keys(), Vec::<String>::new());
        assert!(cost.values().sum::<u64>() - cost["ListObjectsV2"] <= most, "{cost:?}");
        assert!(cost["ListObjectsV2"] <= 8, "{cost:?}");
    }
}

/// A mount that is killed when it has acknowledged the removal of all that it has.
fn kill_after_removals(bed: &mut Bed, durability: Durability) {
    bed.live_as(durability, |mounted| async move {
        for name in ["first", "a", "b", "c"] {
            mounted.write(name, name.as_bytes()).await.unwrap();
        }
        assert!(mounted.vfs.drain().await.is_empty());
        mounted.unlink("first").await.unwrap();
        // From here on it is as if it were dead.
        mounted.store.lose_all_after(0);
        mounted.unlink("a").await.unwrap();
        mounted.unlink("b").await.unwrap();
    });
    bed.store.lose_nothing();
    assert_eq!(bed.store.keys(), ["a", "b", "c"]);
}

#[test]
fn the_next_mount_carries_out_what_was_acknowledged() {
    for durability in [Durability::Bucket, Durability::Journal] {
        let mut bed = Bed::new();
        kill_after_removals(&mut bed, durability);
        bed.live_as(durability, |mounted| async move {
            assert!(matches!(mounted.inode("a").await, Err(Error::NotFound)));
            assert_eq!(mounted.names("").await, ["c"]);
            assert_eq!(mounted.store.keys(), ["c"]);
            // What comes next is not taken for what had to go, also if it is the same.
            mounted.write("a", b"a").await.unwrap();
        });
        assert!(bed.recover().is_empty());
        assert_eq!(bed.store.keys(), ["a", "c"]);
    }
}

#[test]
fn the_next_mount_leaves_what_somebody_else_has_put_there_alone() {
    let mut bed = Bed::new();
    kill_after_removals(&mut bed, Durability::Bucket);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let theirs = Bytes::from_static(b"theirs");
    let headers = Headers::default();
    runtime.block_on(bed.store.put_object("a", theirs.into(), &headers, &Condition::None)).unwrap();
    bed.live_as(Durability::Bucket, |mounted| async move {
        assert_eq!(mounted.read("a").await.unwrap(), b"theirs");
        assert_eq!(mounted.names("").await, ["a", "c"]);
        let root = mounted.vfs.tree.get(InodeId::ROOT).unwrap();
        mounted.vfs.fsyncdir(root.id).await.unwrap();
    });
    assert_eq!(bed.store.keys(), ["a", "c"]);
}

#[test]
fn a_file_that_is_only_in_the_journal_is_removed_and_renamed_without_the_store() {
    let mut bed = Bed::new();
    bed.live(|mounted| async move {
        mounted.mkdir("d").await.unwrap();
        mounted.mkdir("e").await.unwrap();
        for name in ["d/gone", "d/moved", "d/kept"] {
            mounted.write(name, name.as_bytes()).await.unwrap();
        }
        mounted.store.lose_all_after(0);
        mounted.unlink("d/gone").await.unwrap();
        mounted.rename("d/moved", "e/there").await.unwrap();
        assert!(matches!(mounted.inode("d/gone").await, Err(Error::NotFound)));
    });
    assert!(bed.recover().is_empty());
    assert_eq!(bed.store.keys(), ["d/", "d/kept", "e/", "e/there"]);
}
