//! Files that are changed anywhere: what is read, what is committed, what it costs, and what goes wrong.

use super::harness::BOTH;
use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use super::harness::REWRITE;
use super::harness::WRITE;
use crate::base::bytesize::MIB;
use crate::store::Facts;
use crate::store::Kind as StoreKind;
use crate::store::Op;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Error;
use crate::vfs::Options;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::InodeId;
use crate::vfs::length::Allocation;
use crate::vfs::setattr::Changes;
use crate::vfs::transfer::Place;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 253).unwrap()).collect()
}

fn replace(whole: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).unwrap();
    whole.resize(whole.len().max(at + bytes.len()), 0);
    whole[at..at + bytes.len()].copy_from_slice(bytes);
}

#[tokio::test]
async fn bytes_are_replaced_in_place_and_nothing_is_visible_before_the_close() {
    let mounted = Mounted::new();
    for size in [10, 9 * MIB, 30 * MIB] {
        let mut whole = pattern(size);
        mounted.write("f", &whole).await.unwrap();
        let before = mounted.open("f", READ).await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, size / 2, b"changed").await.unwrap();
        mounted.write_at(handle, 1, b"x").await.unwrap();
        assert_eq!(mounted.store.bytes("f").unwrap(), whole, "{size}: others see the old version");
        replace(&mut whole, size / 2, b"changed");
        replace(&mut whole, 1, b"x");
        let here = [&whole[usize::try_from(size / 2).unwrap() - 2..][..9], b""].concat();
        assert_eq!(mounted.read_at(before, size / 2 - 2, 9).await.unwrap(), here, "{size}: a handle opened before");
        assert!(mounted.read("f").await.unwrap() == whole, "{size}: a handle opened now");
        mounted.close(handle).await.unwrap();
        assert!(mounted.store.bytes("f").unwrap() == whole, "{size}");
        assert_eq!(mounted.read_at(before, size / 2 - 2, 9).await.unwrap(), here, "{size}: after the commit");
        mounted.close(before).await.unwrap();
        assert!(mounted.again().read("f").await.unwrap() == whole);
    }
    assert_eq!((mounted.store.uploads_open(), mounted.vfs.pending()), (0, crate::vfs::Pending::default()));
}

#[tokio::test]
async fn a_header_is_patched_after_its_parts_have_gone_out() {
    for size in [100, 20 * MIB] {
        let mounted = Mounted::new();
        let handle = mounted.create("f").await.unwrap();
        mounted.write_at(handle, 0, &pattern(size)).await.unwrap();
        mounted.write_at(handle, 4, b"header").await.unwrap();
        mounted.write_at(handle, size, b"end").await.unwrap();
        mounted.close(handle).await.unwrap();
        let mut whole = pattern(size);
        replace(&mut whole, 4, b"header");
        replace(&mut whole, size, b"end");
        assert!(mounted.store.bytes("f").unwrap() == whole, "{size}");
    }
}

#[tokio::test]
async fn files_are_cut_and_grown_open_and_closed() {
    for (old, new) in [(10, 4), (4, 10), (20 * MIB, 7 * MIB), (20 * MIB, 9), (3, 12 * MIB), (9 * MIB, 30 * MIB)] {
        for open in [false, true] {
            let mounted = Mounted::new();
            mounted.write("f", &pattern(old)).await.unwrap();
            let handle = if open { Some(mounted.open("f", WRITE).await.unwrap()) } else { None };
            mounted.truncate("f", handle, new).await.unwrap();
            assert_eq!(mounted.vfs.getattr(mounted.inode("f").await.unwrap()).await.unwrap().attr.size, new);
            if let Some(handle) = handle {
                assert_eq!(mounted.store.bytes("f").unwrap().len() as u64, old, "until it is closed");
                mounted.close(handle).await.unwrap();
            }
            let mut whole = pattern(old);
            whole.resize(usize::try_from(new).unwrap(), 0);
            assert!(mounted.store.bytes("f").unwrap() == whole, "{old} to {new}, open: {open}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_and_grown_has_zeros_where_it_was_cut() {
    let mounted = Mounted::new();
    mounted.write("f", b"0123456789").await.unwrap();
    let handle = mounted.open("f", BOTH).await.unwrap();
    mounted.truncate("f", Some(handle), 3).await.unwrap();
    mounted.truncate("f", Some(handle), 6).await.unwrap();
    assert_eq!(mounted.read_at(handle, 0, 100).await.unwrap(), &b"012\0\0\0"[..]);
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.store.bytes("f").unwrap(), "012\0\0\0");
}

#[tokio::test]
async fn ranges_are_allocated_and_punched() {
    let rows: &[(Allocation, u64, u64, &[u8])] = &[
        (Allocation::Extend, 4, 4, b"01234567"),
        (Allocation::Extend, 0, 4, b"012345"),
        (Allocation::Reserve, 4, 400, b"012345"),
        (Allocation::Zero, 4, 4, b"0123\0\0\0\0"),
        (Allocation::PunchHole, 4, 4, b"0123\0\0"),
        (Allocation::PunchHole, 40, 4, b"012345"),
    ];
    for (what, offset, len, want) in rows {
        let mounted = Mounted::new();
        mounted.write("f", b"012345").await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.vfs.fallocate(handle, *what, *offset, *len).await.unwrap();
        mounted.close(handle).await.unwrap();
        let mut want = want.to_vec();
        if *what == Allocation::Extend && want.len() == 8 {
            want[6..].fill(0);
        }
        assert_eq!(mounted.store.bytes("f").unwrap(), want, "{what:?} {offset} {len}");
    }
}

#[tokio::test]
async fn appending_descriptors_follow_each_other() {
    for size in [0, 20 * MIB] {
        let mounted = Mounted::new();
        mounted.write("f", &pattern(size)).await.unwrap();
        let (one, other) = (mounted.open("f", WRITE).await.unwrap(), mounted.open("f", WRITE).await.unwrap());
        for round in 0..3u8 {
            mounted.append(one, &[b'a', round]).await.unwrap();
            mounted.append(other, &[b'b', round]).await.unwrap();
        }
        mounted.close(one).await.unwrap();
        mounted.append(other, b"end").await.unwrap();
        mounted.close(other).await.unwrap();
        let whole = [&pattern(size)[..], b"a\0b\0a\x01b\x01a\x02b\x02end"].concat();
        assert!(mounted.store.bytes("f").unwrap() == whole);
    }
}

#[tokio::test]
async fn somebody_elses_version_is_neither_overwritten_nor_mixed_in() {
    for size in [10, 20 * MIB] {
        let mounted = Mounted::new();
        mounted.write("f", &pattern(size)).await.unwrap();
        let handle = mounted.open("f", BOTH).await.unwrap();
        mounted.write_at(handle, 3, b"x").await.unwrap();
        mounted.put("f", b"theirs").await;
        assert!(matches!(mounted.read_at(handle, 0, 10).await, Err(Error::Stale)), "no byte of another version");
        assert!(matches!(mounted.close(handle).await, Err(Error::Stale)), "{size}");
        assert_eq!(mounted.store.bytes("f").unwrap(), "theirs");
        assert_eq!(mounted.store.uploads_open(), 0);
    }
}

#[tokio::test]
async fn a_patch_that_cannot_be_committed_is_told_and_the_old_file_is_what_it_was() {
    for op in [Op::CreateUpload, Op::CopyPart, Op::GetObject, Op::PutPart, Op::CompleteUpload] {
        let mounted = Mounted::new();
        mounted.write("f", &pattern(30 * MIB)).await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, 15 * MIB, b"x").await.unwrap();
        mounted.store.lose(op, 1, Lost::Refused(StoreKind::AccessDenied));
        assert!(matches!(mounted.vfs.flush(handle, 0).await, Err(Error::Access(_))), "{op}");
        assert!(mounted.write_at(handle, 3, b"more").await.is_err(), "{op}: a handle that lost bytes takes no more");
        drop(mounted.vfs.release(handle).await);
        assert!(mounted.read("f").await.unwrap() == pattern(30 * MIB), "{op}");
        assert_eq!(mounted.store.uploads_open(), 0, "{op}");
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, 0, b"again").await.unwrap();
        mounted.close(handle).await.unwrap();
        assert_eq!(mounted.store.bytes("f").unwrap()[..5], b"again"[..], "{op}: it can be written again");
    }
}

#[tokio::test]
async fn an_exclusive_file_stays_exclusive_when_it_is_patched() {
    let mounted = Mounted::new();
    let handle = mounted.vfs.create(InodeId::ROOT, OsStr::new("f"), OWNER, EXCLUSIVE).await.unwrap().1.handle;
    mounted.write_at(handle, 100, b"far").await.unwrap();
    mounted.write_at(handle, 0, b"near").await.unwrap();
    mounted.put("f", b"theirs").await;
    assert!(matches!(mounted.close(handle).await, Err(Error::Exists)));
    assert_eq!(mounted.store.bytes("f").unwrap(), "theirs");
}

#[tokio::test]
async fn times_change_with_the_contents_only() {
    let mounted = Mounted::new();
    mounted.write("f", b"0123456789").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    let old = Changes { mtime: Some(UNIX_EPOCH), ..Changes::default() };
    // POSIX has a truncation to the same length change the times too; no bytes go to the bucket for it.
    let rows: &[(&str, bool, bool)] =
        &[("reserve", false, false), ("same length", true, false), ("cut", true, true), ("write", true, true)];
    for (what, changes, puts) in rows {
        mounted.vfs.setattr(id, None, old).await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        match *what {
            "reserve" => mounted.vfs.fallocate(handle, Allocation::Reserve, 0, 100).await.unwrap(),
            "same length" => mounted.truncate("f", Some(handle), 10).await.unwrap(),
            "cut" => mounted.truncate("f", Some(handle), 8).await.unwrap(),
            _ => mounted.write_at(handle, 1, b"x").await.unwrap(),
        }
        let (closed, cost) = mounted.cost(mounted.close(handle)).await;
        closed.unwrap();
        assert_eq!(mounted.vfs.getattr(id).await.unwrap().attr.mtime != UNIX_EPOCH, *changes, "{what}");
        assert_eq!(cost.contains_key("PutObject"), *puts, "{what}: {cost:?}");
        assert!(mounted.vfs.drain().await.is_empty());
        let attr = mounted.again().vfs.lookup(InodeId::ROOT, OsStr::new("f")).await.unwrap().attr;
        assert_eq!(attr.mtime != UNIX_EPOCH, *changes, "{what}: in the bucket");
    }
}

#[tokio::test]
async fn a_change_costs_what_it_is_and_not_what_the_file_is() {
    let mounted = Mounted::new();
    mounted.write("f", &pattern(100 * MIB)).await.unwrap();
    let rows: &[(u64, u64)] = &[(100 * MIB, 4), (50 * MIB, 6), (0, 5)];
    for (at, requests) in rows {
        let ((), cost) = mounted
            .cost(async {
                let handle = mounted.open("f", WRITE).await.unwrap();
                mounted.write_at(handle, *at, b"x").await.unwrap();
                mounted.vfs.fsync(handle).await.unwrap();
                mounted.close(handle).await.unwrap();
            })
            .await;
        assert_eq!(cost.values().sum::<u64>(), *requests, "{at}: {cost:?}");
    }
}

fn place(handle: HandleId, offset: u64) -> Place {
    Place { handle, offset }
}

#[tokio::test]
async fn a_copy_inside_the_mount_moves_no_bytes() {
    let mounted = Mounted::new();
    mounted.write("a", &pattern(30 * MIB)).await.unwrap();
    for (exclusive, requests) in [(WRITE, "CopyObject"), (EXCLUSIVE, "UploadPartCopy")] {
        let (name, from) = (format!("b{}", exclusive.exclusive), mounted.open("a", READ).await.unwrap());
        let to = mounted.vfs.create(InodeId::ROOT, OsStr::new(&name), OWNER, exclusive).await.unwrap().1.handle;
        let (copied, cost) = mounted
            .cost(async {
                let mut copied = 0;
                loop {
                    match mounted.vfs.copy_range(place(from, copied), place(to, copied), 16 * MIB).await.unwrap() {
                        0 => break,
                        some => copied += some,
                    }
                }
                mounted.close(to).await.unwrap();
                copied
            })
            .await;
        mounted.close(from).await.unwrap();
        assert_eq!(copied, 30 * MIB);
        assert!(mounted.store.bytes(&name).unwrap() == pattern(30 * MIB));
        assert!(
            cost.contains_key(requests) && !cost.contains_key("GetObject") && !cost.contains_key("UploadPart"),
            "{cost:?}"
        );
    }
}

#[tokio::test]
async fn what_was_copied_is_what_the_source_had_whatever_becomes_of_it() {
    for then in ["written", "removed", "renamed", "replaced", "chmod"] {
        let mounted = Mounted::new();
        mounted.write("a", &pattern(30 * MIB)).await.unwrap();
        let (from, to) = (mounted.open("a", BOTH).await.unwrap(), mounted.create("b").await.unwrap());
        mounted.write_at(from, 7 * MIB, b"changed").await.unwrap();
        assert_eq!(mounted.vfs.copy_range(place(from, MIB), place(to, 3), 20 * MIB).await.unwrap(), 20 * MIB);
        match then {
            "written" => {
                mounted.write_at(from, 2 * MIB, b"later").await.unwrap();
                mounted.vfs.fsync(from).await.unwrap();
            }
            "removed" => mounted.unlink("a").await.unwrap(),
            "renamed" => mounted.rename("a", "c").await.unwrap(),
            "replaced" => {
                mounted.write("d", b"other").await.unwrap();
                mounted.rename("d", "a").await.unwrap();
            }
            _ => {
                let id = mounted.inode("a").await.unwrap();
                mounted.vfs.setattr(id, None, Changes { uid: Some(3), ..Changes::default() }).await.unwrap();
                assert!(mounted.vfs.drain().await.is_empty());
            }
        }
        mounted.close(to).await.unwrap();
        drop(mounted.close(from).await);
        let mut source = pattern(30 * MIB);
        replace(&mut source, 7 * MIB, b"changed");
        let want = [&[0; 3], &source[1 << 20..21 << 20]].concat();
        assert!(mounted.store.bytes("b").unwrap() == want, "{then}");
    }
}

#[tokio::test]
async fn copies_within_a_file_and_beyond_its_end() {
    let mounted = Mounted::new();
    mounted.write("a", &pattern(30 * MIB)).await.unwrap();
    let both = mounted.open("a", BOTH).await.unwrap();
    let copy = |from, to, len| mounted.vfs.copy_range(place(both, from), place(both, to), len);
    assert!(matches!(copy(0, 5, 10).await, Err(Error::Invalid(_))), "overlapping");
    assert_eq!(copy(30 * MIB, 0, 10).await.unwrap(), 0, "behind the end");
    assert_eq!(copy(30 * MIB - 3, 5, 10).await.unwrap(), 3, "short at the end");
    assert_eq!(copy(MIB, 20 * MIB, 8 * MIB).await.unwrap(), 8 * MIB);
    let mut whole = pattern(30 * MIB);
    let tail = whole[(30 << 20) - 3..].to_vec();
    replace(&mut whole, 5, &tail);
    let piece = whole[1 << 20..9 << 20].to_vec();
    replace(&mut whole, 20 * MIB, &piece);
    assert!(mounted.read("a").await.unwrap() == whole);
    mounted.close(both).await.unwrap();
    assert!(mounted.store.bytes("a").unwrap() == whole);
    let reader = mounted.open("a", READ).await.unwrap();
    assert!(matches!(mounted.vfs.copy_range(place(reader, 0), place(reader, 100), 1).await, Err(Error::BadHandle)));
}

#[derive(Clone, Debug)]
enum Step {
    Write(u64, u64),
    Append(u64),
    Truncate(u64),
    Zero(u64, u64),
    Copy(u64, u64, u64),
    Read(u64),
    Sync,
    Reopen,
    Rewrite,
}

const LONGEST: u64 = 60_000;

fn step() -> impl Strategy<Value = Step> {
    let at = || 0..LONGEST;
    let len = || 1..9000u64;
    prop_oneof![
        5 => (at(), len()).prop_map(|(at, len)| Step::Write(at, len)),
        2 => len().prop_map(Step::Append),
        2 => at().prop_map(Step::Truncate),
        1 => (at(), len()).prop_map(|(at, len)| Step::Zero(at, len)),
        2 => (at(), at(), len()).prop_map(|(from, to, len)| Step::Copy(from, to, len)),
        3 => at().prop_map(Step::Read),
        1 => Just(Step::Sync),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rewrite),
    ]
}

/// Parts of 1 KiB, and less memory than the file may have.
fn tiny(facts: &Facts, journal_dir: Option<PathBuf>) -> Mounted {
    let facts = Facts { part_bytes_min: 1024, part_bytes_max: 16 << 10, ..facts.clone() };
    let options = Options { part_bytes: 2048, memory_limit: 2 * MIB, journal_dir, ..Options::default() };
    Mounted::over(Arc::new(Memory::with_facts(facts)), options)
}

/// Copies within the file, in the mount and in the model.
async fn copy(
    mounted: &Mounted,
    handle: HandleId,
    model: &mut Vec<u8>,
    (from, to, len): (u64, u64, u64),
) -> Result<(), TestCaseError> {
    let left = (model.len() as u64).saturating_sub(from).min(len);
    match mounted.vfs.copy_range(place(handle, from), place(handle, to), len).await {
        Ok(copied) => {
            prop_assert_eq!(copied, left);
            let from = usize::try_from(from).unwrap().min(model.len());
            let piece = model[from..from + usize::try_from(left).unwrap()].to_vec();
            if !piece.is_empty() {
                replace(model, to, &piece);
            }
        }
        Err(error) => prop_assert!(matches!(error, Error::Invalid(_)) && from.abs_diff(to) < left, "{error}"),
    }
    Ok(())
}

async fn play(facts: &Facts, journal_dir: Option<PathBuf>, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mounted = tiny(facts, journal_dir);
    mounted.write("f", b"").await.unwrap();
    let (mut model, mut seed) = (Vec::new(), 0u8);
    let (mut handle, mut reader) = (mounted.open("f", BOTH).await.unwrap(), mounted.open("f", READ).await.unwrap());
    for step in steps {
        seed = seed.wrapping_add(41);
        let bytes = |len: u64| (0..len).map(|i| seed.wrapping_add(u8::try_from(i % 249).unwrap())).collect::<Vec<u8>>();
        match step {
            Step::Write(at, len) => {
                mounted.write_at(handle, at, &bytes(len)).await.unwrap();
                replace(&mut model, at, &bytes(len));
            }
            Step::Append(len) => {
                mounted.append(handle, &bytes(len)).await.unwrap();
                model.extend(bytes(len));
            }
            Step::Truncate(size) => {
                mounted.truncate("f", Some(handle), size).await.unwrap();
                model.resize(usize::try_from(size).unwrap(), 0);
            }
            Step::Zero(at, len) => {
                mounted.vfs.fallocate(handle, Allocation::Zero, at, len).await.unwrap();
                replace(&mut model, at, &vec![0; usize::try_from(len).unwrap()]);
            }
            Step::Copy(from, to, len) => {
                copy(&mounted, handle, &mut model, (from, to, len)).await?;
            }
            Step::Read(at) => {
                let from = usize::try_from(at).unwrap().min(model.len());
                let want = &model[from..model.len().min(from + 5000)];
                prop_assert_eq!(&mounted.read_at(handle, at, 5000).await.unwrap()[..], want);
                prop_assert_eq!(&mounted.read_at(reader, at, 5000).await.unwrap()[..], want);
            }
            Step::Sync => {
                mounted.vfs.fsync(handle).await.unwrap();
                prop_assert_eq!(&mounted.store.bytes("f").unwrap()[..], &model[..]);
            }
            Step::Reopen => {
                mounted.close(handle).await.unwrap();
                mounted.close(reader).await.unwrap();
                prop_assert_eq!(&mounted.store.bytes("f").unwrap()[..], &model[..]);
                (handle, reader) = (mounted.open("f", BOTH).await.unwrap(), mounted.open("f", READ).await.unwrap());
            }
            Step::Rewrite => {
                let other = mounted.open("f", REWRITE).await.unwrap();
                model.clear();
                mounted.write_at(other, 0, &bytes(10)).await.unwrap();
                model.extend(bytes(10));
                mounted.close(other).await.unwrap();
            }
        }
        let size = mounted.vfs.getattr(mounted.inode("f").await.unwrap()).await.unwrap().attr.size;
        prop_assert_eq!(size, model.len() as u64);
    }
    mounted.close(handle).await.unwrap();
    prop_assert_eq!(&mounted.store.bytes("f").unwrap()[..], &model[..]);
    prop_assert_eq!(mounted.store.uploads_open(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]
    #[test]
    fn a_file_is_what_was_done_to_it_in_any_store(
        steps in proptest::collection::vec(step(), 1..40),
        lacks in 0..4,
        disk in any::<bool>(),
    ) {
        let facts = match lacks {
            0 => Facts::S3,
            1 => Facts { conditional_writes: false, ..Facts::S3 },
            2 => Facts { copy_part: false, ..Facts::S3 },
            _ => Facts { equal_parts: true, ..Facts::S3 },
        };
        let home = tempfile::TempDir::new().unwrap();
        let dir = disk.then(|| home.path().to_owned());
        tokio::runtime::Runtime::new().unwrap().block_on(play(&facts, dir, steps))?;
    }
}
