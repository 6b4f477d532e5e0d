//! Random operations, a store that fails, and a crash at any point. What was acknowledged is there after it, and nothing
//! else: with `--durability journal` what was written and removed, and in either case what was removed and renamed.

use super::harness::BOTH;
use super::harness::Mounted;
use super::journal::Bed;
use super::journal::pattern;
use crate::store::Facts;
use crate::store::Op;
use crate::store::layers::removals::queue;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Durability;
use crate::vfs::Error;
use crate::vfs::inode::InodeId;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Step {
    Write(u8, u64, u64),
    Sync(u8),
    Close(u8),
    Truncate(u8, u64),
    Rewrite(u8),
    Rename(u8, u8),
    Unlink(u8),
    Store,
    StoreLosing(u64, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3u8, 0..30_000u64, 1..20_000u64).prop_map(|(file, at, len)| Step::Write(file, at, len)),
        2 => (0..3u8).prop_map(Step::Sync),
        3 => (0..3u8).prop_map(Step::Close),
        1 => (0..3u8, 0..30_000u64).prop_map(|(file, size)| Step::Truncate(file, size)),
        1 => (0..3u8).prop_map(Step::Rewrite),
        2 => (0..3u8, 0..3u8).prop_map(|(from, to)| Step::Rename(from, to)),
        1 => (0..3u8).prop_map(Step::Unlink),
        1 => Just(Step::Store),
        1 => (0..4u64, any::<bool>()).prop_map(|(after, answer)| Step::StoreLosing(after, answer)),
    ]
}

/// What a file must be after a crash: what was acknowledged last. What has changed since may be there or not.
#[derive(Clone, Debug, Default)]
struct File {
    now: Vec<u8>,
    acknowledged: Option<Vec<u8>>,
    open: bool,
}

fn name(file: u8) -> String {
    format!("f{file}")
}

/// Of closed files only: open ones would need handles without names in the model.
async fn rename(mounted: &Mounted, model: &mut BTreeMap<String, File>, step: &Step) {
    let closed = |model: &BTreeMap<String, File>, key: &String| model.get(key).is_some_and(|file| !file.open);
    match *step {
        Step::Rename(from, to) => {
            let (from, to) = (name(from), name(to));
            if from != to && closed(model, &from) && (closed(model, &to) || !model.contains_key(&to)) {
                mounted.rename(&from, &to).await.unwrap();
                let moved = model.remove(&from).unwrap();
                model.insert(to, moved);
            }
        }
        Step::Unlink(file) if closed(model, &name(file)) => {
            mounted.unlink(&name(file)).await.unwrap();
            model.remove(&name(file));
        }
        _ => {}
    }
}

async fn store(mounted: &Mounted, step: &Step) -> Result<(), TestCaseError> {
    match *step {
        Step::StoreLosing(_, true) => mounted.store.lose(Op::PutObject, 1, Lost::Answer),
        Step::StoreLosing(after, false) => mounted.store.lose_all_after(after),
        _ => {}
    }
    let failures = mounted.vfs.drain().await;
    prop_assert!(failures.is_empty() || matches!(step, Step::StoreLosing(..)), "{failures:?}");
    mounted.store.lose_nothing();
    Ok(())
}

async fn play(mounted: &Mounted, steps: Vec<Step>) -> Result<BTreeMap<String, File>, TestCaseError> {
    let mut model: BTreeMap<String, File> = BTreeMap::new();
    let mut handles = BTreeMap::new();
    let mut seed = 0u8;
    for step in steps {
        seed = seed.wrapping_add(37);
        match step {
            Step::Write(file, at, len) => {
                let key = name(file);
                if !handles.contains_key(&key) {
                    let handle = match mounted.open(&key, BOTH).await {
                        Err(Error::NotFound) => mounted.create(&key).await,
                        opened => opened,
                    };
                    handles.insert(key.clone(), handle.unwrap());
                }
                let state = model.entry(key.clone()).or_default();
                state.open = true;
                let bytes = pattern(len, seed);
                mounted.write_at(handles[&key], at, &bytes).await.unwrap();
                let (at, end) = (usize::try_from(at).unwrap(), usize::try_from(at + len).unwrap());
                state.now.resize(state.now.len().max(end), 0);
                state.now[at..end].copy_from_slice(&bytes);
            }
            Step::Sync(file) => {
                if let Some(handle) = handles.get(&name(file)) {
                    mounted.vfs.fsync(*handle).await.unwrap();
                    let state = model.get_mut(&name(file)).unwrap();
                    state.acknowledged = Some(state.now.clone());
                }
            }
            Step::Close(file) => {
                if let Some(handle) = handles.remove(&name(file)) {
                    mounted.close(handle).await.unwrap();
                    let state = model.get_mut(&name(file)).unwrap();
                    (state.acknowledged, state.open) = (Some(state.now.clone()), false);
                }
            }
            Step::Truncate(file, size) => {
                if let (Some(handle), Some(state)) = (handles.get(&name(file)), model.get_mut(&name(file))) {
                    mounted.truncate(&name(file), Some(*handle), size).await.unwrap();
                    state.now.resize(usize::try_from(size).unwrap(), 0);
                }
            }
            Step::Rewrite(file) => {
                if !handles.contains_key(&name(file)) && model.contains_key(&name(file)) {
                    mounted.write(&name(file), &pattern(5000, seed)).await.unwrap();
                    let whole = pattern(5000, seed);
                    model.insert(name(file), File { now: whole.clone(), acknowledged: Some(whole), open: false });
                }
            }
            Step::Rename(..) | Step::Unlink(_) => rename(mounted, &mut model, &step).await,
            Step::Store | Step::StoreLosing(..) => store(mounted, &step).await?,
        }
    }
    Ok(model)
}

/// Each case is two mounts; `PROPTEST_CASES` asks for more of them.
fn cases() -> u32 {
    if std::env::var_os("PROPTEST_CASES").is_some() { ProptestConfig::default().cases } else { 200 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]
    #[test]
    fn what_was_acknowledged_is_there_after_every_crash(
        steps in proptest::collection::vec(step(), 1..25), lacks in 0..3,
    ) {
        let mut bed = Bed::new();
        if lacks == 1 {
            bed.store = Arc::new(Memory::with_facts(Facts { conditional_writes: false, ..Facts::S3 }));
        }
        let model = bed.live(|mounted| async move { play(&mounted, steps).await })?;
        prop_assert_eq!(bed.recover(), Vec::<String>::new());
        let mut keys = bed.store.keys();
        for (key, file) in &model {
            let found = bed.bytes(key);
            match &file.acknowledged {
                Some(acknowledged) => prop_assert!(found.as_ref() == Some(acknowledged), "{key}"),
                None => prop_assert_eq!(found, None, "{} was never acknowledged", key),
            }
            keys.retain(|found| found != key);
        }
        prop_assert_eq!(keys, Vec::<String>::new(), "nothing else is there");
        prop_assert_eq!((bed.store.uploads_open(), bed.data_files()), (0, 0));
    }
}

/// What is done with whole files of a few contents: the same bytes once more have the same tag.
#[derive(Clone, Debug)]
enum Whole {
    Write(u8, u8),
    Unlink(u8),
    Rename(u8, u8),
    /// Enough for what was put off to go out.
    Wait,
    Sync,
    Lose(bool),
}

fn whole() -> impl Strategy<Value = Whole> {
    prop_oneof![
        4 => (0..4u8, 0..2u8).prop_map(|(file, bytes)| Whole::Write(file, bytes)),
        4 => (0..4u8).prop_map(Whole::Unlink),
        3 => (0..4u8, 0..4u8).prop_map(|(from, to)| Whole::Rename(from, to)),
        1 => Just(Whole::Wait),
        1 => Just(Whole::Sync),
        1 => any::<bool>().prop_map(Whole::Lose),
    ]
}

async fn live(mounted: &Mounted, steps: Vec<Whole>, model: &mut BTreeMap<String, u8>) -> Result<(), TestCaseError> {
    // Its removal is what the others may be put off for.
    mounted.write("first", b"first").await.unwrap();
    let _ = mounted.vfs.drain().await;
    mounted.unlink("first").await.unwrap();
    // Who waits for a removal hears of what is lost; what fails changes nothing.
    let mut loses = false;
    for step in steps {
        match step {
            Whole::Write(file, bytes) => {
                let written = mounted.write(&name(file), &[bytes]).await;
                prop_assert!(written.is_ok() || loses && !model.contains_key(&name(file)), "{written:?}");
                if written.is_ok() {
                    model.insert(name(file), bytes);
                }
            }
            Whole::Unlink(file) => {
                let removed = mounted.unlink(&name(file)).await;
                prop_assert!(loses || removed.is_ok() == model.contains_key(&name(file)), "{removed:?}");
                if removed.is_ok() {
                    prop_assert!(model.remove(&name(file)).is_some());
                }
            }
            Whole::Rename(from, to) => {
                let renamed = mounted.rename(&name(from), &name(to)).await;
                prop_assert!(loses || renamed.is_ok() == model.contains_key(&name(from)), "{renamed:?}");
                if renamed.is_ok() {
                    let moved = model.remove(&name(from));
                    prop_assert!(moved.is_some());
                    model.extend(moved.map(|bytes| (name(to), bytes)));
                }
            }
            Whole::Wait => tokio::time::sleep(queue::GATHER).await,
            Whole::Sync => prop_assert!(mounted.vfs.fsyncdir(InodeId::ROOT).await.is_ok() || loses),
            Whole::Lose(answer) => {
                let lost = if answer { Lost::Answer } else { Lost::Request };
                mounted.store.lose(Op::DeleteObjects, 1, lost);
                loses = true;
            }
        }
        if let Ok(listed) = mounted.list("").await {
            prop_assert!(listed.keys().eq(model.keys()), "{listed:?} {model:?}");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases() / 2, ..ProptestConfig::default() })]
    #[test]
    fn what_was_removed_stays_removed_after_every_crash_and_nothing_else_goes(
        lives in proptest::collection::vec(proptest::collection::vec(whole(), 1..12), 1..4), journal in any::<bool>(),
    ) {
        let durability = if journal { Durability::Journal } else { Durability::Bucket };
        let (mut bed, mut model) = (Bed::new(), BTreeMap::new());
        for steps in lives {
            model = bed.live_as(durability, |mounted| async move {
                let mut model = model;
                live(&mounted, steps, &mut model).await.map(|()| model)
            })?;
            bed.store.lose_nothing();
        }
        prop_assert_eq!(bed.recover(), Vec::<String>::new());
        let found = bed.store.keys().into_iter().map(|key| (key.clone(), bed.bytes(&key).unwrap()));
        let want = model.into_iter().map(|(key, bytes)| (key, vec![bytes]));
        prop_assert_eq!(found.collect::<Vec<_>>(), want.collect::<Vec<_>>());
    }
}
