//! Files that programs change in place: dd, sed, truncate, fallocate, cp, and mapped memory.

use crate::files::Seen;
use crate::files::errno;
use crate::files::in_every_dialect;
use crate::files::noise;
use crate::programs::shell;
use crate::speech::Speech;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::FileExt;

const MIB: usize = 1 << 20;

in_every_dialect! {
    files_are_changed_in_place_by_real_programs,
    a_copy_inside_the_mount_is_made_by_the_store,
}

fn files_are_changed_in_place_by_real_programs(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    let mut whole = noise(21 * MIB, 1);
    fs::write(at("large"), &whole).unwrap();
    shell(seen.mounted.path(), "printf changed | dd of=large bs=1 seek=10000000 conv=notrunc status=none");
    whole[10_000_000..10_000_007].copy_from_slice(b"changed");
    assert!(fs::read(at("large")).unwrap() == whole);
    shell(seen.mounted.path(), "truncate -s 9000000 large && truncate -s +100 large && printf more >> large");
    whole.truncate(9_000_000);
    whole.resize(9_000_100, 0);
    whole.extend(b"more");
    shell(seen.mounted.path(), "seq 1000 > text && sed -i s/7/seven/ text && grep -c seven text");
    shell(seen.mounted.path(), "printf 'a\\nb\\n' > ed && printf 'x' | dd of=ed bs=1 seek=2 conv=notrunc status=none");
    shell(seen.mounted.path(), "fallocate -l 100 grown && fallocate -p -o 1 -l 2 ed");
    let seen = seen.remount();
    assert!(fs::read(seen.mounted.join("large")).unwrap() == whole);
    assert_eq!(fs::read(seen.mounted.join("ed")).unwrap(), b"a\0\0\n");
    assert_eq!(fs::read(seen.mounted.join("grown")).unwrap(), [0; 100]);
    assert!(fs::read_to_string(seen.mounted.join("text")).unwrap().starts_with("1\n2\n3\n4\n5\n6\nseven\n"));
    seen.mounted.unmount();
}

fn a_copy_inside_the_mount_is_made_by_the_store(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let whole = noise(40 * MIB, 2);
    seen.put("a", &whole);
    let sent = || ["PutObject", "UploadPart"].map(|op| seen.backend.requests(op)).iter().sum::<u64>();
    let before = sent();
    shell(seen.mounted.path(), "cp a b && cp --reflink=auto a c");
    assert!(fs::read(seen.mounted.join("b")).unwrap() == whole);
    assert!(fs::read(seen.mounted.join("c")).unwrap() == whole);
    assert_eq!(sent() - before, 0, "{speech:?}");
    seen.mounted.unmount();
}

#[test]
fn a_file_is_read_back_through_any_descriptor_while_it_is_written() {
    let seen = Seen::new(&[]);
    let path = seen.mounted.join("file");
    fs::write(&path, noise(9 * MIB, 1)).unwrap();
    let mut before = File::open(&path).unwrap();
    let mut cached = vec![0; MIB];
    before.read_exact(&mut cached).unwrap();
    let writer = File::options().read(true).write(true).open(&path).unwrap();
    writer.write_all_at(b"changed", 1000).unwrap();
    for (file, what) in [(&before, "opened before"), (&File::open(&path).unwrap(), "after"), (&writer, "the writer")] {
        let mut read = [0; 7];
        file.read_exact_at(&mut read, 1000).unwrap();
        assert_eq!(&read, b"changed", "{what}");
    }
    writer.set_len(5 * MIB as u64).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 5 * MIB as u64);
    assert_eq!(before.read_at(&mut [0; 10], 6 * MIB as u64).unwrap(), 0, "cut for all");
    drop((before, writer));
    assert_eq!(fs::read(&path).unwrap().len(), 5 * MIB);
    seen.mounted.unmount();
}

#[test]
fn appending_programs_do_not_overwrite_each_other() {
    let seen = Seen::new(&[]);
    let script = "for i in $(seq 20); do (for j in $(seq 5); do echo $i; done) >> log & done; wait; wc -l < log";
    assert_eq!(shell(seen.mounted.path(), script).trim(), "100");
    let mut one = File::options().append(true).open(seen.mounted.join("log")).unwrap();
    let mut other = File::options().append(true).open(seen.mounted.join("log")).unwrap();
    for _ in 0..10 {
        one.write_all(b"one\n").unwrap();
        other.write_all(b"other\n").unwrap();
    }
    drop((one, other));
    assert_eq!(fs::read_to_string(seen.mounted.join("log")).unwrap().lines().count(), 120);
    seen.mounted.unmount();
}

#[test]
fn a_file_is_changed_through_shared_memory() {
    let seen = Seen::new(&[]);
    let path = seen.mounted.join("file");
    let mut whole = noise(9 * MIB, 1);
    fs::write(&path, &whole).unwrap();
    let script = "import mmap\n\
        f = open('file', 'r+b')\n\
        m = mmap.mmap(f.fileno(), 0)\n\
        f.close()\n\
        m[5000000:5000007] = b'changed'\n\
        m[3:6] = b'abc'\n\
        m.flush()\n\
        m[10:13] = b'end'\n\
        assert m[5000000:5000007] == b'changed'\n\
        m.close()\n";
    fs::write(seen.mounted.join("script.py"), script).unwrap();
    shell(seen.mounted.path(), "python3 script.py");
    whole[5_000_000..5_000_007].copy_from_slice(b"changed");
    whole[3..6].copy_from_slice(b"abc");
    whole[10..13].copy_from_slice(b"end");
    let seen = seen.remount();
    assert!(fs::read(seen.mounted.join("file")).unwrap() == whole);
    seen.mounted.unmount();
}

#[test]
fn a_byte_in_a_large_object_costs_few_requests_and_little_traffic() {
    let seen = Seen::new(&[]);
    seen.put("large", &noise(200 * MIB, 1));
    let count = || {
        ["CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload", "GetObject", "PutObject"]
            .map(|op| seen.backend.requests(op))
            .iter()
            .sum::<u64>()
    };
    for (at, most) in [(200 * MIB as u64, 4), (100 * MIB as u64, 6), (0, 5)] {
        let before = count();
        let file = File::options().write(true).open(seen.mounted.join("large")).unwrap();
        file.write_all_at(b"x", at).unwrap();
        drop(file);
        assert!((1..=most).contains(&(count() - before)), "{at}: {}", count() - before);
    }
    seen.mounted.unmount();
}

#[test]
fn what_no_object_can_be_is_refused_and_loses_nothing() {
    let seen = Seen::new(&[]);
    let path = seen.mounted.join("file");
    fs::write(&path, "old contents").unwrap();
    let file = File::options().write(true).open(&path).unwrap();
    assert_eq!(errno(&file.set_len(1 << 60).unwrap_err()), Errno::FBIG);
    drop(file);
    assert_eq!(fs::read_to_string(&path).unwrap(), "old contents");
    seen.mounted.unmount();
}

#[test]
fn what_memory_cannot_hold_goes_to_a_local_directory_and_leaves_nothing_there() {
    let home = tempfile::TempDir::new().unwrap();
    let dir = home.path().join("made/for/it");
    let seen = Seen::new(&["--part-size", "5MiB", "--memory-limit", "16MiB", "--journal-dir", dir.to_str().unwrap()]);
    let mut whole = noise(60 * MIB, 1);
    seen.put("large", &whole);
    let before = seen.backend.requests("PutObject") + seen.backend.requests("UploadPart");
    let file = File::options().read(true).write(true).open(seen.mounted.join("large")).unwrap();
    // From the end to the beginning, every other megabyte: much more than memory has.
    for (at, piece) in (0..60 * MIB).step_by(2 * MIB).rev().zip(noise(30 * MIB, 2).chunks(MIB)) {
        file.write_all_at(piece, at as u64).unwrap();
        whole[at..at + MIB].copy_from_slice(piece);
    }
    let mut read = vec![0; 3 * MIB];
    file.read_exact_at(&mut read, 10 * MIB as u64 + 5).unwrap();
    assert!(read == whole[10 * MIB + 5..13 * MIB + 5]);
    let sent = seen.backend.requests("PutObject") + seen.backend.requests("UploadPart") - before;
    assert_eq!(sent, 0, "nothing goes to the bucket before the close");
    drop(file);
    assert!(seen.bytes("large").unwrap() == whole);
    assert_eq!((seen.keys(), seen.uploads()), (vec!["large".to_owned()], 0));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    seen.mounted.unmount();
}
