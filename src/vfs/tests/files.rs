//! Contents: written, read back, replaced, refused.

use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use super::harness::REWRITE;
use super::harness::WRITE;
use crate::base::bytesize::MIB;
use crate::store::Kind as StoreKind;
use crate::store::Op;
use crate::store::Store;
use crate::store::memory::Lost;
use crate::vfs::Error;
use crate::vfs::handle::Access;
use crate::vfs::inode::InodeId;
use crate::vfs::open::How;
use crate::vfs::open::Pages;
use crate::vfs::setattr::Changes;
use std::ffi::OsStr;
use std::time::Duration;
use std::time::UNIX_EPOCH;

fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 253).unwrap()).collect()
}

#[tokio::test]
async fn files_of_all_sizes_are_read_back_here_and_by_another_mount() {
    let mounted = Mounted::new();
    for size in [0, 1, 4096, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 33 * MIB] {
        let name = format!("f{size}");
        mounted.write(&name, &pattern(size)).await.unwrap();
        assert_eq!(mounted.read(&name).await.unwrap(), pattern(size), "{size}");
        assert_eq!(mounted.again().read(&name).await.unwrap(), pattern(size), "{size} by another mount");
        assert_eq!(mounted.store.bytes(&name).unwrap(), pattern(size));
    }
    assert_eq!(mounted.store.uploads_open(), 0);
    assert_eq!(mounted.vfs.pending(), crate::vfs::Pending::default());
}

#[tokio::test]
async fn a_file_is_visible_to_others_when_it_is_closed_and_to_its_writer_at_once() {
    let mounted = Mounted::new();
    let handle = mounted.create("f").await.unwrap();
    mounted.write_at(handle, 0, b"half").await.unwrap();
    assert!(mounted.store.keys().is_empty());
    assert_eq!(mounted.names("").await, ["f"]);
    let entry = mounted.vfs.lookup(InodeId::ROOT, OsStr::new("f")).await.unwrap();
    assert_eq!((entry.attr.size, entry.attr.uid, entry.attr.permissions), (4, 7, 0o640));
    assert_eq!(mounted.read("f").await.unwrap(), b"half", "what is in memory can be read");
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.again().read("f").await.unwrap(), b"half");
}

#[tokio::test]
async fn writing_goes_on_at_the_end_after_a_commit_and_in_old_files() {
    let mounted = Mounted::new();
    for size in [3, 20 * MIB] {
        mounted.write("f", &pattern(size)).await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, size, b"one").await.unwrap();
        mounted.vfs.fsync(handle).await.unwrap();
        assert_eq!(mounted.store.bytes("f").unwrap().len() as u64, size + 3, "fsync publishes");
        mounted.write_at(handle, size + 3, b"two").await.unwrap();
        mounted.close(handle).await.unwrap();
        let whole = [&pattern(size)[..], b"onetwo"].concat();
        assert_eq!(mounted.again().read("f").await.unwrap(), whole);
    }
}

#[tokio::test]
async fn an_append_to_a_version_that_was_replaced_is_stale() {
    let mounted = Mounted::new();
    mounted.write("f", b"old").await.unwrap();
    let handle = mounted.open("f", WRITE).await.unwrap();
    mounted.write_at(handle, 3, b"more").await.unwrap();
    mounted.put("f", b"another").await;
    assert!(matches!(mounted.close(handle).await, Err(Error::Stale)));
    assert_eq!(mounted.store.bytes("f").unwrap(), "another", "somebody else's bytes are not overwritten");
}

#[tokio::test]
async fn a_gap_and_a_longer_length_are_zeros() {
    let mounted = Mounted::new();
    let handle = mounted.create("f").await.unwrap();
    mounted.write_at(handle, 5, b"x").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    let longer = Changes { size: Some(10), ..Changes::default() };
    mounted.vfs.setattr(id, Some(handle), longer).await.unwrap();
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.read("f").await.unwrap(), b"\0\0\0\0\0x\0\0\0\0");
    let shorter = Changes { size: Some(4), ..Changes::default() };
    mounted.vfs.setattr(id, None, shorter).await.unwrap();
    assert_eq!(mounted.store.bytes("f").unwrap(), "\0\0\0\0");
    let empty = Changes { size: Some(0), ..Changes::default() };
    mounted.vfs.setattr(id, None, empty).await.unwrap();
    assert_eq!(mounted.store.bytes("f").unwrap().len(), 0, "truncate of a closed file commits");
}

#[tokio::test]
async fn a_failed_commit_is_told_and_the_old_file_is_what_it_was() {
    for (size, op) in
        [(3, Op::PutObject), (9 * MIB, Op::CreateUpload), (9 * MIB, Op::PutPart), (9 * MIB, Op::CompleteUpload)]
    {
        let mounted = Mounted::new();
        mounted.put("f", b"old").await;
        let handle = mounted.open("f", REWRITE).await.unwrap();
        mounted.store.lose(op, 1, Lost::Refused(StoreKind::AccessDenied));
        let written = mounted.write_at(handle, 0, &pattern(size)).await;
        let flushed = mounted.vfs.flush(handle, 0).await;
        assert!(matches!(flushed, Err(Error::Access(_))), "{op}: {written:?} {flushed:?}");
        assert!(mounted.write_at(handle, size, b"more").await.is_err(), "{op}: a handle that lost bytes takes no more");
        drop(mounted.vfs.release(handle).await);
        assert_eq!(mounted.read("f").await.unwrap(), b"old", "{op}");
        assert_eq!(mounted.store.uploads_open(), 0, "{op}");
        mounted.write("f", b"new").await.unwrap();
        assert_eq!(mounted.read("f").await.unwrap(), b"new", "{op}: the file can be written again");
    }
}

#[tokio::test]
async fn a_file_that_could_never_be_committed_is_not_there() {
    let mounted = Mounted::new();
    let handle = mounted.create("f").await.unwrap();
    mounted.store.lose(Op::PutObject, 1, Lost::Refused(StoreKind::AccessDenied));
    mounted.write_at(handle, 0, b"x").await.unwrap();
    assert!(mounted.close(handle).await.is_err());
    assert!(matches!(mounted.inode("f").await, Err(Error::NotFound)));
    assert!(mounted.names("").await.is_empty());
}

#[tokio::test]
async fn an_exclusive_create_does_not_replace_what_somebody_else_put_there() {
    let mounted = Mounted::new();
    let created = mounted.vfs.create(InodeId::ROOT, OsStr::new("f"), OWNER, EXCLUSIVE).await.unwrap();
    let handle = created.1.handle;
    mounted.put("f", b"theirs").await;
    mounted.write_at(handle, 0, b"ours").await.unwrap();
    assert!(matches!(mounted.close(handle).await, Err(Error::Exists)));
    assert_eq!(mounted.store.bytes("f").unwrap(), "theirs");
}

#[tokio::test]
async fn a_close_by_nobody_in_particular_commits_also_what_is_empty() {
    let mounted = Mounted::new();
    mounted.put("f", b"old").await;
    let handle = mounted.open("f", REWRITE).await.unwrap();
    assert_eq!(mounted.store.bytes("f").unwrap(), "old", "until it is closed");
    mounted.vfs.flush(handle, 0).await.unwrap();
    assert_eq!(mounted.store.bytes("f").unwrap(), "");
    mounted.vfs.release(handle).await.unwrap();
}

#[tokio::test]
async fn a_reader_keeps_one_version_and_a_new_open_sees_the_new_one() {
    let mounted = Mounted::new();
    mounted.put("f", b"old old old").await;
    let reader = mounted.open("f", READ).await.unwrap();
    mounted.put("f", b"new").await;
    assert!(matches!(mounted.read_at(reader, 0, 100).await, Err(Error::Stale)), "never bytes of another version");
    tokio::time::pause();
    let other = mounted.again();
    assert_eq!(other.read("f").await.unwrap(), b"new");
    drop(mounted.vfs.release(reader).await);
}

#[tokio::test]
async fn pages_are_kept_while_the_version_is_the_same() {
    let mounted = Mounted::new();
    mounted.write("f", b"one").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    assert_eq!(mounted.vfs.open(id, READ).await.unwrap().pages, Pages::New);
    assert_eq!(mounted.vfs.open(id, READ).await.unwrap().pages, Pages::Kept);
    mounted.write("f", b"two").await.unwrap();
    assert_eq!(mounted.vfs.open(id, READ).await.unwrap().pages, Pages::New);
    assert_eq!(mounted.vfs.open(id, WRITE).await.unwrap().pages, Pages::None);
}

#[tokio::test]
async fn a_writer_that_reads_gets_what_it_wrote() {
    let mounted = Mounted::new();
    mounted.write("f", b"").await.unwrap();
    let both = How { access: Access::ReadWrite, truncate: true, exclusive: false, thread: 0 };
    let handle = mounted.open("f", both).await.unwrap();
    mounted.write_at(handle, 0, &pattern(20 * MIB)).await.unwrap();
    assert_eq!(mounted.read_at(handle, 10 * MIB, 100).await.unwrap(), pattern(20 * MIB)[10 << 20..][..100]);
    mounted.write_at(handle, 20 * MIB, b"end").await.unwrap();
    assert_eq!(mounted.read_at(handle, 20 * MIB - 1, 100).await.unwrap()[1..], b"end"[..]);
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.store.bytes("f").unwrap().len() as u64, 20 * MIB + 3);
}

#[tokio::test]
async fn attributes_ride_in_the_upload_or_follow_by_one_copy() {
    let mounted = Mounted::new();
    let mtime = UNIX_EPOCH + Duration::new(1_600_000_000, 123_456_789);
    let changes = Changes { permissions: Some(0o600), uid: Some(1), mtime: Some(mtime), ..Changes::default() };
    for size in [10, 9 * MIB] {
        let name = format!("f{size}");
        let handle = mounted.create(&name).await.unwrap();
        mounted.write_at(handle, 0, &pattern(size)).await.unwrap();
        let id = mounted.inode(&name).await.unwrap();
        let begun = || mounted.vfs.tree.get(id).unwrap().state().draft.as_ref().unwrap().key().is_some();
        while size > MIB && !begun() {
            tokio::task::yield_now().await;
        }
        mounted.vfs.setattr(id, Some(handle), changes).await.unwrap();
        let (closed, cost) = mounted.cost(mounted.close(handle)).await;
        closed.unwrap();
        assert_eq!(cost.get("CopyObject").copied().unwrap_or(0), u64::from(size > MIB), "{cost:?}");
        let other = mounted.again();
        let attr = other.vfs.lookup(InodeId::ROOT, OsStr::new(&name)).await.unwrap().attr;
        assert_eq!((attr.permissions, attr.uid, attr.gid, attr.mtime), (0o600, 1, 8, mtime), "{size}");
        assert_eq!(other.read(&name).await.unwrap(), pattern(size));
    }
}

#[tokio::test(start_paused = true)]
async fn attributes_set_later_are_gathered_into_one_copy() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    let mtime = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let each = [
        Changes { permissions: Some(0o444), ..Changes::default() },
        Changes { gid: Some(3), ..Changes::default() },
        Changes { mtime: Some(mtime), ..Changes::default() },
    ];
    let ((), cost) = mounted
        .cost(async {
            for changes in each {
                mounted.vfs.setattr(id, None, changes).await.unwrap();
            }
            assert_eq!(mounted.vfs.pending().files, 1);
            assert!(mounted.vfs.drain().await.is_empty());
        })
        .await;
    assert_eq!(cost.get("CopyObject"), Some(&1), "{cost:?}");
    let object = mounted.store.head_object("f").await.unwrap();
    assert_eq!(object.headers.metadata["mode"], (0o100_444).to_string(), "in the form of s3fs");
    assert_eq!(object.headers.metadata["mtime"], "1000000000.000000000");
    mounted.vfs.setattr(id, None, Changes { uid: Some(9), ..Changes::default() }).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(mounted.store.head_object("f").await.unwrap().headers.metadata["uid"], "9", "stored by itself soon");
}

#[tokio::test(start_paused = true)]
async fn attributes_that_a_store_could_not_take_are_told_of_until_it_has_them() {
    for (name, is_directory) in [("f", false), ("d", true)] {
        let mounted = Mounted::new();
        if is_directory {
            mounted.mkdir(name).await.unwrap();
        } else {
            mounted.write(name, b"x").await.unwrap();
        }
        let id = mounted.inode(name).await.unwrap();
        let (op, key) = if is_directory { (Op::PutObject, "d/") } else { (Op::CopyObject, "f") };
        mounted.store.lose(op, 1, Lost::Request);
        mounted.vfs.setattr(id, None, Changes { uid: Some(9), ..Changes::default() }).await.unwrap();
        assert_eq!(mounted.vfs.drain().await.len(), 1, "{name}: whoever unmounts hears of it");
        assert_eq!(mounted.vfs.pending().files, 1, "{name}");
        mounted.store.lose(op, 1, Lost::Request);
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(
            mounted.store.head_object(key).await.unwrap().headers.metadata["uid"],
            "9",
            "{name}: stored at last"
        );
        assert_eq!(mounted.vfs.pending().files, 0, "{name}");
        mounted.store.lose(op, 1, Lost::Refused(StoreKind::AccessDenied));
        mounted.vfs.setattr(id, None, Changes { uid: Some(10), ..Changes::default() }).await.unwrap();
        assert_eq!(mounted.vfs.drain().await.len(), 1, "{name}: a refusal is told once");
        assert_eq!(mounted.vfs.pending().files, 0, "{name}: and given up");
    }
}

#[tokio::test]
async fn a_refused_write_changes_no_time() {
    let mounted = Mounted::new();
    mounted.write("f", b"0123456789").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    let mtime = Changes { mtime: Some(UNIX_EPOCH), ..Changes::default() };
    mounted.vfs.setattr(id, None, mtime).await.unwrap();
    let handle = mounted.open("f", WRITE).await.unwrap();
    assert!(matches!(mounted.write_at(handle, u64::MAX - 3, b"x").await, Err(Error::TooLarge)));
    mounted.close(handle).await.unwrap();
    mounted.rename("f", "g").await.unwrap();
    let attr = mounted.again().vfs.lookup(InodeId::ROOT, OsStr::new("g")).await.unwrap().attr;
    assert_eq!(attr.mtime, UNIX_EPOCH);
}

#[tokio::test]
async fn a_removed_file_that_is_being_written_goes_nowhere() {
    let mounted = Mounted::new();
    let handle = mounted.create("f").await.unwrap();
    mounted.write_at(handle, 0, &pattern(9 * MIB)).await.unwrap();
    mounted.unlink("f").await.unwrap();
    mounted.close(handle).await.unwrap();
    assert_eq!((mounted.store.keys().len(), mounted.store.uploads_open()), (0, 0));
    mounted.write("f", b"again").await.unwrap();
    assert_eq!(mounted.read("f").await.unwrap(), b"again");
}

#[tokio::test]
async fn at_the_end_what_is_whole_is_kept_and_what_is_not_is_dropped() {
    let mounted = Mounted::new();
    let half = mounted.create("half").await.unwrap();
    mounted.write_at(half, 0, &pattern(9 * MIB)).await.unwrap();
    mounted.create("empty").await.unwrap();
    assert_eq!(mounted.vfs.pending().writers_open, 2);
    assert!(mounted.vfs.drain().await.is_empty(), "what is open is not touched");
    let failures = mounted.vfs.finish().await;
    assert_eq!(failures.len(), 1);
    assert!(failures[0].to_string().contains("half"), "{}", failures[0]);
    assert_eq!((mounted.store.keys(), mounted.store.uploads_open()), (vec!["empty".to_owned()], 0));
}
