//! What is told of a tree while programs use it.

use crate::base::clock;
use crate::vfs::figures::Figures;
use crate::vfs::figures::Stage;
use crate::vfs::figures::Subject;
use crate::vfs::inode::InodeId;
use crate::vfs::tests::harness::Mounted;

fn figures(mounted: &Mounted) -> Figures {
    mounted.vfs.figures(clock::monotonic())
}

#[tokio::test]
async fn what_is_open_and_what_the_bucket_lacks_is_told_by_path() {
    let mounted = Mounted::new();
    assert!(mounted.inode("absent").await.is_err());
    let handle = mounted.create("file").await.unwrap();
    mounted.write_at(handle, 0, b"12345").await.unwrap();
    let told = figures(&mounted);
    assert_eq!((told.files_open, told.directories_open), (1, 0));
    let dirty: Vec<_> =
        told.dirty.iter().map(|one| (&*one.path, one.size_bytes, one.unsent_bytes, one.stage)).collect();
    assert_eq!(dirty, [("file", 5, 5, Stage::Open)]);
    assert!(told.memory_bytes > 0 && told.memory_bytes <= told.memory_limit_bytes && told.memory_waiting == 0);
    mounted.close(handle).await.unwrap();
    let told = figures(&mounted);
    assert_eq!((told.files_open, told.dirty.len(), told.memory_bytes), (0, 0, 0));
    assert_eq!(told.lookups.misses, 1, "a name that was not known was asked for, and a listing is no less");
    let hits = told.lookups.hits;
    mounted.inode("file").await.unwrap();
    assert_eq!(figures(&mounted).lookups.hits, hits + 1, "what this mount has just stored is known");
}

#[tokio::test]
async fn a_subject_has_its_path_below_the_mount_point() {
    let mounted = Mounted::new();
    mounted.write("file", b"1").await.unwrap();
    let file = mounted.inode("file").await.unwrap();
    let rows = [
        (Subject::Mount, Some("")),
        (Subject::Inode(InodeId::ROOT), Some("")),
        (Subject::Inode(file), Some("file")),
        (Subject::Name(InodeId::ROOT, "x".into()), Some("x")),
        (Subject::Name(file, "x".into()), Some("file/x")),
        (Subject::Inode(InodeId(99)), None),
    ];
    for (subject, want) in rows {
        assert_eq!(mounted.vfs.path_of(&subject).as_deref(), want, "{subject:?}");
    }
}
