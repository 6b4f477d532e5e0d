//! Stores that lack something, or have something of their own: what a mount does instead, and what it costs.

use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use super::harness::WRITE;
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
use crate::vfs::attr::Kind;
use crate::vfs::setattr::Changes;
use bytes::Bytes;
use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;
use std::time::UNIX_EPOCH;

fn pattern(len: u64) -> Vec<u8> {
    (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect()
}

/// Parts of 10 MiB, all of them, and copies of 12 MiB at most.
fn equal_parts() -> Mounted {
    let facts = Facts {
        equal_parts: true,
        part_bytes_max: 10 * MIB,
        part_bytes_preferred_max: 10 * MIB,
        put_bytes_max: 12 * MIB,
        ..Facts::S3
    };
    let options = Options { memory_limit: 48 * MIB, ..Options::default() };
    Mounted::over(Arc::new(Memory::with_facts(facts)), options)
}

async fn append(mounted: &Mounted, path: &str, bytes: &[u8]) {
    let handle = mounted.open(path, WRITE).await.unwrap();
    let at = mounted.vfs.getattr(mounted.inode(path).await.unwrap()).await.unwrap().attr.size;
    for (index, piece) in bytes.chunks(1 << 20).enumerate() {
        mounted.write_at(handle, at + ((index as u64) << 20), piece).await.unwrap();
    }
    mounted.close(handle).await.unwrap();
}

#[tokio::test]
async fn where_parts_must_be_equal_files_are_written_appended_to_and_renamed() {
    let mounted = equal_parts();
    let whole = pattern(33 * MIB + 7);
    mounted.write("f", &whole).await.unwrap();
    assert_eq!(mounted.store.calls(Op::PutPart), 4);
    assert!(mounted.store.bytes("f").unwrap() == whole);

    let (_, cost) = mounted.cost(append(&mounted, "f", b"more")).await;
    assert_eq!((cost["UploadPartCopy"], cost["UploadPart"]), (3, 1), "whole parts stay where they are");
    append(&mounted, "f", &whole).await;
    let both = [&whole[..], b"more", &whole].concat();
    assert!(mounted.store.bytes("f").unwrap() == both);

    mounted.rename("f", "g").await.unwrap();
    assert!(mounted.store.bytes("g").unwrap() == both && mounted.store.bytes("f").is_none());
    assert!(mounted.read("g").await.unwrap() == both);
    assert_eq!(mounted.store.uploads_open(), 0);
}

#[tokio::test]
async fn where_parts_must_be_equal_any_length_can_be_continued() {
    for length in [0, 3, 10 * MIB - 1, 10 * MIB, 20 * MIB, 20 * MIB + 1] {
        let mounted = equal_parts();
        let old = pattern(length);
        mounted.write("f", &old).await.unwrap();
        append(&mounted, "f", &pattern(11 * MIB)).await;
        assert!(mounted.store.bytes("f").unwrap() == [old, pattern(11 * MIB)].concat(), "{length}");
    }
}

#[tokio::test]
async fn where_parts_must_be_equal_writers_that_need_more_memory_than_there_is_get_on() {
    let mounted = equal_parts();
    let mut handles = Vec::new();
    for i in 0..8 {
        handles.push(mounted.create(&format!("f{i}")).await.unwrap());
    }
    let whole = pattern(13 * MIB);
    for (at, piece) in whole.chunks(1 << 20).enumerate() {
        for handle in &handles {
            mounted.write_at(*handle, (at as u64) << 20, piece).await.unwrap();
        }
    }
    for (i, handle) in handles.into_iter().enumerate() {
        mounted.close(handle).await.unwrap();
        assert!(mounted.store.bytes(&format!("f{i}")).unwrap() == whole);
    }
}

fn unconditional() -> Mounted {
    Mounted::with_facts(Facts { conditional_writes: false, ..Facts::S3 })
}

#[tokio::test]
async fn without_conditional_writes_an_exclusive_create_still_looks_first() {
    for size in [1, 9 * MIB] {
        let mounted = unconditional();
        let (directory, name) = mounted.place("f").await.unwrap();
        let (_, opened) = mounted.vfs.create(directory, name, OWNER, EXCLUSIVE).await.unwrap();
        mounted.write_at(opened.handle, 0, &pattern(size)).await.unwrap();
        mounted.put("f", b"theirs").await;
        assert!(matches!(mounted.close(opened.handle).await, Err(Error::Exists)));
        assert_eq!(mounted.store.bytes("f").unwrap(), "theirs");
        assert_eq!(mounted.store.uploads_open(), 0);
    }
}

#[tokio::test]
async fn without_conditional_writes_an_append_to_another_version_is_still_stale() {
    for size in [3, 6 * MIB] {
        let mounted = unconditional();
        mounted.write("f", &pattern(size)).await.unwrap();
        let handle = mounted.open("f", WRITE).await.unwrap();
        mounted.write_at(handle, size, b"more").await.unwrap();
        mounted.put("f", b"theirs").await;
        assert!(matches!(mounted.close(handle).await, Err(Error::Stale)));
        assert_eq!(mounted.store.bytes("f").unwrap(), "theirs");
        assert_eq!(mounted.store.uploads_open(), 0);
    }
}

#[tokio::test]
async fn without_conditional_writes_what_needs_no_condition_costs_no_more() {
    let mounted = unconditional();
    mounted.names("").await;
    let (made, cost) = mounted.cost(mounted.write("f", b"x")).await;
    made.unwrap();
    assert_eq!(cost.values().sum::<u64>(), 1, "{cost:?}");
}

fn moving() -> Mounted {
    Mounted::with_facts(Facts { move_object: true, ..Facts::S3 })
}

#[tokio::test]
async fn where_a_store_moves_objects_a_rename_is_a_move() {
    let mounted = moving();
    mounted.write("f", b"text").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    let mtime = Some(UNIX_EPOCH + Duration::from_secs(7));
    mounted.vfs.setattr(id, None, Changes { mtime, ..Changes::default() }).await.unwrap();
    mounted.rename("f", "g").await.unwrap();
    assert_eq!(mounted.store.calls(Op::MoveObject), 0, "its headers had to change");
    mounted.write("target", b"old").await.unwrap();
    mounted.rename("g", "target").await.unwrap();
    assert_eq!((mounted.store.calls(Op::MoveObject), mounted.store.calls(Op::CopyObject)), (1, 1));
    assert_eq!(
        (mounted.store.keys(), mounted.read("target").await.unwrap()),
        (vec!["target".to_owned()], b"text".into())
    );
    let attr = mounted.again().vfs.lookup(crate::vfs::inode::InodeId::ROOT, OsStr::new("target")).await.unwrap().attr;
    assert_eq!(Some(attr.mtime), mtime);
}

#[tokio::test]
async fn where_a_store_moves_objects_directories_are_moved_one_by_one_or_not_at_all() {
    let mounted = moving();
    mounted.mkdir("d").await.unwrap();
    for name in ["d/a", "d/b", "d/c"] {
        mounted.write(name, name.as_bytes()).await.unwrap();
    }
    let before = mounted.store.keys();
    mounted.store.lose(Op::MoveObject, 3, Lost::Refused(StoreKind::AccessDenied));
    assert!(matches!(mounted.rename("d", "e").await, Err(Error::Access(_))));
    assert_eq!(mounted.store.keys(), before, "what had been moved was moved back");
    for name in ["d/a", "d/b", "d/c"] {
        assert_eq!(mounted.read(name).await.unwrap(), name.as_bytes());
    }
    mounted.rename("d", "e").await.unwrap();
    assert_eq!(mounted.store.keys(), ["e/", "e/a", "e/b", "e/c"]);
    assert_eq!(mounted.store.calls(Op::CopyObject), 0);
    assert_eq!(mounted.read("e/b").await.unwrap(), b"d/b");
}

#[tokio::test]
async fn a_move_is_believed_by_what_is_where() {
    let rows = [
        (Lost::Answer, true, "it has happened though nobody said so"),
        (Lost::Request, false, "it has not"),
        (Lost::Refused(StoreKind::Unavailable), false, "nor then"),
    ];
    for (lost, happened, why) in rows {
        let mounted = moving();
        mounted.write("f", b"text").await.unwrap();
        let id = mounted.inode("f").await.unwrap();
        let mtime = Some(UNIX_EPOCH);
        mounted.vfs.setattr(id, None, Changes { mtime, ..Changes::default() }).await.unwrap();
        mounted.vfs.fsyncdir(crate::vfs::inode::InodeId::ROOT).await.unwrap();
        let handle = mounted.open("f", READ).await.unwrap();
        mounted.vfs.fsync(handle).await.unwrap();
        mounted.store.lose(Op::MoveObject, 1, lost);
        assert_eq!(mounted.rename("f", "g").await.is_ok(), happened, "{why}");
        let there = if happened { "g" } else { "f" };
        assert_eq!((mounted.names("").await, mounted.store.keys()), (vec![there.to_owned()], vec![there.to_owned()]));
        assert_eq!(mounted.read(there).await.unwrap(), b"text", "{why}");
    }
}

#[tokio::test]
async fn a_store_that_turns_out_not_to_move_gets_a_copy() {
    let mounted = moving();
    mounted.write("f", b"text").await.unwrap();
    let handle = mounted.open("f", READ).await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    mounted.vfs.setattr(id, None, Changes { mtime: Some(UNIX_EPOCH), ..Changes::default() }).await.unwrap();
    mounted.vfs.fsync(handle).await.unwrap();
    mounted.store.lose(Op::MoveObject, 1, Lost::Refused(StoreKind::NotImplemented));
    mounted.rename("f", "g").await.unwrap();
    assert_eq!((mounted.store.keys(), mounted.store.calls(Op::MoveObject)), (vec!["g".to_owned()], 1));
}

fn forgetful() -> Mounted {
    let facts = Facts { user_metadata: false, ..Facts::S3 };
    let options = Options { metadata_ttl: Duration::ZERO, ..Options::default() };
    Mounted::over(Arc::new(Memory::with_facts(facts)), options)
}

async fn permissions(mounted: &Mounted, path: &str) -> u32 {
    let (directory, name) = mounted.place(path).await.unwrap();
    mounted.vfs.lookup(directory, name).await.unwrap().attr.permissions
}

#[tokio::test]
async fn without_user_metadata_attributes_last_as_long_as_the_mount() {
    let mounted = forgetful();
    mounted.mkdir("d").await.unwrap();
    mounted.write("d/f", b"text").await.unwrap();
    assert_eq!(permissions(&mounted, "d/f").await, OWNER.permissions, "what it was created with");
    for (path, mode) in [("d/f", 0o600), ("d", 0o711)] {
        let id = mounted.inode(path).await.unwrap();
        let changes = Changes { permissions: Some(mode), mtime: Some(UNIX_EPOCH), ..Changes::default() };
        mounted.vfs.setattr(id, None, changes).await.unwrap();
        assert_eq!(permissions(&mounted, path).await, mode);
    }
    assert_eq!(mounted.store.calls(Op::CopyObject), 0, "nothing is stored for it");
    // As when the kernel has no room for it any more.
    for path in ["d/f", "d"] {
        let id = mounted.inode(path).await.unwrap();
        mounted.vfs.forget(id, 1000);
    }
    assert_eq!((permissions(&mounted, "d").await, permissions(&mounted, "d/f").await), (0o711, 0o600));
    mounted.list("d").await.unwrap();
    assert_eq!(permissions(&mounted, "d/f").await, 0o600, "a listing changes nothing about it");
    mounted.rename("d/f", "d/g").await.unwrap();
    assert_eq!(permissions(&mounted, "d/g").await, 0o600);
    mounted.rename("d", "e").await.unwrap();
    assert_eq!((permissions(&mounted, "e").await, permissions(&mounted, "e/g").await), (0o711, 0o600));
    append(&mounted, "e/g", b"more").await;
    assert_eq!(permissions(&mounted, "e/g").await, 0o600);
    assert_eq!(permissions(&mounted.again(), "e/g").await, Options::default().file_mode, "another mount knows nothing");
    assert_eq!(mounted.vfs.pending().files, 0, "nothing waits to be stored");
}

#[tokio::test]
async fn without_user_metadata_what_is_only_a_file_by_its_attributes_is_refused() {
    let mounted = forgetful();
    let (directory, name) = mounted.place("l").await.unwrap();
    let made = mounted.vfs.symlink(directory, name, OsStr::new("target"), OWNER).await;
    assert!(matches!(made, Err(Error::Unsupported(_))));
    assert!(mounted.store.keys().is_empty());
    mounted.write("f", b"x").await.unwrap();
    assert_eq!(mounted.vfs.getattr(mounted.inode("f").await.unwrap()).await.unwrap().attr.kind, Kind::File);
}

#[tokio::test]
async fn scratch_objects_of_other_mounts_are_neither_seen_nor_in_the_way() {
    let mounted = Mounted::with_facts(Facts { listing_metadata: true, ..Facts::S3 });
    mounted.mkdir("d").await.unwrap();
    mounted.write("d/f", b"x").await.unwrap();
    mounted.put("d/.brigade-probe-1", b"x").await;
    mounted.put(".brigade-probe-2", b"x").await;
    assert_eq!((mounted.names("").await, mounted.names("d").await), (vec!["d".to_owned()], vec!["f".to_owned()]));
    assert!(matches!(mounted.inode("d/.brigade-probe-1").await, Err(Error::NotFound)));
    assert!(matches!(mounted.create("d/.brigade-probe-9").await, Err(Error::Invalid(_))));
    mounted.rename("d", "e").await.unwrap();
    assert_eq!(mounted.store.keys(), [".brigade-probe-2", "d/.brigade-probe-1", "e/", "e/f"]);
    mounted.put("e/.brigade-probe-3", b"x").await;
    mounted.unlink("e/f").await.unwrap();
    mounted.rmdir("e").await.unwrap();
    assert_eq!(mounted.store.keys(), [".brigade-probe-2", "d/.brigade-probe-1", "e/.brigade-probe-3"]);
}

#[tokio::test]
async fn more_scratch_objects_than_one_request_shows_hide_no_entry() {
    let mounted = Mounted::new();
    mounted.mkdir("d").await.unwrap();
    for i in 10..40 {
        mounted.put(Box::leak(format!("d/.brigade-unlinked-{i}").into_boxed_str()), b"x").await;
    }
    mounted.write("d/f", b"x").await.unwrap();
    assert!(matches!(mounted.rmdir("d").await, Err(Error::NotEmpty)));
    assert!(mounted.store.keys().contains(&"d/".to_owned()));
    mounted.unlink("d/f").await.unwrap();
    mounted.rmdir("d").await.unwrap();
    assert_eq!(mounted.store.keys().len(), 30, "the marker is gone, and nothing of others");
}

#[tokio::test]
async fn everything_that_is_written_is_encrypted_as_the_mount_says() {
    let options = Options { server_side_encryption: Some("AES256".into()), ..Options::default() };
    let facts = Facts { move_object: true, ..Facts::S3 };
    let mounted = Mounted::over(Arc::new(Memory::with_facts(facts)), options);
    mounted.mkdir("d").await.unwrap();
    mounted.write("d/small", b"x").await.unwrap();
    mounted.write("d/large", &pattern(9 * MIB)).await.unwrap();
    let plain = Bytes::from_static(b"put by somebody else").into();
    mounted.store.put_object("d/plain", plain, &Headers::default(), &Condition::None).await.unwrap();
    mounted.rename("d/small", "d/renamed").await.unwrap();
    let (directory, name) = mounted.place("d/link").await.unwrap();
    mounted.vfs.symlink(directory, name, OsStr::new("target"), OWNER).await.unwrap();
    mounted.rename("d", "e").await.unwrap();
    for key in ["e/", "e/renamed", "e/large", "e/link", "e/plain"] {
        let headers = mounted.store.head_object(key).await.unwrap().headers;
        assert_eq!(headers.server_side_encryption.as_deref(), Some("AES256"), "{key}");
    }
}
