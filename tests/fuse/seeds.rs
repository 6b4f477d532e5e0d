//! What the vendors' pages say of whoever uploads, as a mount does it. The other rows are in `tests/it/seeds/`.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::mounted::MountedBucket;
use crate::programs::shell;
use crate::speech::Speech;
use std::fs::File;
use std::io::Write;
use std::path::Path;

const MIB: u64 = 1 << 20;

fn mount(backend: &Backend, speech: Speech) -> MountedBucket {
    MountedBucket::mount(&speech.source(BUCKET), speech.options(), |command| backend.reach(command))
}

fn write_mebibytes(file: &mut File, count: u64) {
    let piece = vec![7; usize::try_from(MIB).unwrap()];
    for _ in 0..count {
        file.write_all(&piece).unwrap();
    }
}

#[test]
fn seed_002_02_a_file_of_500_mb_is_sent_in_parts() {
    let backend = Backend::start();
    let mounted = mount(&backend, Speech::Jss);
    let (begun, put) = (backend.requests("CreateMultipartUpload"), backend.requests("PutObject"));
    let mut file = File::create(mounted.join("large")).unwrap();
    write_mebibytes(&mut file, 500);
    drop(file);
    assert_eq!(backend.requests("CreateMultipartUpload") - begun, 1);
    assert_eq!(backend.requests("PutObject") - put, 0, "not as a whole");
    assert_eq!((backend.usage().objects, backend.usage().object_bytes), (1, 500 * MIB));
    mounted.unmount();
}

#[test]
fn seed_002_04_what_comes_out_of_a_pipe_is_uploaded_while_it_comes() {
    let backend = Backend::start();
    let mounted = mount(&backend, Speech::Jss);
    let sent = backend.requests("UploadPart");
    let command = "head -c 100M /dev/zero | cat > piped; stat -c %s piped";
    assert_eq!(shell(mounted.path(), command), format!("{}\n", 100 * MIB));
    assert!(backend.requests("UploadPart") - sent >= 6, "in parts");
    assert_eq!(backend.usage().object_bytes, 100 * MIB);
    mounted.unmount();
}

#[test]
fn seed_003_07_no_upload_is_left_whatever_becomes_of_the_file() {
    for speech in Speech::ALL {
        let backend = Backend::start();
        let mounted = mount(&backend, speech);
        let mut removed = File::create(mounted.join("removed")).unwrap();
        write_mebibytes(&mut removed, 40);
        std::fs::remove_file(mounted.join("removed")).unwrap();
        drop(removed);
        let mut renamed = File::create(mounted.join("part")).unwrap();
        write_mebibytes(&mut renamed, 40);
        std::fs::rename(mounted.join("part"), mounted.join("whole")).unwrap();
        drop(renamed);
        let mut open = File::create(mounted.join("open")).unwrap();
        write_mebibytes(&mut open, 40);
        drop(open);
        mounted.unmount();
        let usage = backend.usage();
        assert_eq!((usage.uploads, usage.part_bytes), (0, 0), "{speech:?}");
        assert_eq!((usage.objects, usage.object_bytes), (2, 80 * MIB), "{speech:?}");
    }
}

#[test]
fn seed_001_05_headers_of_an_upload_are_the_files() {
    let backend = Backend::start();
    let mounted = MountedBucket::mount(
        &Speech::WosLegacy.source(BUCKET),
        &["--signature", "legacy", "--storage-class", "IA"],
        |command| backend.reach(command),
    );
    let mut file = File::create(mounted.join("large")).unwrap();
    write_mebibytes(&mut file, 20);
    drop(file);
    shell(mounted.path(), "chmod 640 large");
    let mode = |path: &Path| shell(path, "stat -c %a large");
    assert_eq!(mode(mounted.path()), "640\n");
    mounted.unmount();
    let again = mount(&backend, Speech::WosCurrent);
    assert_eq!(mode(again.path()), "640\n", "metadata of the upload are those of the object");
    again.unmount();
}
