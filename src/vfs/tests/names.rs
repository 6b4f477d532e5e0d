//! Names: directories, renames, removals, links, keys that are no names.

use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::READ;
use super::harness::WRITE;
use crate::base::bytesize::MIB;
use crate::store::Facts;
use crate::store::Kind as StoreKind;
use crate::store::Op;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use crate::vfs::Error;
use crate::vfs::Options;
use crate::vfs::attr::Kind;
use crate::vfs::inode::InodeId;
use crate::vfs::rename::Target;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

#[tokio::test]
async fn directories_are_made_listed_and_removed() {
    let mounted = Mounted::new();
    mounted.mkdir("d").await.unwrap();
    mounted.mkdir("d/e").await.unwrap();
    mounted.write("d/f", b"x").await.unwrap();
    assert_eq!(mounted.names("d").await, ["e", "f"]);
    assert_eq!(mounted.again().names("d").await, ["e", "f"]);
    assert_eq!(mounted.store.keys(), ["d/", "d/e/", "d/f"]);
    assert!(matches!(mounted.rmdir("d").await, Err(Error::NotEmpty)));
    assert!(matches!(mounted.mkdir("d").await, Err(Error::Exists)));
    assert!(matches!(mounted.unlink("d").await, Err(Error::IsDirectory)));
    assert!(matches!(mounted.rmdir("d/f").await, Err(Error::NotDirectory)));
    mounted.unlink("d/f").await.unwrap();
    mounted.rmdir("d/e").await.unwrap();
    mounted.rmdir("d").await.unwrap();
    assert!(mounted.store.keys().is_empty());
    let attr = mounted.vfs.lookup(InodeId::ROOT, OsStr::new("d")).await;
    assert!(matches!(attr, Err(Error::NotFound)));
}

#[tokio::test]
async fn a_directory_that_only_its_entries_imply_stays_when_they_go() {
    let mounted = Mounted::new();
    mounted.put("d/f", b"x").await;
    mounted.put("d/g", b"x").await;
    mounted.unlink("d/f").await.unwrap();
    assert_eq!(mounted.store.keys(), ["d/g"]);
    mounted.rename("d/g", "g").await.unwrap();
    assert_eq!(mounted.store.keys(), ["d/", "g"]);
    assert!(mounted.names("d").await.is_empty());
}

#[tokio::test]
async fn keys_that_are_no_names_are_hidden_and_left_alone() {
    let mounted = Mounted::new();
    for key in ["a", "a/b", "c//d", "e/../f", "/g", "h/", "ok"] {
        if mounted.store.bytes(key).is_none() && !key.contains("..") {
            mounted.put(key, b"x").await;
        }
    }
    assert_eq!(mounted.names("").await, ["a", "c", "h", "ok"]);
    assert_eq!(mounted.names("a").await, ["b"], "the directory wins over the object of the same name");
    assert!(mounted.names("c").await.is_empty());
    assert!(matches!(mounted.rmdir("c").await, Err(Error::NotEmpty)), "what is hidden is not removed");
}

#[tokio::test]
async fn a_rename_moves_contents_and_attributes_and_replaces_the_target() {
    for size in [5, 9 * MIB] {
        let mounted = Mounted::new();
        let bytes = vec![7; usize::try_from(size).unwrap()];
        mounted.write("a", &bytes).await.unwrap();
        mounted.write("b", b"old").await.unwrap();
        let before = mounted.vfs.lookup(InodeId::ROOT, OsStr::new("a")).await.unwrap().attr;
        mounted.rename("a", "b").await.unwrap();
        assert_eq!(mounted.store.keys(), ["b"]);
        assert_eq!(mounted.read("b").await.unwrap(), bytes);
        assert!(matches!(mounted.inode("a").await, Err(Error::NotFound)));
        let other = mounted.again();
        let after = other.vfs.lookup(InodeId::ROOT, OsStr::new("b")).await.unwrap().attr;
        assert_eq!(
            (after.permissions, after.uid, after.mtime),
            (before.permissions, before.uid, before.mtime),
            "{size}"
        );
    }
}

#[tokio::test]
async fn objects_above_the_copy_limit_are_renamed_in_parts() {
    let facts = Facts { part_bytes_min: 5 * MIB, part_bytes_max: 6 * MIB, put_bytes_max: 8 * MIB, ..Facts::S3 };
    let mounted = Mounted::with_facts(facts);
    let bytes = vec![3; usize::try_from(21 * MIB).unwrap()];
    mounted.write("a", &bytes).await.unwrap();
    let (renamed, cost) = mounted.cost(mounted.rename("a", "b")).await;
    renamed.unwrap();
    assert_eq!((cost.get("UploadPartCopy"), cost.get("CopyObject")), (Some(&4), None), "{cost:?}");
    assert_eq!(mounted.read("b").await.unwrap(), bytes);
    assert_eq!(mounted.store.keys(), ["b"]);
}

#[tokio::test]
async fn a_rename_that_fails_leaves_the_source_where_it_was() {
    for op in [Op::CopyObject, Op::DeleteObject] {
        let mounted = Mounted::new();
        mounted.write("a", b"x").await.unwrap();
        mounted.store.lose(op, 1, Lost::Refused(StoreKind::AccessDenied));
        assert!(matches!(mounted.rename("a", "b").await, Err(Error::Access(_))), "{op}");
        assert_eq!(mounted.read("a").await.unwrap(), b"x", "{op}");
    }
}

#[tokio::test]
async fn a_file_is_written_and_read_on_under_its_new_name() {
    let mounted = Mounted::new();
    let small = mounted.create("a").await.unwrap();
    mounted.write_at(small, 0, b"one").await.unwrap();
    mounted.rename("a", "b").await.unwrap();
    mounted.write_at(small, 3, b"two").await.unwrap();
    mounted.close(small).await.unwrap();
    assert_eq!(mounted.store.keys(), ["b"], "a small file needs no copy");
    assert_eq!(mounted.store.calls(Op::CopyObject), 0);

    let large = mounted.create("c").await.unwrap();
    mounted.write_at(large, 0, &vec![1; 9 << 20]).await.unwrap();
    mounted.rename("c", "d").await.unwrap();
    mounted.write_at(large, 9 << 20, b"end").await.unwrap();
    mounted.close(large).await.unwrap();
    assert_eq!(mounted.store.keys(), ["b", "d"]);
    assert_eq!(mounted.store.bytes("d").unwrap().len(), (9 << 20) + 3);

    let reader = mounted.open("d", READ).await.unwrap();
    assert_eq!(mounted.read_at(reader, 0, 1).await.unwrap(), [1][..]);
    mounted.rename("d", "e").await.unwrap();
    assert_eq!(mounted.read_at(reader, (8 << 20) + 5, 1).await.unwrap(), [1][..], "an open file is read on");
}

#[tokio::test]
async fn directories_are_renamed_with_all_they_hold() {
    let mounted = Mounted::new();
    mounted.mkdir("d").await.unwrap();
    mounted.mkdir("d/e").await.unwrap();
    for i in 0..40 {
        mounted.write(&format!("d/e/f{i}"), format!("{i}").as_bytes()).await.unwrap();
    }
    mounted.mkdir("t").await.unwrap();
    mounted.rename("d", "t").await.unwrap();
    assert!(mounted.store.keys().iter().all(|key| key.starts_with("t/")), "{:?}", mounted.store.keys());
    assert_eq!(mounted.read("t/e/f39").await.unwrap(), b"39");
    assert_eq!(mounted.names("t/e").await.len(), 40);
    assert_eq!(mounted.names("").await, ["t"]);
    assert!(matches!(mounted.rename("t", "t/e/x").await, Err(Error::Invalid(_))));
    mounted.mkdir("u").await.unwrap();
    mounted.write("u/x", b"").await.unwrap();
    assert!(matches!(mounted.rename("t", "u").await, Err(Error::NotEmpty)));
    assert!(matches!(mounted.rename("t", "u/x").await, Err(Error::NotDirectory)));
    assert!(matches!(mounted.rename("u/x", "t").await, Err(Error::IsDirectory)));
}

#[tokio::test]
async fn files_that_are_being_written_follow_their_directory() {
    let mounted = Mounted::new();
    mounted.mkdir("d").await.unwrap();
    let small = mounted.create("d/small").await.unwrap();
    mounted.write_at(small, 0, b"one").await.unwrap();
    let large = mounted.create("d/large").await.unwrap();
    mounted.write_at(large, 0, &vec![1; 9 << 20]).await.unwrap();
    mounted.rename("d", "e").await.unwrap();
    mounted.write_at(small, 3, b"two").await.unwrap();
    mounted.write_at(large, 9 << 20, b"end").await.unwrap();
    mounted.close(small).await.unwrap();
    mounted.close(large).await.unwrap();
    assert_eq!(mounted.store.keys(), ["e/", "e/large", "e/small"]);
    assert_eq!(mounted.read("e/small").await.unwrap(), b"onetwo");
    assert_eq!(mounted.store.bytes("e/large").unwrap().len(), (9 << 20) + 3);
}

#[tokio::test]
async fn an_upload_that_named_its_key_before_its_directory_was_renamed_ends_under_the_new_name() {
    let mounted = Mounted::new();
    mounted.mkdir("d").await.unwrap();
    let large = mounted.create("d/f").await.unwrap();
    mounted.write_at(large, 0, &vec![1; 9 << 20]).await.unwrap();
    let draft = mounted.vfs.tree.get(mounted.inode("d/f").await.unwrap()).unwrap().state().draft.clone().unwrap();
    while draft.key().is_none() {
        tokio::task::yield_now().await;
    }
    // As a rename by another thread would, between the last listing and the commit.
    mounted.vfs.tree.rename(InodeId::ROOT, "d", InodeId::ROOT, "e");
    mounted.close(large).await.unwrap();
    assert_eq!(mounted.store.keys(), ["d/", "e/f"]);
    assert_eq!(mounted.read("e/f").await.unwrap().len(), 9 << 20);
}

#[tokio::test]
async fn a_directory_rename_that_fails_half_way_moves_nothing() {
    let mounted = Mounted::new();
    for i in 0..10 {
        mounted.write(&format!("f{i}"), b"x").await.unwrap();
        mounted.put(Box::leak(format!("d/{i}").into_boxed_str()), b"x").await;
    }
    let before = mounted.store.keys();
    mounted.store.lose(Op::CopyObject, 6, Lost::Refused(StoreKind::AccessDenied));
    assert!(mounted.rename("d", "e").await.is_err());
    assert_eq!(mounted.store.keys(), before);
}

#[tokio::test]
async fn a_target_that_must_be_free_is_not_replaced() {
    let mounted = Mounted::new();
    mounted.write("a", b"a").await.unwrap();
    mounted.write("b", b"b").await.unwrap();
    let (a, b) = ((InodeId::ROOT, OsStr::new("a")), (InodeId::ROOT, OsStr::new("b")));
    assert!(matches!(mounted.vfs.rename(a, b, Target::MustBeFree).await, Err(Error::Exists)));
    assert_eq!(mounted.read("b").await.unwrap(), b"b");
}

#[tokio::test]
async fn symbolic_links_are_kept_as_s3fs_keeps_them() {
    let mounted = Mounted::new();
    let target = OsStr::new("../somewhere/ü");
    mounted.vfs.symlink(InodeId::ROOT, OsStr::new("l"), target, OWNER).await.unwrap();
    let other = mounted.again();
    let entry = other.vfs.lookup(InodeId::ROOT, OsStr::new("l")).await.unwrap();
    assert_eq!((entry.attr.kind, entry.attr.size), (Kind::Symlink, target.len() as u64));
    assert_eq!(other.vfs.readlink(entry.inode.id).await.unwrap(), target.as_bytes());
    assert!(matches!(other.vfs.readlink(InodeId::ROOT).await, Err(Error::Invalid(_))));
}

#[tokio::test]
async fn a_prefix_is_a_world_of_its_own() {
    let store = Arc::new(Memory::new());
    let options = Options { prefix: "/p/q/".into(), ..Options::default() };
    let mounted = Mounted::over(Arc::clone(&store), options);
    mounted.put("outside", b"x").await;
    mounted.write("f", b"x").await.unwrap();
    mounted.mkdir("d").await.unwrap();
    assert_eq!(store.keys(), ["outside", "p/q/d/", "p/q/f"]);
    assert_eq!(mounted.names("").await, ["d", "f"]);
    mounted.unlink("f").await.unwrap();
    mounted.rmdir("d").await.unwrap();
    assert!(mounted.names("").await.is_empty());
}

#[tokio::test]
async fn a_read_only_mount_changes_nothing() {
    let store = Arc::new(Memory::new());
    Mounted::over(Arc::clone(&store), Options::default()).write("f", b"x").await.unwrap();
    let mounted = Mounted::over(store, Options { read_only: true, ..Options::default() });
    assert_eq!(mounted.read("f").await.unwrap(), b"x");
    assert!(matches!(mounted.create("g").await, Err(Error::ReadOnly)));
    assert!(matches!(mounted.open("f", WRITE).await, Err(Error::ReadOnly)));
    assert!(matches!(mounted.unlink("f").await, Err(Error::ReadOnly)));
    assert!(matches!(mounted.mkdir("d").await, Err(Error::ReadOnly)));
    assert!(matches!(mounted.rename("f", "g").await, Err(Error::ReadOnly)));
}

#[tokio::test]
async fn names_that_cannot_be_keys_are_refused() {
    let mounted = Mounted::new();
    let bad = OsStr::from_bytes(b"\xff\xfe");
    assert!(matches!(mounted.vfs.lookup(InodeId::ROOT, bad).await, Err(Error::NotFound)));
    assert!(matches!(mounted.vfs.mkdir(InodeId::ROOT, bad, OWNER).await, Err(Error::NameNotUtf8)));
    let mut path = String::new();
    for _ in 0..4 {
        path = format!("{path}/{}", "d".repeat(250));
        mounted.mkdir(path.trim_start_matches('/')).await.unwrap();
    }
    let deep = format!("{}/{}", path.trim_start_matches('/'), "x".repeat(100));
    assert!(matches!(mounted.create(&deep).await, Err(Error::NameTooLong)), "a key has 1024 bytes at most");
}

#[tokio::test]
async fn a_new_file_that_had_to_be_new_replaces_another_by_rename() {
    let mounted = Mounted::new();
    mounted.write("old", b"old").await.unwrap();
    let (parent, name) = mounted.place("new").await.unwrap();
    let made = mounted.vfs.create(parent, name, OWNER, EXCLUSIVE).await.unwrap();
    let handle = made.1.handle;
    mounted.write_at(handle, 0, b"new").await.unwrap();
    mounted.rename("new", "old").await.unwrap();
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.store.bytes("old").unwrap(), "new");
    assert_eq!(mounted.names("").await, ["old"]);
    assert_eq!(mounted.store.keys(), ["old"]);
}
