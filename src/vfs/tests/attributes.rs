//! Attributes of every kind: what is kept, what it costs, and what others see of it.

use super::harness::EXCLUSIVE;
use super::harness::Mounted;
use super::harness::OWNER;
use super::harness::REWRITE;
use super::harness::WRITE;
use crate::store::Condition;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Payload;
use crate::store::Store;
use crate::vfs::Error;
use crate::vfs::Result;
use crate::vfs::attr::Attr;
use crate::vfs::extended::Expected;
use crate::vfs::inode::InodeId;
use crate::vfs::open::Owner;
use crate::vfs::setattr::Changes;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

const LISTING_METADATA: Facts = Facts { listing_metadata: true, ..Facts::S3 };

impl Mounted {
    async fn attr(&self, path: &str) -> Attr {
        let (directory, name) = self.place(path).await.unwrap();
        self.vfs.lookup(directory, name).await.unwrap().attr
    }

    async fn set(&self, path: &str, name: &str, value: &[u8]) -> Result<()> {
        let id = self.inode(path).await?;
        self.vfs.setxattr(id, OsStr::new(name), value, Expected::Any).await
    }

    async fn get(&self, path: &str, name: &str) -> Result<Vec<u8>> {
        self.vfs.getxattr(self.inode(path).await?, OsStr::new(name)).await
    }

    async fn change(&self, path: &str, changes: Changes) {
        let id = self.inode(path).await.unwrap();
        self.vfs.setattr(id, None, changes).await.unwrap();
    }

    async fn metadata(&self, key: &str) -> BTreeMap<String, String> {
        self.store.head_object(key).await.unwrap().headers.metadata
    }
}

fn at(seconds: u64, nanos: u32) -> SystemTime {
    UNIX_EPOCH + Duration::new(seconds, nanos)
}

fn times(attr: &Attr) -> [SystemTime; 3] {
    [attr.mtime, attr.atime, attr.ctime]
}

#[tokio::test]
async fn every_attribute_is_the_same_in_another_mount() {
    for facts in [Facts::S3, LISTING_METADATA] {
        let mounted = Mounted::with_facts(facts);
        mounted.mkdir("dir").await.unwrap();
        mounted.write("plain", b"x").await.unwrap();
        mounted.write("file", b"x").await.unwrap();
        let changes = Changes {
            permissions: Some(0o4711),
            uid: Some(1),
            gid: Some(2),
            mtime: Some(UNIX_EPOCH - Duration::new(5, 500_000_000)),
            atime: Some(at(20_000_000_000, 1)),
            ..Changes::default()
        };
        for path in ["file", "dir"] {
            mounted.change(path, changes).await;
        }
        let before = [mounted.attr("plain").await, mounted.attr("file").await, mounted.attr("dir").await];
        assert!(mounted.vfs.drain().await.is_empty());
        let other = mounted.again();
        other.names("").await;
        for (path, before) in ["plain", "file", "dir"].into_iter().zip(before) {
            assert_eq!(other.attr(path).await, before, "{path}");
        }
    }
}

#[tokio::test]
async fn the_last_change_is_told_of_whatever_was_changed() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let changes = [
        Changes { permissions: Some(0o600), ..Changes::default() },
        Changes { uid: Some(3), ..Changes::default() },
        Changes { mtime: Some(at(1, 0)), ..Changes::default() },
        Changes { atime: Some(at(2, 0)), ..Changes::default() },
        Changes { size: Some(1), ..Changes::default() },
        Changes { size: Some(0), ..Changes::default() },
        Changes { size: Some(5), ..Changes::default() },
    ];
    for changes in changes {
        let before = mounted.attr("f").await;
        mounted.change("f", changes).await;
        let after = mounted.attr("f").await;
        assert!(after.ctime > before.ctime, "{changes:?}");
        assert_eq!(after.mtime != before.mtime, changes.mtime.is_some() || changes.size.is_some(), "{changes:?}");
    }
    let before = mounted.attr("f").await;
    mounted.set("f", "user.a", b"b").await.unwrap();
    assert!(mounted.attr("f").await.ctime > before.ctime);
    assert!(mounted.vfs.drain().await.is_empty());
    assert_eq!(times(&mounted.again().attr("f").await), times(&mounted.attr("f").await));
}

#[tokio::test]
async fn an_access_time_is_stored_when_it_changes() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let now = mounted.attr("f").await.atime;
    mounted.change("f", Changes { atime: Some(now), ..Changes::default() }).await;
    assert_eq!(mounted.vfs.pending().files, 0, "put back, as after reading, it is no news");
    mounted.change("f", Changes { atime: Some(at(7, 8)), ..Changes::default() }).await;
    assert_eq!(mounted.vfs.pending().files, 1);
    assert!(mounted.vfs.drain().await.is_empty());
    assert_eq!(mounted.again().attr("f").await.atime, at(7, 8));
}

#[tokio::test]
async fn all_changes_of_a_moment_are_one_copy() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let (failures, cost) = mounted
        .cost(async {
            mounted.change("f", Changes { permissions: Some(0o600), ..Changes::default() }).await;
            mounted.set("f", "user.a", b"1").await.unwrap();
            mounted.set("f", "user.b", b"2").await.unwrap();
            mounted.change("f", Changes { mtime: Some(at(1, 2)), ..Changes::default() }).await;
            mounted.vfs.drain().await
        })
        .await;
    assert!(failures.is_empty());
    assert_eq!(cost, BTreeMap::from([("CopyObject", 1)]));
    let other = mounted.again();
    assert_eq!((other.get("f", "user.a").await.unwrap(), other.attr("f").await.permissions), (b"1".to_vec(), 0o600));
}

#[tokio::test]
async fn extended_attributes_ride_in_the_upload() {
    let mounted = Mounted::new();
    mounted.names("").await;
    let ((), cost) = mounted
        .cost(async {
            let (entry, opened) = mounted.vfs.create(InodeId::ROOT, OsStr::new("f"), OWNER, EXCLUSIVE).await.unwrap();
            mounted.write_at(opened.handle, 0, b"x").await.unwrap();
            mounted.vfs.setxattr(entry.inode.id, OsStr::new("user.a"), b"b", Expected::Absent).await.unwrap();
            assert_eq!(mounted.vfs.getxattr(entry.inode.id, OsStr::new("user.a")).await.unwrap(), b"b");
            mounted.close(opened.handle).await.unwrap();
            assert!(mounted.vfs.drain().await.is_empty());
        })
        .await;
    assert_eq!(cost, BTreeMap::from([("PutObject", 1)]));
    assert_eq!(mounted.get("f", "user.a").await.unwrap(), b"b");
    assert_eq!(mounted.again().get("f", "user.a").await.unwrap(), b"b");
}

#[tokio::test]
async fn what_was_set_while_parts_were_under_way_is_stored_after_them() {
    let mounted = Mounted::new();
    let handle = mounted.create("large").await.unwrap();
    for at in 0..17 {
        mounted.write_at(handle, at << 20, &[1; 1 << 20]).await.unwrap();
    }
    mounted.set("large", "user.a", b"b").await.unwrap();
    mounted.close(handle).await.unwrap();
    assert_eq!(mounted.vfs.pending().files, 0);
    assert_eq!(mounted.again().get("large", "user.a").await.unwrap(), b"b");
}

#[tokio::test]
async fn extended_attributes_stay_through_all_that_happens_to_a_file() {
    for facts in [Facts::S3, LISTING_METADATA] {
        let mounted = Mounted::with_facts(facts);
        let headers = Headers { metadata: [("colour".to_owned(), "red".to_owned())].into(), ..Headers::default() };
        mounted
            .store
            .put_object("f", bytes::Bytes::from_static(b"old").into(), &headers, &Condition::None)
            .await
            .unwrap();
        for step in ["look", "rewrite", "append", "chmod", "rename", "truncate", "set"] {
            let mounted = mounted.again();
            mounted.names("").await;
            match step {
                "rewrite" => mounted.write("f", b"new").await.unwrap(),
                "append" => {
                    let handle = mounted.open("f", WRITE).await.unwrap();
                    mounted.write_at(handle, 3, b"more").await.unwrap();
                    mounted.close(handle).await.unwrap();
                }
                "chmod" => mounted.change("f", Changes { permissions: Some(0o600), ..Changes::default() }).await,
                "rename" => {
                    mounted.rename("f", "g").await.unwrap();
                    mounted.rename("g", "f").await.unwrap();
                }
                "truncate" => mounted.change("f", Changes { size: Some(0), ..Changes::default() }).await,
                "set" => mounted.set("f", "user.other", b"\0").await.unwrap(),
                _ => {}
            }
            assert_eq!(mounted.get("f", "user.colour").await.unwrap(), b"red", "{step}");
            assert!(mounted.vfs.drain().await.is_empty());
            assert_eq!(mounted.metadata("f").await.get("colour").map(String::as_str), Some("red"), "{step}");
        }
        let id = mounted.inode("f").await.unwrap();
        assert_eq!(mounted.vfs.listxattr(id).await.unwrap(), ["user.colour", "user.other"]);
        mounted.vfs.removexattr(id, OsStr::new("user.colour")).await.unwrap();
        assert!(mounted.vfs.drain().await.is_empty());
        assert_eq!(
            mounted.again().vfs.listxattr(id).await.err().map(|error| error.to_string()),
            Some(Error::Stale.to_string())
        );
        assert!(!mounted.metadata("f").await.contains_key("colour"));
    }
}

#[tokio::test]
async fn a_listing_that_tells_of_no_extended_attributes_is_believed() {
    let mounted = Mounted::with_facts(LISTING_METADATA);
    mounted.write("f", b"x").await.unwrap();
    let other = mounted.again();
    other.list("").await.unwrap();
    let (names, cost) = other
        .cost(async {
            let id = other.inode("f").await?;
            for name in ["security.capability", "security.selinux", "system.posix_acl_access", "user.x"] {
                assert!(other.vfs.getxattr(id, OsStr::new(name)).await.is_err());
            }
            other.vfs.listxattr(id).await
        })
        .await;
    assert_eq!((names.unwrap().len(), cost), (0, BTreeMap::new()));
}

#[tokio::test]
async fn who_asks_for_labels_file_by_file_hears_that_there_are_none_here() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let id = mounted.inode("f").await.unwrap();
    for name in ["security.selinux", "security.ima", "trusted.x", "system.posix_acl_access"] {
        let answered = mounted.vfs.getxattr(id, OsStr::new(name)).await;
        assert!(matches!(answered, Err(Error::Unsupported(_))), "{name}: {answered:?}");
    }
    let answered = mounted.vfs.getxattr(id, OsStr::new("security.capability")).await;
    assert!(matches!(answered, Err(Error::NoAttribute)), "the kernel asks at each write: {answered:?}");
}

#[tokio::test]
async fn extended_attributes_are_refused_as_linux_does() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    mounted.mkdir("dir").await.unwrap();
    mounted.vfs.symlink(InodeId::ROOT, OsStr::new("link"), OsStr::new("f"), OWNER).await.unwrap();
    let (file, long) = (mounted.inode("f").await.unwrap(), vec![b'x'; 2000]);
    mounted.vfs.setxattr(file, OsStr::new("user.a"), b"1", Expected::Absent).await.unwrap();
    type Row<'a> = (&'a str, &'a str, &'a [u8], Expected, Option<Error>);
    let rows: &[Row<'_>] = &[
        ("f", "user.a", b"2", Expected::Absent, Some(Error::Exists)),
        ("f", "user.b", b"2", Expected::Present, Some(Error::NoAttribute)),
        ("f", "user.a", b"2", Expected::Present, None),
        ("dir", "user.a", b"2", Expected::Any, None),
        ("f", "user.long", &long, Expected::Any, Some(Error::NoRoom)),
        ("f", "user.brigade.etag", b"2", Expected::Any, Some(Error::NotPermitted(""))),
        ("link", "user.a", b"2", Expected::Any, Some(Error::NotPermitted(""))),
        ("f", "security.capability", b"2", Expected::Any, Some(Error::Unsupported(""))),
        ("f", "system.posix_acl_access", b"2", Expected::Any, Some(Error::Unsupported(""))),
        ("", "user.a", b"2", Expected::Any, Some(Error::Unsupported(""))),
    ];
    for (path, name, value, expected, want) in rows {
        let id = mounted.inode(path).await.unwrap();
        let said = mounted.vfs.setxattr(id, OsStr::new(name), value, *expected).await;
        let kind = |error: &Error| std::mem::discriminant(error);
        assert_eq!(said.as_ref().err().map(kind), want.as_ref().map(kind), "{path} {name}: {said:?}");
    }
    assert!(matches!(mounted.get("f", "user.b").await, Err(Error::NoAttribute)));
    assert!(matches!(mounted.get("f", "system.posix_acl_access").await, Err(Error::Unsupported(_))));
    assert!(matches!(mounted.vfs.removexattr(file, OsStr::new("user.b")).await, Err(Error::NoAttribute)));
    assert!(mounted.vfs.drain().await.is_empty());
    let other = mounted.again();
    assert_eq!(
        (other.get("f", "user.a").await.unwrap(), other.get("dir", "user.a").await.unwrap()),
        (b"2".into(), b"2".into())
    );
    assert_eq!(other.get("f", "user.brigade.key").await.unwrap(), b"f");
    assert_eq!(other.get("f", "user.brigade.storage-class").await.unwrap(), b"STANDARD");
    let etag = mounted.store.head_object("f").await.unwrap().etag;
    assert_eq!(other.get("f", "user.brigade.etag").await.unwrap(), etag.as_str().as_bytes());
    assert_eq!(
        other.vfs.listxattr(other.inode("f").await.unwrap()).await.unwrap(),
        ["user.a"],
        "of the object's own, none"
    );
}

#[tokio::test]
async fn symbolic_links_of_others_lead_where_they_say() {
    for facts in [Facts::S3, LISTING_METADATA] {
        let mounted = Mounted::with_facts(facts);
        for (key, name, target) in [("g", "gcsfuse_symlink_target", "a/b"), ("e", "--symlink-target", "a%2Fb")] {
            let headers = Headers { metadata: [(name.to_owned(), target.to_owned())].into(), ..Headers::default() };
            mounted.store.put_object(key, bytes::Bytes::new().into(), &headers, &Condition::None).await.unwrap();
        }
        for listed in [true, false] {
            let other = mounted.again();
            if listed {
                other.list("").await.unwrap();
            }
            for key in ["g", "e"] {
                assert_eq!(other.attr(key).await.size, 3, "the length of its target");
                assert_eq!(other.vfs.readlink(other.inode(key).await.unwrap()).await.unwrap(), "a/b", "{key}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_times_of_a_directory_are_stored_once_for_all_changes_of_a_while() {
    let mounted = Mounted::new();
    mounted.mkdir("dir").await.unwrap();
    let made = mounted.metadata("dir/").await;
    let ((), cost) = mounted
        .cost(async {
            for name in 0..10 {
                mounted.write(&format!("dir/{name}"), b"x").await.unwrap();
            }
            tokio::time::sleep(Duration::from_secs(31)).await;
        })
        .await;
    assert_eq!((cost.get("CopyObject"), cost.get("PutObject")), (Some(&1), Some(&10)), "{cost:?}");
    assert!(mounted.metadata("dir/").await["mtime"] > made["mtime"]);
    assert_eq!(times(&mounted.again().attr("dir").await), times(&mounted.attr("dir").await));
    mounted.unlink("dir/3").await.unwrap();
    assert!(mounted.vfs.drain().await.is_empty());
    assert_eq!(times(&mounted.again().attr("dir").await), times(&mounted.attr("dir").await), "the end does not wait");
}

#[tokio::test]
async fn a_directory_that_is_removed_owes_the_bucket_no_time() {
    let mounted = Mounted::with_facts(LISTING_METADATA);
    mounted.mkdir("dir").await.unwrap();
    let other = mounted.again();
    other.write("dir/file", b"x").await.unwrap();
    other.unlink("dir/file").await.unwrap();
    // Held by the kernel still, as the current directory of a program is.
    other.inode("dir").await.unwrap();
    other.rmdir("dir").await.unwrap();
    assert!(other.vfs.drain().await.is_empty());
}

#[tokio::test]
async fn extended_attributes_of_a_directory_stay_whatever_told_of_it() {
    for facts in [Facts::S3, LISTING_METADATA] {
        let mounted = Mounted::with_facts(facts);
        mounted.mkdir("dir").await.unwrap();
        mounted.set("dir", "user.É", b"one").await.unwrap();
        assert!(mounted.vfs.drain().await.is_empty());
        let headers = Headers {
            cache_control: Some("no-store".into()),
            ..mounted.store.head_object("dir/").await.unwrap().headers
        };
        mounted.store.put_object("dir/", Payload::default(), &headers, &Condition::None).await.unwrap();
        // Changes of other attributes, one more of this kind, and times that follow an entry.
        let other = mounted.again();
        assert_eq!(other.get("dir", "user.É").await.unwrap(), b"one");
        for step in 0..3 {
            let other = mounted.again();
            match step {
                0 => other.change("dir", Changes { permissions: Some(0o700), ..Changes::default() }).await,
                1 => other.set("dir", "user.two", b"two").await.unwrap(),
                _ => other.write("dir/file", b"x").await.unwrap(),
            }
            assert!(other.vfs.drain().await.is_empty());
            let again = mounted.again();
            assert_eq!(again.get("dir", "user.É").await.unwrap(), b"one", "{step}");
            let kept = mounted.store.head_object("dir/").await.unwrap().headers;
            assert_eq!(kept.cache_control.as_deref(), Some("no-store"), "{step}");
        }
        assert_eq!(mounted.again().get("dir", "user.two").await.unwrap(), b"two");
    }
}

#[tokio::test]
async fn a_directory_that_another_host_removed_does_not_come_back_for_its_time() {
    let mounted = Mounted::new();
    mounted.mkdir("dir").await.unwrap();
    mounted.write("dir/f", b"x").await.unwrap();
    for key in ["dir/f", "dir/"] {
        mounted.store.delete_object(key).await.unwrap();
    }
    assert!(mounted.vfs.drain().await.is_empty());
    assert!(mounted.store.head_object("dir/").await.is_err());
}

#[tokio::test]
async fn who_writes_a_file_does_not_leave_it_running_as_its_owner() {
    let mounted = Mounted::new();
    for (uid, how, write, want) in [
        (1, WRITE, true, 0o755),
        (0, WRITE, true, 0o6755),
        (1, WRITE, false, 0o6755),
        (1, REWRITE, false, 0o755),
        (0, REWRITE, false, 0o6755),
    ] {
        mounted.write("f", b"").await.unwrap();
        mounted.change("f", Changes { permissions: Some(0o6755), ..Changes::default() }).await;
        let handle = mounted.open("f", how).await.unwrap();
        if how.truncate {
            mounted.vfs.emptied_by(uid, mounted.inode("f").await.unwrap());
        }
        if write {
            mounted.vfs.written_by(uid, handle);
            mounted.write_at(handle, 0, b"x").await.unwrap();
        }
        mounted.close(handle).await.unwrap();
        assert_eq!(mounted.attr("f").await.permissions, want, "{uid} {how:?} {write}");
        assert!(mounted.vfs.drain().await.is_empty());
        assert_eq!(mounted.again().attr("f").await.permissions, want, "{uid} {how:?} {write}");
    }
}

#[tokio::test]
async fn new_files_belong_to_the_group_of_their_directory_where_it_says_so() {
    let mounted = Mounted::new();
    mounted.mkdir("dir").await.unwrap();
    mounted.change("dir", Changes { permissions: Some(0o2775), gid: Some(77), ..Changes::default() }).await;
    mounted.write("dir/file", b"x").await.unwrap();
    let (directory, name) = mounted.place("dir/below").await.unwrap();
    mounted.vfs.mkdir(directory, name, Owner { permissions: 0o755, ..OWNER }).await.unwrap();
    let seen = |attr: Attr| (attr.permissions, attr.uid, attr.gid);
    assert_eq!(seen(mounted.attr("dir/file").await), (0o640, 7, 77));
    assert_eq!(seen(mounted.attr("dir/below").await), (0o2755, 7, 77));
    assert_eq!(seen(mounted.again().attr("dir/below").await), (0o2755, 7, 77));
}
