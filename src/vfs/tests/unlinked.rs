//! Files whose names go while they are open: by unlink, by a rename over them, and what a crash leaves of them.

use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use crate::base::bytesize::MIB;
use crate::store::Condition;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind as StoreKind;
use crate::store::Op;
use crate::store::Store;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Error;
use crate::vfs::Options;
use crate::vfs::handle::Access;
use crate::vfs::handle::HandleId;
use crate::vfs::inode::InodeId;
use crate::vfs::open::How;
use crate::vfs::scratch::OPEN_MAX;
use crate::vfs::scratch::UNLINKED_PREFIX;
use crate::vfs::setattr::Changes;
use crate::vfs::transfer::Place;
use bytes::Bytes;
use std::ffi::OsStr;
use std::sync::Arc;

const BOTH: How = How { access: Access::ReadWrite, truncate: false, exclusive: false, thread: 0 };

fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

async fn create_to_read_back(mounted: &Mounted, name: &str) -> HandleId {
    mounted.vfs.create(InodeId::ROOT, OsStr::new(name), OWNER, BOTH).await.unwrap().1.handle
}

fn moving() -> Facts {
    Facts { move_object: true, ..Facts::S3 }
}

fn hidden(store: &Memory) -> Vec<String> {
    store.keys().into_iter().filter(|key| key.contains(UNLINKED_PREFIX)).collect()
}

async fn size(mounted: &Mounted, id: InodeId) -> u64 {
    mounted.vfs.getattr(id).await.unwrap().attr.size
}

#[tokio::test]
async fn a_removed_file_is_read_on_until_its_last_close() {
    for (facts, length) in [(Facts::S3, 5), (Facts::S3, 9 * MIB), (moving(), 5)] {
        let mounted = Mounted::with_facts(facts);
        let whole = pattern(length);
        mounted.write("f", &whole).await.unwrap();
        let id = mounted.inode("f").await.unwrap();
        let (one, other) = (mounted.open("f", READ).await.unwrap(), mounted.open("f", READ).await.unwrap());
        assert_eq!(mounted.read_at(one, 0, 1).await.unwrap(), whole[..1]);
        mounted.unlink("f").await.unwrap();
        assert!(matches!(mounted.inode("f").await, Err(Error::NotFound)));
        assert!(mounted.names("").await.is_empty() && mounted.again().names("").await.is_empty());
        assert!(matches!(mounted.again().inode("f").await, Err(Error::NotFound)), "others see it gone at once");
        mounted.write("f", b"another").await.unwrap();
        for handle in [one, other] {
            let last = mounted.read_at(handle, length - 2, 10).await.unwrap();
            assert_eq!(last, whole[whole.len() - 2..], "{length}");
        }
        assert_eq!(size(&mounted, id).await, length);
        mounted.close(one).await.unwrap();
        assert_eq!(mounted.read_at(other, 0, 1).await.unwrap(), whole[..1]);
        assert_eq!(hidden(&mounted.store).len(), 1);
        mounted.close(other).await.unwrap();
        assert_eq!(mounted.store.keys(), ["f"]);
        assert_eq!(mounted.read("f").await.unwrap(), b"another");
    }
}

#[tokio::test]
async fn a_replaced_file_is_read_on_too() {
    for facts in [Facts::S3, moving()] {
        let mounted = Mounted::with_facts(facts);
        mounted.write("old", b"old").await.unwrap();
        mounted.write("new", b"newer").await.unwrap();
        let reader = mounted.open("old", READ).await.unwrap();
        mounted.rename("new", "old").await.unwrap();
        assert_eq!(mounted.read("old").await.unwrap(), b"newer");
        assert_eq!(mounted.read_at(reader, 0, 9).await.unwrap(), "old");
        mounted.close(reader).await.unwrap();
        assert_eq!(mounted.store.keys(), ["old"]);

        // By one that is not in the bucket yet.
        let reader = mounted.open("old", READ).await.unwrap();
        let writer = mounted.create("newest").await.unwrap();
        mounted.write_at(writer, 0, b"newest").await.unwrap();
        mounted.rename("newest", "old").await.unwrap();
        mounted.close(writer).await.unwrap();
        assert_eq!(mounted.read_at(reader, 0, 9).await.unwrap(), "newer");
        assert_eq!(mounted.read("old").await.unwrap(), b"newest");
        mounted.close(reader).await.unwrap();
        assert_eq!(mounted.store.keys(), ["old"]);
    }
}

#[tokio::test]
async fn a_file_that_never_had_another_name_is_written_and_read_by_its_handle_and_stored_nowhere() {
    let mounted = Mounted::new();
    let handle = create_to_read_back(&mounted, "f").await;
    let ((), cost) = mounted
        .cost(async {
            mounted.write_at(handle, 0, b"one").await.unwrap();
            mounted.unlink("f").await.unwrap();
            mounted.write_at(handle, 3, b"two").await.unwrap();
            assert_eq!(mounted.read_at(handle, 0, 9).await.unwrap(), "onetwo");
            mounted.vfs.fsync(handle).await.unwrap();
            assert_eq!(mounted.read_at(handle, 0, 9).await.unwrap(), "onetwo");
            mounted.close(handle).await.unwrap();
        })
        .await;
    assert!(cost.keys().all(|op| ["ListObjectsV2", "ListObjects"].contains(op)), "{cost:?}");
    assert!(mounted.store.keys().is_empty());
}

#[tokio::test]
async fn a_large_file_without_a_name_is_kept_out_of_sight() {
    for removed_after in [0, 9 * MIB] {
        let mounted = Mounted::new();
        let handle = create_to_read_back(&mounted, "f").await;
        let whole = pattern(20 * MIB);
        for (at, piece) in (0..).step_by(1 << 20).zip(whole.chunks(1 << 20)) {
            if at == removed_after {
                mounted.unlink("f").await.unwrap();
            }
            mounted.write_at(handle, at, piece).await.unwrap();
            assert!(at < removed_after || mounted.store.bytes("f").is_none());
        }
        for at in [0, 8 * MIB + 3, 20 * MIB - 5] {
            let from = usize::try_from(at).unwrap();
            assert_eq!(mounted.read_at(handle, at, 5).await.unwrap(), whole[from..from + 5], "{removed_after} {at}");
        }
        mounted.write_at(handle, 20 * MIB, b"end").await.unwrap();
        assert_eq!(mounted.read_at(handle, 20 * MIB, 9).await.unwrap(), "end");
        assert!(mounted.names("").await.is_empty() && mounted.again().names("").await.is_empty());
        mounted.close(handle).await.unwrap();
        assert_eq!((mounted.store.keys(), mounted.store.uploads_open()), (vec![], 0), "{removed_after}");
    }
}

#[tokio::test]
async fn what_nobody_can_read_back_costs_nothing() {
    let mounted = Mounted::new();
    mounted.write("other", b"x").await.unwrap();
    let other = mounted.open("other", READ).await.unwrap();
    let handle = mounted.create("f").await.unwrap();
    mounted.write_at(handle, 0, &pattern(9 * MIB)).await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    mounted.unlink("f").await.unwrap();
    let ((), cost) = mounted
        .cost(async {
            for at in 9..40 {
                mounted.write_at(handle, at * MIB, &pattern(MIB)).await.unwrap();
            }
            assert_eq!(size(&mounted, id).await, 40 * MIB);
            let cut = Changes { size: Some(7), ..Changes::default() };
            mounted.vfs.setattr(id, Some(handle), cut).await.unwrap();
            assert_eq!(size(&mounted, id).await, 7);
            let (from, to) = (Place { handle: other, offset: 0 }, Place { handle, offset: 10 });
            assert_eq!(mounted.vfs.copy_range(from, to, 5).await.unwrap(), 1, "all that the other file has");
            assert_eq!(size(&mounted, id).await, 11);
            mounted.close(handle).await.unwrap();
        })
        .await;
    assert!(cost.is_empty(), "{cost:?}");
    assert_eq!((mounted.store.keys(), mounted.store.uploads_open()), (vec!["other".to_owned()], 0));
}

#[tokio::test]
async fn an_append_to_a_file_that_is_removed_is_read_back() {
    for length in [3, 9 * MIB] {
        let mounted = Mounted::new();
        let whole = pattern(length);
        mounted.write("f", &whole).await.unwrap();
        let handle = mounted.open("f", BOTH).await.unwrap();
        mounted.write_at(handle, length, b"before").await.unwrap();
        mounted.unlink("f").await.unwrap();
        mounted.write_at(handle, length + 6, b"after").await.unwrap();
        assert_eq!(mounted.read_at(handle, length, 20).await.unwrap(), "beforeafter");
        assert_eq!(mounted.read_at(handle, 0, 3).await.unwrap(), whole[..3]);
        mounted.close(handle).await.unwrap();
        assert_eq!((mounted.store.keys(), mounted.store.uploads_open()), (vec![], 0));
    }
}

#[tokio::test]
async fn a_removal_that_fails_removes_nothing_and_one_whose_answer_is_lost_succeeds() {
    let refused = Lost::Refused(StoreKind::AccessDenied);
    let rows = [
        // op lost           is open  succeeds
        (Op::DeleteObject, Lost::Request, false, false),
        (Op::DeleteObject, Lost::Request, true, false),
        (Op::DeleteObject, Lost::Answer, false, true),
        (Op::DeleteObject, Lost::Answer, true, true),
        (Op::DeleteObject, refused.clone(), true, false),
        (Op::CopyObject, Lost::Request, true, false),
        (Op::CopyObject, refused, true, true),
    ];
    for (op, lost, open, succeeds) in rows {
        let mounted = Mounted::new();
        mounted.write("f", b"bytes").await.unwrap();
        let reader = if open { Some(mounted.open("f", READ).await.unwrap()) } else { None };
        mounted.store.lose(op, 1, lost.clone());
        let removed = mounted.unlink("f").await;
        assert_eq!(removed.is_ok(), succeeds, "{op} {lost:?}: {removed:?}");
        assert_eq!(mounted.store.bytes("f").is_none(), succeeds, "{op} {lost:?}");
        assert_eq!(mounted.inode("f").await.is_err(), succeeds, "{op} {lost:?}");
        if let Some(reader) = reader {
            let read = mounted.read_at(reader, 0, 9).await;
            assert!(matches!(&read, Ok(bytes) if bytes == "bytes") || op == Op::CopyObject && succeeds, "{read:?}");
            mounted.close(reader).await.unwrap();
        }
        assert_eq!(hidden(&mounted.store), [""; 0], "{op} {lost:?}");
        if !succeeds {
            mounted.unlink("f").await.unwrap();
        }
        assert!(mounted.store.keys().is_empty());
    }
}

#[tokio::test]
async fn a_removed_file_that_somebody_else_replaced_is_stale_for_its_readers() {
    let mounted = Mounted::new();
    mounted.write("f", b"ours").await.unwrap();
    let reader = mounted.open("f", READ).await.unwrap();
    mounted.put("f", b"theirs").await;
    mounted.unlink("f").await.unwrap();
    assert!(matches!(mounted.read_at(reader, 0, 9).await, Err(Error::Stale)), "never bytes of another version");
    mounted.close(reader).await.unwrap();
    assert!(mounted.store.keys().is_empty());
}

#[tokio::test]
async fn a_file_that_lost_its_name_is_opened_by_nobody_else() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    mounted.unlink("f").await.unwrap();
    assert!(matches!(mounted.vfs.open(id, READ).await, Err(Error::Stale)));
}

#[tokio::test]
async fn the_end_of_a_mount_leaves_nothing_of_them_and_owes_them_nothing() {
    let mounted = Mounted::new();
    mounted.write("stored", b"x").await.unwrap();
    let stored = mounted.open("stored", READ).await.unwrap();
    let written = create_to_read_back(&mounted, "written").await;
    mounted.write_at(written, 0, b"x").await.unwrap();
    for name in ["stored", "written"] {
        mounted.unlink(name).await.unwrap();
    }
    assert_eq!(mounted.vfs.pending().files, 0, "what has no name is not waited for");
    assert!(mounted.vfs.finish().await.is_empty());
    assert!(mounted.store.keys().is_empty());
    mounted.close(stored).await.unwrap();
    mounted.close(written).await.unwrap();
}

#[tokio::test]
async fn what_a_crash_leaves_is_hidden_and_removed_when_it_is_old() {
    let store = Arc::new(Memory::new());
    let options = Options { prefix: "p".into(), ..Options::default() };
    let mounted = Mounted::over(Arc::clone(&store), options.clone());
    mounted.write("f", b"x").await.unwrap();
    mounted.open("f", READ).await.unwrap();
    mounted.unlink("f").await.unwrap();
    drop(mounted);
    let left = hidden(&store);
    assert_eq!(left.len(), 1);
    let after = Mounted::over(Arc::clone(&store), options);
    assert!(after.names("").await.is_empty());
    assert_eq!(after.vfs.clean_up().await.unwrap(), 0, "somebody may be reading it");
    assert_eq!(hidden(&store), left);
    store.age(&left[0], crate::store::probe::SCRATCH_AGE_MAX * 2);
    assert_eq!(after.vfs.clean_up().await.unwrap(), 0, "files are kept open for days");
    store.age(&left[0], OPEN_MAX * 2);
    let (body, headers) = (Bytes::from_static(b"a file of a program").into(), Headers::default());
    store.put_object("p/.brigade-notes", body, &headers, &Condition::None).await.unwrap();
    store.age("p/.brigade-notes", OPEN_MAX * 2);
    assert_eq!(after.vfs.clean_up().await.unwrap(), 1);
    assert_eq!(store.keys(), ["p/", "p/.brigade-notes"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_notices_nothing_of_renames_and_of_the_removal() {
    let mounted = Arc::new(Mounted::new());
    let whole = pattern(9 * MIB);
    mounted.mkdir("d").await.unwrap();
    mounted.write("d/a", &whole).await.unwrap();
    let handle = mounted.open("d/a", READ).await.unwrap();
    let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let reader = tokio::spawn({
        let (mounted, ended, whole) = (Arc::clone(&mounted), Arc::clone(&ended), whole.clone());
        async move {
            let mut reads = 0_usize;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) || reads < 100 {
                // Here and there, so that little is read ahead.
                let at = reads * 1_234_577 % whole.len();
                let piece = mounted.read_at(handle, at as u64, 3).await.unwrap();
                assert_eq!(piece, whole[at..whole.len().min(at + 3)]);
                reads += 1;
            }
            reads
        }
    });
    for _ in 0..20 {
        mounted.rename("d/a", "d/b").await.unwrap();
        mounted.rename("d", "e").await.unwrap();
        mounted.rename("e/b", "e/a").await.unwrap();
        mounted.rename("e", "d").await.unwrap();
    }
    mounted.write("d/over", b"x").await.unwrap();
    mounted.rename("d/over", "d/a").await.unwrap();
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(reader.await.unwrap() >= 100);
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.store.keys(), ["d/", "d/a"]);
}
