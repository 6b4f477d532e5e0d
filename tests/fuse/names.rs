//! Names in a real mount, as real programs use them: removals and renames of open files, nodes, links, odd names,
//! listings that are read while entries come and go, and what a crash leaves.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::files::Seen;
use crate::files::in_every_dialect;
use crate::files::noise;
use crate::mounted::MountedBucket;
use crate::programs::shell;
use crate::speech::Speech;
use brigade::base::clock;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::linkat;
use rustix::fs::mknodat;
use rustix::fs::renameat_with;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::time::Duration;

const MIB: usize = 1 << 20;

in_every_dialect! {
    open_files_outlive_their_names,
    a_scratch_file_needs_no_name,
    renames_replace_or_refuse_as_asked,
    nodes_and_links_are_there_the_next_day,
    odd_names_are_kept_and_impossible_ones_refused,
}

fn errno<T: std::fmt::Debug>(result: std::io::Result<T>) -> Errno {
    Errno::from_io_error(&result.unwrap_err()).unwrap()
}

fn hidden(seen: &Seen) -> Vec<String> {
    seen.keys().into_iter().filter(|key| key.contains(".brigade-")).collect()
}

/// Closes are told to a mount after they have returned.
fn until_nothing_is_hidden(seen: &Seen) {
    let begun = clock::monotonic();
    while !hidden(seen).is_empty() || seen.uploads() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?} and {} uploads stay", hidden(seen), seen.uploads());
        std::thread::yield_now();
    }
}

fn open_files_outlive_their_names(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    for (size, seed) in [(5, 1), (20 * MIB, 2)] {
        fs::write(at("removed"), noise(size, seed)).unwrap();
        fs::write(at("replaced"), noise(size, seed + 10)).unwrap();
        fs::write(at("new"), "new").unwrap();
        let mut removed = File::open(at("removed")).unwrap();
        let mut replaced = File::open(at("replaced")).unwrap();
        let before = removed.metadata().unwrap();
        fs::remove_file(at("removed")).unwrap();
        fs::rename(at("new"), at("replaced")).unwrap();
        assert_eq!(seen.etag("removed"), None, "others see it gone at once");
        let after = removed.metadata().unwrap();
        assert_eq!((after.nlink(), after.len(), after.ino()), (0, size as u64, before.ino()));
        assert_eq!(replaced.metadata().unwrap().nlink(), 0);
        for (file, seed) in [(&mut removed, seed), (&mut replaced, seed + 10)] {
            let mut whole = Vec::new();
            file.read_to_end(&mut whole).unwrap();
            assert!(whole == noise(size, seed), "{size} bytes read otherwise");
        }
        assert_eq!(fs::read(at("replaced")).unwrap(), b"new");
        assert_eq!(errno(fs::metadata(at("removed"))), Errno::NOENT);
        drop((removed, replaced));
        until_nothing_is_hidden(&seen);
    }
    assert_eq!(seen.keys(), ["replaced"]);
    seen.mounted.unmount();
}

fn a_scratch_file_needs_no_name(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let path = seen.mounted.join("scratch");
    // The second is read from memory; of the third something has gone out and must be brought to a hidden key first.
    for size in [100, 20 * MIB, 30 * MIB] {
        let mut file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        file.write_all(&noise(size, 3)).unwrap();
        file.sync_all().unwrap();
        assert_eq!(file.metadata().unwrap().len(), size as u64);
        let mut whole = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut whole).unwrap();
        assert!(whole == noise(size, 3));
        assert!(seen.keys().iter().all(|key| key.contains(".brigade-unlinked-")), "{:?}", seen.keys());
        assert_eq!(fs::read_dir(seen.mounted.path()).unwrap().count(), 0);
        drop(file);
        until_nothing_is_hidden(&seen);
    }
    assert_eq!(seen.keys().len(), 0);
    seen.mounted.unmount();
}

#[test]
fn a_download_that_is_removed_goes_on_for_nothing() {
    let seen = Seen::new(&[]);
    let mut file = File::create(seen.mounted.join("download")).unwrap();
    file.write_all(&noise(20 * MIB, 1)).unwrap();
    fs::remove_file(seen.mounted.join("download")).unwrap();
    file.write_all(&noise(20 * MIB, 2)).unwrap();
    assert_eq!(file.metadata().unwrap().len(), 40 * MIB as u64);
    drop(file);
    assert_eq!((seen.keys().len(), seen.uploads()), (0, 0));
    seen.mounted.unmount();
}

#[test]
fn a_crash_leaves_what_is_open_without_a_name_out_of_sight() {
    let mut seen = Seen::new(&[]);
    fs::write(seen.mounted.join("file"), "contents").unwrap();
    let file = File::open(seen.mounted.join("file")).unwrap();
    fs::remove_file(seen.mounted.join("file")).unwrap();
    seen.mounted.crash();
    drop(file);
    assert_eq!(hidden(&seen).len(), 1);
    let seen = seen.mounted_again();
    assert_eq!(fs::read_dir(seen.mounted.path()).unwrap().count(), 0);
    assert_eq!(hidden(&seen).len(), 1, "another host may have it open: only what is older than a day is removed");
    seen.mounted.unmount();
}

fn renames_replace_or_refuse_as_asked(speech: Speech) {
    let seen = Seen::speaking(speech, &["--metadata-ttl", "60s"]);
    let at = |name: &str| seen.mounted.join(name);
    let exclusive = |from: &str, to: &str| {
        renameat_with(CWD, at(from), CWD, at(to), RenameFlags::NOREPLACE).map_err(std::io::Error::from)
    };
    for (size, seed) in [(0, 1), (5, 2), (9 * MIB, 3)] {
        fs::write(at("a"), noise(size, seed)).unwrap();
        fs::write(at("b"), "b").unwrap();
        assert_eq!(errno(exclusive("a", "b")), Errno::EXIST);
        assert!(fs::read_dir(seen.mounted.path()).unwrap().count() > 0);
        seen.put("theirs", b"theirs");
        assert_eq!(errno(exclusive("a", "theirs")), Errno::EXIST, "{size}: this mount has not seen it yet");
        exclusive("a", "c").unwrap();
        assert!(fs::read(at("c")).unwrap() == noise(size, seed));
        assert_eq!(errno(fs::metadata(at("a"))), Errno::NOENT);
        for name in ["b", "c", "theirs"] {
            fs::remove_file(at(name)).unwrap();
        }
        assert_eq!((seen.keys().len(), seen.uploads()), (0, 0));
    }
    fs::create_dir_all(at("d/e")).unwrap();
    fs::write(at("f"), "f").unwrap();
    let exchange = renameat_with(CWD, at("d"), CWD, at("f"), RenameFlags::EXCHANGE);
    assert_eq!(exchange.unwrap_err(), Errno::INVAL);
    fs::create_dir(at("empty")).unwrap();
    let rows = [
        ("d", "d/e/x", Some(Errno::INVAL), "into itself"),
        ("d/e", "d", Some(Errno::NOTEMPTY), "onto what it is in"),
        ("f", "d", Some(Errno::ISDIR), "a file onto a directory"),
        ("d", "f", Some(Errno::NOTDIR), "a directory onto a file"),
        ("empty", "d", Some(Errno::NOTEMPTY), "onto a full directory"),
        ("missing", "x", Some(Errno::NOENT), "nothing"),
        ("f/", "g", Some(Errno::NOTDIR), "a file with a slash"),
        ("f", "f", None, "onto itself"),
        ("d/", "empty/", None, "onto an empty directory, with slashes"),
        ("f", "g", None, "a file"),
    ];
    for (from, to, wanted, why) in rows {
        let renamed = fs::rename(at(from), at(to));
        assert_eq!(renamed.err().map(|error| Errno::from_io_error(&error).unwrap()), wanted, "{why}");
    }
    assert_eq!(shell(seen.mounted.path(), "find . | sort | tr '\\n' ' '"), ". ./empty ./empty/e ./g ");
    seen.mounted.unmount();
}

/// Device nodes: a name, and what it stands for.
const DEVICES: [(&str, FileType, u64); 2] =
    [("null", FileType::CharacterDevice, 0x103), ("nvme", FileType::BlockDevice, 0x1111_0370)];

fn nodes_and_links_are_there_the_next_day(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    let long = format!("{}/x", "y".repeat(4000));
    symlink(&long, at("long")).unwrap();
    symlink(OsStr::from_bytes(b"\xff\xfe nowhere"), at("odd")).unwrap();
    shell(seen.mounted.path(), "mkfifo -m 620 pipe && (echo through > pipe & cat pipe)");
    let socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    mknodat(CWD, at("plain"), FileType::RegularFile, Mode::RUSR, 0).unwrap();
    let root = rustix::process::geteuid().is_root();
    for (name, kind, device) in DEVICES {
        let made = mknodat(CWD, at(name), kind, Mode::RUSR, device);
        assert_eq!(made, if root { Ok(()) } else { Err(Errno::PERM) }, "{name}");
    }
    assert_eq!(mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0), Err(Errno::EXIST));
    assert_eq!(errno(symlink("x", at("long"))), Errno::EXIST);
    assert_eq!(errno(fs::hard_link(at("plain"), at("second"))), Errno::PERM);
    drop(socket);
    let seen = seen.remount();
    let at = |name: &str| seen.mounted.join(name);
    assert_eq!(fs::read_link(at("long")).unwrap().as_os_str(), &*long);
    assert_eq!(fs::read_link(at("odd")).unwrap().as_os_str().as_bytes(), b"\xff\xfe nowhere");
    let pipe = fs::symlink_metadata(at("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o7777 == 0o620);
    assert!(fs::symlink_metadata(at("socket")).unwrap().file_type().is_socket());
    assert!(fs::symlink_metadata(at("plain")).unwrap().is_file());
    for (name, kind, device) in DEVICES.into_iter().filter(|_| root) {
        let told = rustix::fs::lstat(at(name)).unwrap();
        assert_eq!((FileType::from_raw_mode(told.st_mode), told.st_rdev), (kind, device), "{name}");
        assert_eq!(errno(File::open(at(name))), Errno::ACCESS, "{name}: mounts are nodev");
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o640)).unwrap();
        fs::rename(at(name), at("moved")).unwrap();
        let told = rustix::fs::lstat(at("moved")).unwrap();
        assert_eq!((told.st_mode & 0o7777, told.st_rdev), (0o640, device), "{name}");
        fs::remove_file(at("moved")).unwrap();
    }
    fs::rename(at("pipe"), at("moved")).unwrap();
    fs::rename(at("long"), at("link")).unwrap();
    assert!(fs::symlink_metadata(at("moved")).unwrap().file_type().is_fifo());
    assert_eq!(fs::read_link(at("link")).unwrap().as_os_str(), &*long);
    shell(seen.mounted.path(), "rm moved link odd socket plain");
    assert!(seen.keys().is_empty());
    seen.mounted.unmount();
}

fn odd_names_are_kept_and_impossible_ones_refused(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    let at = |name: &str| seen.mounted.join(name);
    let longest = "n".repeat(255);
    let wide = "ü".repeat(127);
    let names =
        [&*longest, &wide, "a b", "日本語", "\u{1f600}", "-rf", "a+b&c=d?e#f%20", "...", "\n\t\u{7f}", "\\", "~"];
    for name in names {
        fs::write(at(name), name).unwrap();
    }
    fs::create_dir(at("ü d")).unwrap();
    fs::rename(at("日本語"), at("ü d/日本語")).unwrap();
    let seen = seen.remount();
    let at = |name: &str| seen.mounted.join(name);
    fs::rename(at("ü d/日本語"), at("日本語")).unwrap();
    fs::remove_dir(at("ü d")).unwrap();
    let listed: BTreeSet<String> = fs::read_dir(seen.mounted.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(listed, names.iter().map(|name| (*name).to_owned()).collect());
    for name in names {
        assert_eq!(fs::read_to_string(at(name)).unwrap(), name);
    }
    let too_long = "n".repeat(256);
    let rows = [
        (OsStr::new(&too_long), Errno::NAMETOOLONG),
        (OsStr::from_bytes(b"\xff"), Errno::ILSEQ),
        (OsStr::new(".brigade-unlinked-x"), Errno::INVAL),
        (OsStr::new("n/x"), Errno::NOENT),
        (OsStr::new("~/x"), Errno::NOTDIR),
        (OsStr::new("new/"), Errno::ISDIR),
    ];
    for (name, wanted) in rows {
        assert_eq!(errno(File::create(seen.mounted.path().join(name))), wanted, "{name:?}");
    }
    assert_eq!(errno(fs::metadata(at(&too_long))), Errno::NAMETOOLONG);
    assert_eq!(errno(fs::metadata(seen.mounted.path().join(OsStr::from_bytes(b"\xff")))), Errno::NOENT);
    assert_eq!(errno(fs::remove_dir(seen.mounted.path())), Errno::BUSY);
    seen.mounted.unmount();
}

#[test]
fn what_a_bucket_cannot_have_is_refused_as_programs_know_it() {
    let seen = Seen::new(&[]);
    let unnamed = rustix::fs::open(seen.mounted.path(), OFlags::TMPFILE | OFlags::RDWR, Mode::RUSR);
    assert_eq!(unnamed.unwrap_err(), Errno::OPNOTSUPP);
    fs::write(seen.mounted.join("a"), "a").unwrap();
    let linked = linkat(CWD, seen.mounted.join("a"), CWD, seen.mounted.join("b"), rustix::fs::AtFlags::empty());
    assert_eq!(linked, Err(Errno::PERM));
    shell(seen.mounted.path(), "test \"$(stat -c %h a .)\" = \"$(printf '1\\n1')\"");
    seen.mounted.unmount();
}

#[test]
fn a_directory_can_be_read_while_its_entries_come_and_go() {
    let seen = Seen::new(&["--metadata-ttl", "0"]);
    for number in 0..1500 {
        seen.put(&format!("d/{number:04}"), b"x");
    }
    let dir = seen.mounted.join("d");
    let mut names = BTreeSet::new();
    for (at, entry) in fs::read_dir(&dir).unwrap().enumerate() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.insert(name.clone()), "{name} is shown twice");
        match at % 4 {
            0 => fs::remove_file(dir.join(&name)).unwrap(),
            1 => fs::write(dir.join(format!("new{at}")), "x").unwrap(),
            2 => fs::rename(dir.join(&name), dir.join(format!("moved{at}"))).unwrap(),
            _ => {}
        }
    }
    let old = names.iter().filter(|name| name.parse::<u32>().is_ok()).count();
    assert_eq!(old, 1500, "what nobody took away is not skipped");
    let bucket = fs::read_dir(&dir).unwrap().count();
    assert!(bucket >= 1500 - 1500 / 4, "{bucket}");
    assert_eq!(shell(&dir, "ls -f | sort | uniq -d"), "");
    shell(seen.mounted.path(), "rm -r d");
    assert_eq!(seen.keys(), [""; 0]);
    seen.mounted.unmount();
}

#[test]
fn a_place_in_a_directory_can_be_gone_back_to() {
    let seen = Seen::new(&[]);
    for number in 0..1200 {
        seen.put(&format!("d/{number:04}"), b"x");
    }
    let script = "use strict; opendir(my $d, 'd') or die; my (@names, @places);\
        while (1) { push @places, telldir $d; my $n = readdir $d; last unless defined $n; push @names, $n }\
        @names == 1202 or die scalar @names;\
        for my $at (1100, 3, 0, 700, 1201) { seekdir $d, $places[$at]; readdir($d) eq $names[$at] or die $at }\
        rewinddir $d; readdir($d) eq $names[0] or die; unlink 'd/0007'; open(my $f, '>', 'd/zzzz'); close $f;\
        rewinddir $d; my %again = map { $_ => 1 } readdir $d;\
        !$again{'0007'} && $again{'zzzz'} && keys(%again) == 1202 or die;";
    shell(seen.mounted.path(), &format!("perl -e \"$(cat <<'EOF'\n{script}\nEOF\n)\""));
    seen.mounted.unmount();
}

#[test]
fn directories_change_their_times_with_their_entries() {
    let seen = Seen::new(&[]);
    let dir = seen.mounted.join("d");
    fs::create_dir(&dir).unwrap();
    fs::create_dir(seen.mounted.join("other")).unwrap();
    let changes: &[(&str, &str)] = &[
        ("create", ": > d/f"),
        ("mkdir", "mkdir d/e"),
        ("rmdir", "rmdir d/e"),
        ("symlink", "ln -s f d/l"),
        ("mkfifo", "mkfifo d/p"),
        ("rename within", "mv d/f d/g"),
        ("rename away", "mv d/g other/g"),
        ("rename hither", "mv other/g d/f"),
        ("unlink", "rm d/f"),
    ];
    for (what, command) in changes {
        let old = clock::now() - Duration::from_secs(1000);
        File::open(&dir).unwrap().set_modified(old).unwrap();
        let before = fs::metadata(&dir).unwrap();
        shell(seen.mounted.path(), command);
        let after = fs::metadata(&dir).unwrap();
        assert!(after.modified().unwrap() > before.modified().unwrap(), "{what} does not change it");
        assert!((after.ctime(), after.ctime_nsec()) >= (before.ctime(), before.ctime_nsec()), "{what}");
    }
    seen.mounted.unmount();
}

#[test]
fn removing_and_renaming_cost_what_they_must() {
    let seen = Seen::new(&[]);
    for name in ["a", "b"] {
        fs::write(seen.mounted.join(name), "x").unwrap();
    }
    shell(seen.mounted.path(), "ls -l > /dev/null");
    let spent = |command: &str| {
        let before = seen.requests();
        shell(seen.mounted.path(), command);
        seen.requests() - before
    };
    let rows = [("mv a c", 3), ("mv -f c b", 3), ("mv -T b d", 3), ("rm d", 2)];
    for (command, most) in rows {
        let requests = spent(command);
        assert!(requests <= most, "{command}: {requests} requests");
    }
    seen.mounted.unmount();
}

#[test]
fn two_hosts_that_want_the_same_new_name_do_not_both_get_it() {
    let backend = Backend::start();
    let mount = || MountedBucket::mount(&Speech::S3.source(BUCKET), &[], |command| backend.reach(command));
    let (one, other) = (mount(), mount());
    let ours = File::create_new(one.join("lock")).unwrap();
    let theirs = File::create_new(other.join("lock")).unwrap();
    ours.write_all_at(b"ours", 0).unwrap();
    theirs.write_all_at(b"theirs", 0).unwrap();
    ours.sync_all().unwrap();
    assert_eq!(errno(theirs.sync_all()), Errno::EXIST);
    drop((ours, theirs));
    assert_eq!(fs::read(one.join("lock")).unwrap(), b"ours");
    one.unmount();
    other.unmount();
}

#[test]
fn git_works_in_a_mount() {
    let seen = Seen::new(&[]);
    let git = "export HOME=/nonexistent GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example GIT_COMMITTER_NAME=a \
        GIT_COMMITTER_EMAIL=a@example GIT_CONFIG_NOSYSTEM=1";
    let run = |commands: &str| shell(seen.mounted.path(), &format!("{git}; {commands}"));
    run(
        "git init -q -b main repo && cd repo && mkdir -p a/b && echo one > a/b/file && git add . && git commit -q -m one",
    );
    run(
        "cd repo && git mv a/b/file moved && echo two >> moved && git commit -q -a -m two && git checkout -q -b side HEAD~1",
    );
    run("cd repo && test -f a/b/file && git checkout -q main && git status --porcelain");
    assert_eq!(run("cd repo && git fsck --no-progress && git log --format=%s && git status --porcelain"), "two\none\n");
    seen.mounted.unmount();
}
