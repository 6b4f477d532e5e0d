//! What operations cost in requests, which are the bill.

use super::harness::Mounted;
use super::harness::READ;
use crate::store::Facts;
use crate::vfs::setattr::Changes;
use std::time::UNIX_EPOCH;

fn total<'a>(cost: impl IntoIterator<Item = (&'a &'static str, &'a u64)>) -> u64 {
    cost.into_iter().map(|(_, count)| count).sum()
}

#[tokio::test]
async fn a_small_file_in_a_listed_directory_is_one_request() {
    let mounted = Mounted::new();
    mounted.names("").await;
    let (made, cost) = mounted
        .cost(async {
            assert!(mounted.inode("f").await.is_err(), "the kernel looks first");
            mounted.write("f", b"x").await
        })
        .await;
    made.unwrap();
    assert_eq!(total(&cost), 1, "{cost:?}");
}

#[tokio::test]
async fn a_small_file_elsewhere_is_three() {
    let mounted = Mounted::new();
    let (made, cost) = mounted
        .cost(async {
            assert!(mounted.inode("f").await.is_err(), "the kernel looks first");
            let handle = mounted.create("f").await?;
            mounted.write_at(handle, 0, b"x").await?;
            mounted.close(handle).await
        })
        .await;
    made.unwrap();
    assert_eq!(total(&cost), 3, "{cost:?}");
}

#[tokio::test]
async fn a_cold_file_is_opened_and_read_with_three() {
    let mounted = Mounted::new();
    mounted.put("f", b"x").await;
    let (read, cost) = mounted.cost(mounted.read("f")).await;
    assert_eq!(read.unwrap(), b"x");
    assert_eq!(total(&cost), 3, "{cost:?}");
}

#[tokio::test]
async fn a_listing_with_metadata_answers_for_all_its_entries() {
    let mounted = Mounted::with_facts(Facts { listing_metadata: true, ..Facts::S3 });
    for i in 0..50 {
        mounted.write(&format!("f{i}"), b"x").await.unwrap();
    }
    let other = Mounted::over(std::sync::Arc::clone(&mounted.store), crate::vfs::Options::default());
    let (listed, cost) = other.cost(other.list("")).await;
    assert!(listed.unwrap().values().all(|size| *size == Some(1)), "attributes come along");
    assert_eq!(total(&cost), 1, "{cost:?}");
    let (found, cost) = other.cost(other.inode("f7")).await;
    found.unwrap();
    assert_eq!(total(&cost), 0, "{cost:?}");
}

#[tokio::test]
async fn metadata_that_a_listing_lacks_are_fetched_side_by_side_and_once() {
    let mounted = Mounted::new();
    for i in 10..60 {
        mounted.write(&format!("f{i}"), b"x").await.unwrap();
    }
    let other = mounted.again();
    let names = other.names("").await;
    let ((), cost) = other
        .cost(async {
            for name in &names {
                other.inode(name).await.unwrap();
            }
        })
        .await;
    assert_eq!(cost.get("HeadObject"), Some(&50), "{cost:?}");
    assert_eq!(total(&cost), 50, "{cost:?}");
}

#[tokio::test]
async fn removing_and_renaming_cost_what_they_must() {
    let mounted = Mounted::new();
    mounted.write("a", b"x").await.unwrap();
    let (done, cost) = mounted.cost(mounted.rename("a", "b")).await;
    done.unwrap();
    assert!(total(&cost) <= 3 + 2, "the target's name must be looked up: {cost:?}");
    let (done, cost) = mounted.cost(mounted.unlink("b")).await;
    done.unwrap();
    assert_eq!(total(&cost), 1, "{cost:?}");
}

#[tokio::test]
async fn a_file_as_rsync_writes_it_is_a_put_a_copy_and_a_delete() {
    let mounted = Mounted::new();
    mounted.names("").await;
    let ((), cost) = mounted
        .cost(async {
            mounted.write(".f.x7Gh2a", b"contents").await.unwrap();
            let id = mounted.inode(".f.x7Gh2a").await.unwrap();
            let mtime = Changes { mtime: Some(UNIX_EPOCH), ..Changes::default() };
            mounted.vfs.setattr(id, None, mtime).await.unwrap();
            let mode = Changes { permissions: Some(0o644), ..Changes::default() };
            mounted.vfs.setattr(id, None, mode).await.unwrap();
            mounted.rename(".f.x7Gh2a", "f").await.unwrap();
        })
        .await;
    assert_eq!(total(&cost), 3, "{cost:?}");
    let attr =
        mounted.again().vfs.lookup(crate::vfs::inode::InodeId::ROOT, std::ffi::OsStr::new("f")).await.unwrap().attr;
    assert_eq!((attr.mtime, attr.permissions), (UNIX_EPOCH, 0o644));
}

#[tokio::test]
async fn a_file_that_is_opened_and_closed_costs_nothing() {
    let mounted = Mounted::new();
    mounted.write("f", b"x").await.unwrap();
    let ((), cost) = mounted
        .cost(async {
            let handle = mounted.open("f", READ).await.unwrap();
            mounted.close(handle).await.unwrap();
        })
        .await;
    assert_eq!(total(&cost), 0, "{cost:?}");
}

#[tokio::test]
async fn going_through_a_large_directory_name_by_name_costs_little_more_than_listing_it() {
    let mounted = Mounted::with_facts(Facts { listing_metadata: true, ..Facts::S3 });
    for i in 0..2500 {
        mounted.put(&format!("d/{i:04}"), b"x").await;
    }
    let (found, cost) = mounted
        .cost(async {
            let mut found = 0;
            for i in 0..2500 {
                found += u32::from(mounted.inode(&format!("d/{i:04}")).await.is_ok());
            }
            found
        })
        .await;
    assert_eq!(found, 2500);
    assert!(total(&cost) < 200, "{cost:?}");
}

#[tokio::test]
async fn a_listing_tells_of_a_directorys_marker_and_of_what_it_holds() {
    let mounted = Mounted::with_facts(Facts { listing_metadata: true, ..Facts::S3 });
    mounted.mkdir("d").await.unwrap();
    let id = mounted.inode("d").await.unwrap();
    let changes = Changes { permissions: Some(0o2710), mtime: Some(UNIX_EPOCH), ..Changes::default() };
    mounted.vfs.setattr(id, None, changes).await.unwrap();
    mounted.write("d/f", b"x").await.unwrap();
    mounted.vfs.setattr(id, None, changes).await.unwrap();
    mounted.vfs.fsyncdir(id).await.unwrap();
    let other = Mounted::over(std::sync::Arc::clone(&mounted.store), crate::vfs::Options::default());
    let (kept, cost) = other
        .cost(async {
            let id = other.inode("d").await.unwrap();
            other.inode("d/f").await.unwrap();
            assert!(other.inode("d/g").await.is_err());
            other.vfs.getattr(id).await.unwrap().attr
        })
        .await;
    assert_eq!((kept.permissions, kept.mtime), (0o2710, UNIX_EPOCH));
    assert_eq!(total(&cost), 2, "{cost:?}");
}
