//! Renames: targets that must be free, lost requests and answers, directories of more than one page, crashes half way.

use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use crate::base::bytesize::MIB;
use crate::store::Facts;
use crate::store::Op;
use crate::store::Store;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Error;
use crate::vfs::Options;
use crate::vfs::Result;
use crate::vfs::plan::Plan;
use crate::vfs::rename::Target;
use crate::vfs::scratch::RENAME_PREFIX;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

fn lacking() -> [Facts; 3] {
    let plain = Facts { conditional_writes: false, ..Facts::S3 };
    [Facts::S3, plain.clone(), Facts { move_object: true, ..plain }]
}

async fn to_free(mounted: &Mounted, from: &str, to: &str) -> Result<()> {
    let (from, to) = (mounted.place(from).await?, mounted.place(to).await?);
    mounted.vfs.rename(from, to, Target::MustBeFree).await
}

fn contents(store: &Memory) -> BTreeMap<String, usize> {
    store.keys().into_iter().map(|key| (key.clone(), store.bytes(&key).unwrap().len())).collect()
}

fn plans(store: &Memory) -> usize {
    store.keys().iter().filter(|key| key.contains(RENAME_PREFIX)).count()
}

#[tokio::test]
async fn a_target_that_somebody_else_makes_meanwhile_is_not_replaced() {
    for facts in lacking() {
        for size in [0, 5, 9 * MIB] {
            let mounted = Mounted::with_facts(facts.clone());
            let bytes = vec![7; usize::try_from(size).unwrap()];
            mounted.write("a", &bytes).await.unwrap();
            // So that this mount believes the name to be free.
            mounted.names("").await;
            mounted.put("b", b"theirs").await;
            assert!(matches!(to_free(&mounted, "a", "b").await, Err(Error::Exists)), "{size} {facts:?}");
            assert_eq!(mounted.store.bytes("b").unwrap(), "theirs");
            assert_eq!(mounted.read("b").await.unwrap(), b"theirs", "and it is seen now");
            assert_eq!(mounted.read("a").await.unwrap(), bytes);
            to_free(&mounted, "a", "c").await.unwrap();
            assert_eq!(mounted.read("c").await.unwrap(), bytes);
            assert_eq!(mounted.again().read("c").await.unwrap(), bytes);
            assert_eq!((mounted.store.keys(), mounted.store.uploads_open()), (vec!["b".into(), "c".into()], 0));
        }
    }
}

#[tokio::test]
async fn a_free_target_costs_a_small_file_three_requests() {
    for facts in lacking() {
        let mounted = Mounted::with_facts(facts.clone());
        mounted.write("a", b"x").await.unwrap();
        mounted.names("").await;
        let (renamed, cost) = mounted.cost(to_free(&mounted, "a", "b")).await;
        renamed.unwrap();
        assert!(cost.values().sum::<u64>() <= 3, "{facts:?}: {cost:?}");
        let (renamed, cost) = mounted.cost(mounted.rename("b", "c")).await;
        renamed.unwrap();
        assert!(cost.values().sum::<u64>() <= 3, "{facts:?}: {cost:?}");
    }
}

#[tokio::test]
async fn what_is_not_committed_yet_takes_the_demand_for_a_free_name_along_and_no_other() {
    let mounted = Mounted::new();
    let (directory, name) = mounted.place("lock").await.unwrap();
    let lock = mounted.vfs.create(directory, name, OWNER, EXCLUSIVE).await.unwrap().1.handle;
    mounted.write_at(lock, 0, b"new").await.unwrap();
    mounted.write("index", b"old").await.unwrap();
    mounted.rename("lock", "index").await.unwrap();
    mounted.close(lock).await.unwrap();
    assert_eq!(mounted.read("index").await.unwrap(), b"new", "it was the other name that had to be free");

    let file = mounted.create("a").await.unwrap();
    to_free(&mounted, "a", "b").await.unwrap();
    mounted.put("b", b"theirs").await;
    assert!(matches!(mounted.close(file).await, Err(Error::Exists)));
    assert_eq!(mounted.store.bytes("b").unwrap(), "theirs");
}

#[tokio::test]
async fn what_a_new_file_has_replaced_does_not_come_to_light_again() {
    for then in ["removed", "renamed", "replaced and removed"] {
        let mounted = Mounted::new();
        mounted.write("index", b"old").await.unwrap();
        let new = mounted.create("new").await.unwrap();
        mounted.write_at(new, 0, b"new").await.unwrap();
        mounted.rename("new", "index").await.unwrap();
        assert_eq!(mounted.store.bytes("index").unwrap(), "old", "until the new one is stored");
        let left: &[&str] = match then {
            "renamed" => {
                mounted.rename("index", "elsewhere").await.unwrap();
                &["elsewhere"]
            }
            "removed" => {
                mounted.unlink("index").await.unwrap();
                &[]
            }
            _ => {
                let newer = mounted.create("newer").await.unwrap();
                mounted.rename("newer", "index").await.unwrap();
                mounted.unlink("index").await.unwrap();
                mounted.close(newer).await.unwrap();
                &[]
            }
        };
        assert_eq!(mounted.store.keys(), left, "{then}");
        mounted.close(new).await.unwrap();
        assert_eq!(mounted.store.keys(), left, "{then}, and closed");
        for name in left {
            assert_eq!(mounted.read(name).await.unwrap(), b"new");
        }
    }
}

#[tokio::test]
async fn a_directory_does_not_replace_one_that_somebody_else_makes_meanwhile() {
    let mounted = Mounted::new();
    mounted.mkdir("d").await.unwrap();
    mounted.names("").await;
    mounted.put("e/f", b"theirs").await;
    assert!(matches!(to_free(&mounted, "d", "e").await, Err(Error::Exists)));
    assert_eq!(mounted.store.keys(), ["d/", "e/f"]);
    to_free(&mounted, "d", "g").await.unwrap();
    assert_eq!(mounted.store.keys(), ["e/f", "g/"]);
}

#[tokio::test]
async fn a_file_is_under_one_of_its_names_whatever_is_lost() {
    for target in [Target::Replace, Target::MustBeFree] {
        for op in [Op::CopyObject, Op::GetObject, Op::PutObject, Op::DeleteObject] {
            for lost in [Lost::Request, Lost::Answer, Lost::Rest] {
                let mounted = Mounted::new();
                mounted.write("a", b"bytes").await.unwrap();
                mounted.store.lose(op, 1, lost.clone());
                let (from, to) = (mounted.place("a").await.unwrap(), mounted.place("b").await.unwrap());
                let renamed = mounted.vfs.rename(from, to, target).await;
                mounted.store.lose_nothing();
                let context = format!("{target:?} {op} {lost:?} {renamed:?}");
                let name = if renamed.is_ok() { "b" } else { "a" };
                assert_eq!(mounted.read(name).await.unwrap(), b"bytes", "{context}");
                assert_eq!(mounted.again().read(name).await.unwrap(), b"bytes", "{context}");
                if renamed.is_ok() {
                    assert!(matches!(mounted.inode("a").await, Err(Error::NotFound)), "{context}");
                } else {
                    mounted.rename("a", "b").await.unwrap();
                }
                assert_eq!(contents(&mounted.store), BTreeMap::from([("b".into(), 5)]), "{context}");
            }
        }
    }
}

async fn large_directory(mounted: &Mounted) -> BTreeMap<String, usize> {
    for i in 0..1100 {
        mounted.put(Box::leak(format!("d/{}/f{i}", i % 7).into_boxed_str()), b"x").await;
    }
    mounted.mkdir("d/empty").await.unwrap();
    let renamed = contents(&mounted.store).into_iter();
    renamed.map(|(key, size)| (format!("e{}", &key[1..]), size)).collect()
}

#[tokio::test]
async fn a_directory_of_more_than_a_page_is_renamed_and_no_plan_stays() {
    for facts in lacking() {
        let mounted = Mounted::with_facts(facts);
        let wanted = large_directory(&mounted).await;
        let reader = mounted.open("d/3/f3", READ).await.unwrap();
        mounted.rename("d", "e").await.unwrap();
        assert_eq!(contents(&mounted.store), wanted);
        assert_eq!(mounted.read_at(reader, 0, 9).await.unwrap(), "x");
        assert_eq!(mounted.names("").await, ["e"]);
        assert_eq!(mounted.names("e").await.len(), 8);
    }
}

#[tokio::test]
async fn a_rename_of_a_directory_that_fails_is_taken_back_and_may_be_repeated() {
    for facts in lacking() {
        let ops: &[(Op, u64)] = if facts.move_object {
            &[(Op::MoveObject, 1), (Op::MoveObject, 1050), (Op::ListObjects, 2)]
        } else {
            &[(Op::CopyObject, 1), (Op::CopyObject, 1050), (Op::DeleteObjects, 1), (Op::DeleteObjects, 2)]
        };
        for (op, nth) in ops {
            for lost in [Lost::Request, Lost::Answer] {
                let mounted = Mounted::with_facts(facts.clone());
                let wanted = large_directory(&mounted).await;
                mounted.mkdir("e").await.unwrap();
                mounted.names("").await;
                let before = contents(&mounted.store);
                mounted.store.lose(*op, *nth, lost.clone());
                let renamed = mounted.rename("d", "e").await;
                let context = format!("{op} {nth} {lost:?}");
                if renamed.is_err() {
                    assert_eq!(contents(&mounted.store), before, "{context}");
                    assert_eq!(mounted.names("").await, ["d", "e"], "{context}");
                    mounted.rename("d", "e").await.unwrap();
                }
                assert_eq!(contents(&mounted.store), wanted, "{context}");
            }
        }
    }
}

#[tokio::test]
async fn a_rename_that_cannot_even_be_taken_back_loses_nothing_and_is_finished_later() {
    let mounted = Mounted::new();
    let wanted = large_directory(&mounted).await;
    let total = wanted.len();
    mounted.store.lose(Op::DeleteObjects, 2, Lost::Request);
    mounted.store.lose(Op::DeleteObjects, 3, Lost::Request);
    assert!(mounted.rename("d", "e").await.is_err());
    let names: std::collections::BTreeSet<_> =
        mounted.store.keys().into_iter().filter(|key| !key.starts_with('.')).map(|key| key[1..].to_owned()).collect();
    assert_eq!((names.len(), plans(&mounted.store)), (total, 1), "each under one name or both");
    finish(&mounted).await;
    assert_eq!(contents(&mounted.store), wanted);
}

/// As a mount does that begins, without the waiting.
async fn finish(mounted: &Mounted) {
    let after = mounted.again();
    let key = mounted.store.keys().into_iter().find(|key| key.contains(RENAME_PREFIX)).unwrap();
    after.vfs.resume_rename(&key, Duration::ZERO).await.unwrap();
    assert_eq!(plans(&mounted.store), 0);
}

#[tokio::test]
async fn a_crash_at_any_moment_of_a_directory_rename_is_mended_by_the_next_mount() {
    // After so many requests nothing arrives any more.
    let mut mended = 0;
    for survived in 0..24 {
        let store = Arc::new(Memory::new());
        let mounted = Mounted::over(Arc::clone(&store), Options::default());
        for key in ["d/", "d/a", "d/b", "d/c/d", "d/c/e", "d/g", "d/h", "d/i"] {
            mounted.put(key, b"x").await;
        }
        let id = mounted.inode("d").await.unwrap();
        drop(mounted.vfs.getattr(id).await.unwrap());
        store.lose_all_after(survived);
        let renamed = mounted.rename("d", "e").await;
        store.lose_nothing();
        drop(mounted);
        let mounted = Mounted::over(Arc::clone(&store), Options::default());
        if plans(&store) == 0 {
            if renamed.is_err() {
                assert!(store.keys().iter().all(|key| key.starts_with("d/")), "{survived}");
                mounted.rename("d", "e").await.unwrap();
            }
        } else {
            mended += 1;
            finish(&mounted).await;
        }
        assert_eq!(store.keys(), ["e/", "e/a", "e/b", "e/c/d", "e/c/e", "e/g", "e/h", "e/i"], "{survived}");
    }
    assert!(mended > 8, "{mended}: the moments are not those that were meant");
}

#[tokio::test]
async fn a_plan_that_somebody_carries_out_is_left_to_them_and_a_forged_one_is_not_believed() {
    let mounted = Mounted::new();
    mounted.put("d/a", b"x").await;
    for (from, to) in [("", "e/"), ("d/", "d/e/"), ("d", "e")] {
        let plan = Plan { from: from.into(), to: to.into() };
        mounted.vfs.write_plan(".brigade-rename-1", &plan).await.unwrap();
        assert!(mounted.vfs.resume_rename(".brigade-rename-1", Duration::ZERO).await.is_err());
        assert!(mounted.store.bytes("d/a").is_some());
    }
    let plan = Plan { from: "d/".into(), to: "e/".into() };
    mounted.vfs.write_plan(".brigade-rename-1", &plan).await.unwrap();
    let watched = tokio::time::timeout(Duration::ZERO, mounted.vfs.resume_rename(".brigade-rename-1", Duration::MAX));
    assert!(watched.await.is_err(), "it is watched first");
    let renewed = async {
        let resumed = mounted.vfs.resume_rename(".brigade-rename-1", Duration::from_millis(20));
        let renewing = async {
            tokio::task::yield_now().await;
            mounted.vfs.write_plan(".brigade-rename-1", &plan).await
        };
        let (resumed, renewed) = futures_util::join!(resumed, renewing);
        resumed.and(renewed)
    };
    renewed.await.unwrap();
    assert!(mounted.store.bytes("d/a").is_some(), "somebody is at it");
}

#[tokio::test]
async fn what_somebody_put_in_the_place_of_an_unfinished_rename_is_not_overwritten() {
    let mounted = Mounted::new();
    mounted.put("d/a", b"ours").await;
    mounted.put("d/b", b"ours").await;
    mounted.put("e/a", b"theirs").await;
    mounted.put("e/b", b"ours").await;
    let plan = Plan { from: "d/".into(), to: "e/".into() };
    mounted.vfs.write_plan(".brigade-rename-1", &plan).await.unwrap();
    assert!(mounted.vfs.resume_rename(".brigade-rename-1", Duration::ZERO).await.is_err());
    assert_eq!(mounted.store.bytes("e/a").unwrap(), "theirs");
    assert_eq!(mounted.store.bytes("d/a").unwrap(), "ours");
    assert!(mounted.store.head_object(".brigade-rename-1").await.is_ok());
}
