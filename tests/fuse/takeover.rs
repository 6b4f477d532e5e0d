//! The process that serves a mount dies, or ends on purpose, and another takes over: programs see a pause, and errors only
//! for bytes that were lost.

use crate::files::Seen;
use crate::files::errno;
use crate::files::noise;
use crate::mounted::MountedBucket;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::Signal;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// A shell in a directory, which goes on with a line when it is given one.
fn shell(dir: &Path, script: &str) -> Child {
    Command::new("sh")
        .args(["-ec", script])
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn open_files_are_read_on() {
    let seen = Seen::new(&[]);
    let whole = noise(20 * MIB, 1);
    seen.put("file", &whole);
    let mut file = File::open(seen.mounted.join("file")).unwrap();
    let mut read = vec![0; 3 * MIB];
    file.read_exact(&mut read).unwrap();
    seen.mounted.crash_worker();
    file.read_to_end(&mut read).unwrap();
    assert!(read == whole);
    file.seek(SeekFrom::Start(5)).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 20 << 20);
    drop(file);
    seen.mounted.unmount();
}

#[test]
fn reads_that_are_under_way_are_answered_by_the_next_one() {
    let seen = Seen::new(&[]);
    let whole = noise(40 * MIB, 2);
    seen.put("file", &whole);
    let path = seen.mounted.join("file");
    let reader = thread::spawn(move || fs::read(path).unwrap());
    for crash in 1..=5 {
        let from = seen.requests();
        while seen.requests() < from + crash && !reader.is_finished() {
            thread::yield_now();
        }
        seen.mounted.crash_worker();
    }
    assert!(reader.join().unwrap() == whole);
    seen.mounted.unmount();
}

#[test]
fn a_writer_whose_bytes_are_lost_is_told_and_the_old_object_stays() {
    let seen = Seen::new(&["--part-size", "5MiB"]);
    seen.put("old", b"old");
    let mut rewritten = File::create(seen.mounted.join("old")).unwrap();
    let mut new = File::create(seen.mounted.join("new")).unwrap();
    rewritten.write_all(&noise(12 * MIB, 3)).unwrap();
    new.write_all(b"new").unwrap();
    seen.mounted.crash_worker();
    for file in [&mut rewritten, &mut new] {
        assert_eq!(errno(&file.write_all(b"more").unwrap_err()), Errno::IO);
        assert_eq!(errno(&file.sync_all().unwrap_err()), Errno::IO);
    }
    let mut cat = shell(seen.mounted.path(), "exec cat > closed");
    let mut input = cat.stdin.take().unwrap();
    input.write_all(b"begun").unwrap();
    while !seen.mounted.join("closed").exists() {
        thread::yield_now();
    }
    drop((rewritten, new));
    drop(input);
    assert!(cat.wait().unwrap().success(), "what is opened afterwards is written as ever");
    assert_eq!(fs::read(seen.mounted.join("old")).unwrap(), b"old");
    assert!(!seen.mounted.join("new").exists());
    fs::write(seen.mounted.join("old"), "written again").unwrap();
    assert_eq!(seen.bytes("old").unwrap(), b"written again");
    assert!(seen.mounted.log().contains("are lost"), "{}", seen.mounted.log());
    seen.mounted.unmount();
}

#[test]
fn a_writer_who_has_lost_nothing_goes_on() {
    let seen = Seen::new(&[]);
    let mut file = File::create(seen.mounted.join("file")).unwrap();
    file.write_all(b"stored, ").unwrap();
    file.sync_all().unwrap();
    let log = File::options().append(true).create(true).open(seen.mounted.join("log")).unwrap();
    (&log).write_all(b"one\n").unwrap();
    log.sync_all().unwrap();
    for line in ["two\n", "three\n"] {
        seen.mounted.crash_worker();
        (&log).write_all(line.as_bytes()).unwrap();
        log.sync_all().unwrap();
    }
    file.write_all(b"and more").unwrap();
    drop((file, log));
    assert_eq!(seen.bytes("file").unwrap(), b"stored, and more");
    assert_eq!(seen.bytes("log").unwrap(), b"one\ntwo\nthree\n");
    seen.mounted.unmount();
}

#[test]
fn attributes_stay_when_a_file_that_was_open_is_written() {
    let seen = Seen::new(&[]);
    let path = seen.mounted.join("file");
    let script = "umask 027; echo a > file; chmod 4751 file; sync file; mkdir -m 711 dir";
    let made = Command::new("sh").args(["-ec", script]).current_dir(seen.mounted.path()).status();
    assert!(made.unwrap().success());
    let file = File::options().append(true).open(&path).unwrap();
    seen.mounted.crash_worker();
    (&file).write_all(b"b\n").unwrap();
    file.sync_all().unwrap();
    fs::write(seen.mounted.join("dir/inner"), "").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o751);
    assert_eq!(fs::metadata(seen.mounted.join("dir")).unwrap().mode() & 0o7777, 0o711);
    drop(file);
    let seen = seen.remount();
    assert_eq!(fs::metadata(seen.mounted.join("file")).unwrap().mode() & 0o777, 0o751);
    assert_eq!(fs::metadata(seen.mounted.join("dir")).unwrap().mode() & 0o7777, 0o711);
    assert_eq!(fs::read(seen.mounted.join("file")).unwrap(), b"a\nb\n");
    seen.mounted.unmount();
}

#[test]
fn working_directories_and_open_directories_stay_valid() {
    let seen = Seen::new(&[]);
    fs::create_dir_all(seen.mounted.join("a/b")).unwrap();
    fs::write(seen.mounted.join("a/b/file"), "text").unwrap();
    let mut inside = shell(&seen.mounted.join("a/b"), "read line; cat file; ls; ls ..; cd ..; ls b; echo new > b/new");
    let mut listing = fs::read_dir(seen.mounted.join("a/b")).unwrap();
    for _ in 0..3 {
        seen.mounted.crash_worker();
    }
    assert_eq!(listing.next().unwrap().unwrap().file_name(), "file");
    assert!(listing.next().is_none());
    inside.stdin.take().unwrap().write_all(b"\n").unwrap();
    let told = inside.wait_with_output().unwrap();
    assert!(told.status.success());
    assert_eq!(told.stdout, b"textfile\nb\nfile\n");
    assert_eq!(seen.bytes("a/b/new").unwrap(), b"new\n");
    drop(listing);
    seen.mounted.unmount();
}

#[test]
fn a_file_without_a_name_is_read_on_if_it_was_stored() {
    let seen = Seen::new(&[]);
    let (stored, lost) = (seen.mounted.join("stored"), seen.mounted.join("lost"));
    fs::write(&stored, "text").unwrap();
    let file = File::open(&stored).unwrap();
    let written = File::options().read(true).write(true).create(true).truncate(true).open(&lost).unwrap();
    (&written).write_all(b"nowhere").unwrap();
    fs::remove_file(&stored).unwrap();
    fs::remove_file(&lost).unwrap();
    seen.mounted.crash_worker();
    let mut bytes = [0; 4];
    file.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"text");
    assert!(written.read_at(&mut bytes, 0).is_err(), "its bytes are not there");
    assert!((&written).write(b"more").is_err());
    drop((file, written));
    assert_eq!(fs::read_dir(seen.mounted.path()).unwrap().count(), 0);
    seen.mounted.unmount();
}

#[test]
fn many_crashes_are_survived_and_both_processes_end_with_the_mount() {
    let data = TempDir::new().unwrap();
    let mounted = MountedBucket::local(data.path(), &[]);
    for round in 0..6 {
        let name = format!("file{round}");
        fs::write(mounted.join(&name), &name).unwrap();
        mounted.crash_worker();
        assert_eq!(fs::read_dir(mounted.path()).unwrap().count(), round + 1);
        assert_eq!(fs::read_to_string(mounted.join(&name)).unwrap(), name);
    }
    let worker = mounted.worker();
    mounted.unmount();
    assert!(!Path::new(&format!("/proc/{worker}")).exists(), "the one that keeps the mount waits for it");
}

/// `brigade upgrade`, by the same program.
#[track_caller]
fn upgrade(mounted: &MountedBucket) {
    let before = mounted.worker();
    let ran = mounted.upgrade();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{}", mounted.log());
    assert!(ran.stdout.contains("goes on with"), "{ran:?}");
    assert_ne!(mounted.worker(), before);
}

#[test]
fn an_upgrade_under_load_is_not_noticed() {
    let seen = Seen::new(&["--part-size", "5MiB"]);
    let (read, written) = (noise(48 * MIB, 5), noise(64 * MIB, 6));
    seen.put("read", &read);
    let mut dd = Command::new("dd")
        .args(["of=written", "bs=1M", "iflag=fullblock", "status=none"])
        .current_dir(seen.mounted.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = dd.stdin.take().unwrap();
    let path = seen.mounted.join("read");
    let mut reading = Command::new("dd")
        .arg(format!("if={}", path.display()))
        .args(["bs=64k", "status=none"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = reading.stdout.take().unwrap();
    let mut got = Vec::new();
    for (round, piece) in written.chunks(8 * MIB).enumerate() {
        pipe.write_all(piece).unwrap();
        (&mut output).take(6 << 20).read_to_end(&mut got).unwrap();
        if round % 2 == 0 {
            upgrade(&seen.mounted);
        }
        assert_eq!(seen.etag("written"), None, "no half of it is published");
    }
    drop(pipe);
    output.read_to_end(&mut got).unwrap();
    assert!(dd.wait().unwrap().success() && reading.wait().unwrap().success());
    assert!(got == read);
    assert!(seen.bytes("written").unwrap() == written);
    assert_eq!(seen.uploads(), 0, "each process went on with the upload of the one before");
    assert!(!seen.mounted.log().contains("are lost"), "{}", seen.mounted.log());
    let seen = seen.remount();
    assert_eq!(seen.uploads(), 0);
    assert!(fs::read(seen.mounted.join("written")).unwrap() == written);
    seen.mounted.unmount();
}

#[test]
fn an_upgrade_takes_files_along_that_are_being_written() {
    let seen = Seen::new(&[]);
    seen.put("rewritten", b"old");
    fs::write(seen.mounted.join("grown"), "begun").unwrap();
    let file = |name: &str, options: &mut fs::OpenOptions| options.open(seen.mounted.join(name)).unwrap();
    let rewritten = file("rewritten", File::options().write(true).truncate(true));
    let grown = file("grown", File::options().append(true));
    let mut new = file("new", File::options().write(true).create_new(true).mode(0o751));
    let removed = file("removed", File::options().read(true).write(true).create_new(true));
    (&rewritten).write_all(b"new, ").unwrap();
    (&grown).write_all(b", gone on").unwrap();
    new.write_all(&noise(9 * MIB, 7)).unwrap();
    (&removed).write_all(b"nameless").unwrap();
    fs::remove_file(seen.mounted.join("removed")).unwrap();
    rustix::fs::utimensat(
        rustix::fs::CWD,
        seen.mounted.join("rewritten"),
        &rustix::fs::Timestamps {
            last_access: rustix::fs::Timespec { tv_sec: 1000, tv_nsec: 0 },
            last_modification: rustix::fs::Timespec { tv_sec: 1000, tv_nsec: 0 },
        },
        rustix::fs::AtFlags::empty(),
    )
    .unwrap();
    upgrade(&seen.mounted);
    assert_eq!(seen.bytes("rewritten").unwrap(), b"old");
    assert_eq!(seen.bytes("grown").unwrap(), b"begun");
    assert_eq!((seen.bytes("new"), new.metadata().unwrap().len()), (None, 9 << 20));
    assert_eq!(rewritten.metadata().unwrap().mtime(), 1000);
    let mut bytes = [0; 8];
    removed.read_exact_at(&mut bytes, 0).unwrap();
    assert_eq!(&bytes, b"nameless");
    (&rewritten).write_all(b"and more").unwrap();
    (&grown).write_all(b", and on").unwrap();
    new.write_all(b"end").unwrap();
    drop((rewritten, grown, new, removed));
    assert_eq!(seen.bytes("rewritten").unwrap(), b"new, and more");
    assert_eq!(seen.bytes("grown").unwrap(), b"begun, gone on, and on");
    assert!(seen.bytes("new").unwrap() == [noise(9 * MIB, 7), b"end".to_vec()].concat());
    let seen = seen.remount();
    assert_eq!(fs::metadata(seen.mounted.join("new")).unwrap().mode() & 0o777, 0o751);
    assert_eq!(seen.keys(), ["grown", "new", "rewritten"]);
    seen.mounted.unmount();
}

#[test]
fn a_crash_after_an_upgrade_loses_only_what_was_not_stored() {
    let seen = Seen::new(&[]);
    let mut file = File::create(seen.mounted.join("file")).unwrap();
    file.write_all(b"text").unwrap();
    upgrade(&seen.mounted);
    seen.mounted.crash_worker();
    assert_eq!(errno(&file.sync_all().unwrap_err()), Errno::IO, "it was handed over once, and not twice");
    drop(file);
    assert!(!seen.mounted.join("file").exists());
    seen.mounted.unmount();
}

#[test]
fn a_signal_upgrades_as_well() {
    let seen = Seen::new(&[]);
    let before = seen.mounted.worker();
    let mut file = File::create(seen.mounted.join("file")).unwrap();
    file.write_all(b"be").unwrap();
    let keeper = Pid::from_raw(seen.mounted.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(keeper, Signal::USR2).unwrap();
    while seen.mounted.worker() == before {
        thread::yield_now();
    }
    file.write_all(b"gun").unwrap();
    drop(file);
    assert_eq!(seen.bytes("file").unwrap(), b"begun");
    seen.mounted.unmount();
}

#[test]
fn a_mount_whose_keeper_dies_is_served_by_nobody() {
    let data = TempDir::new().unwrap();
    let mut mounted = MountedBucket::local(data.path(), &[]);
    fs::write(mounted.join("file"), "text").unwrap();
    mounted.crash();
    let why = errno(&fs::read_dir(mounted.path()).unwrap_err());
    assert!(matches!(why, Errno::NOTCONN | Errno::CONNABORTED), "{why}");
}
