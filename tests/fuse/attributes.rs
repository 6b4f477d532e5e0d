//! Attributes, extended attributes, permissions and locks in a mount, as real programs see them, also in another mount
//! of the same bucket and in every dialect.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::files::in_every_dialect;
use crate::mounted::MountedBucket;
use crate::programs::shell;
use crate::speech::Speech;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::UTIME_NOW;
use rustix::fs::UTIME_OMIT;
use rustix::fs::XattrFlags;
use rustix::fs::getxattr;
use rustix::fs::listxattr;
use rustix::fs::lsetxattr;
use rustix::fs::removexattr;
use rustix::fs::setxattr;
use rustix::fs::utimensat;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use tempfile::TempDir;

in_every_dialect! {
    times_are_exact_also_the_next_day,
    extended_attributes_are_there_the_next_day,
    looking_again_costs_listings_only,
}

fn mount(backend: &Backend, speech: Speech, options: &[&str]) -> MountedBucket {
    let options: Vec<&str> = speech.options().iter().chain(options).copied().collect();
    MountedBucket::mount(&speech.source(BUCKET), &options, |command| backend.reach(command))
}

fn times(path: &Path) -> [(i64, i64); 3] {
    let told = fs::symlink_metadata(path).unwrap();
    [(told.atime(), told.atime_nsec()), (told.mtime(), told.mtime_nsec()), (told.ctime(), told.ctime_nsec())]
}

fn set_times(path: &Path, atime: (i64, i64), mtime: (i64, i64)) {
    let time = |(tv_sec, tv_nsec)| Timespec { tv_sec, tv_nsec };
    let times = Timestamps { last_access: time(atime), last_modification: time(mtime) };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn times_are_exact_also_the_next_day(speech: Speech) {
    let backend = Backend::start();
    let mounted = mount(&backend, speech, &[]);
    type Row = (&'static str, (i64, i64), (i64, i64));
    let rows: &[Row] = &[
        ("now", (1_700_000_000, 999_999_999), (1_700_000_001, 1)),
        ("before-1970", (-1, 999_999_999), (-2, 500_000_000)),
        ("beginning", (0, 0), (-86_400, 0)),
        ("after-2038", (4_294_967_296, 5), (253_402_300_799, 6)),
        ("dir", (7, 8), (9, 10)),
        ("link", (11, 12), (13, 14)),
    ];
    fs::create_dir(mounted.join("dir")).unwrap();
    symlink("nowhere", mounted.join("link")).unwrap();
    for (name, atime, mtime) in rows {
        if !mounted.join(name).is_symlink() && !mounted.join(name).exists() {
            fs::write(mounted.join(name), "x").unwrap();
        }
        set_times(&mounted.join(name), *atime, *mtime);
        assert_eq!(times(&mounted.join(name))[..2], [*atime, *mtime], "{name}");
    }
    let omit = (0, UTIME_OMIT);
    let [_, mtime, before] = times(&mounted.join("now"));
    set_times(&mounted.join("now"), (5, 6), omit);
    assert_eq!(times(&mounted.join("now"))[..2], [(5, 6), mtime], "one is left as it is");
    set_times(&mounted.join("now"), omit, (0, UTIME_NOW));
    let [atime, mtime, after] = times(&mounted.join("now"));
    assert_eq!((atime, mtime > before, after > before), ((5, 6), true, true), "and the other is now");
    let told: Vec<_> = rows.iter().map(|(name, ..)| times(&mounted.join(name))).collect();
    mounted.unmount();
    let mounted = mount(&backend, speech, &[]);
    for ((name, ..), told) in rows.iter().zip(told) {
        assert_eq!(times(&mounted.join(name)), told, "{name}");
    }
    mounted.unmount();
}

fn value(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 4096];
    let length = getxattr(path, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

fn names(path: &Path) -> String {
    let mut names = vec![0; 4096];
    let length = listxattr(path, &mut names[..]).unwrap();
    String::from_utf8(names[..length].to_vec()).unwrap()
}

fn extended_attributes_are_there_the_next_day(speech: Speech) {
    let backend = Backend::start();
    let mounted = mount(&backend, speech, &[]);
    let (file, dir, link) = (mounted.join("file"), mounted.join("dir"), mounted.join("link"));
    fs::write(&file, "x").unwrap();
    fs::create_dir(&dir).unwrap();
    symlink("file", &link).unwrap();
    for path in [&file, &dir] {
        setxattr(path, "user.a", b"\0\xff", XattrFlags::CREATE).unwrap();
        setxattr(path, "user.ümläut", b"", XattrFlags::empty()).unwrap();
        setxattr(path, "user.gone", b"x", XattrFlags::empty()).unwrap();
        removexattr(path, "user.gone").unwrap();
        assert_eq!(setxattr(path, "user.a", b"", XattrFlags::CREATE).unwrap_err(), Errno::EXIST);
        assert_eq!(setxattr(path, "user.b", b"", XattrFlags::REPLACE).unwrap_err(), Errno::NODATA);
        assert_eq!(removexattr(path, "user.b").unwrap_err(), Errno::NODATA);
        assert_eq!(setxattr(path, "user.big", &[7; 4000], XattrFlags::empty()).unwrap_err(), Errno::NOSPC);
        assert_eq!(setxattr(path, "user.brigade.key", b"", XattrFlags::empty()).unwrap_err(), Errno::PERM);
        assert_eq!(getxattr(path, "user.a", &mut [0; 1][..]).unwrap_err(), Errno::RANGE);
        assert_eq!(listxattr(path, &mut [0; 1][..]).unwrap_err(), Errno::RANGE);
        assert_eq!(value(path, "security.capability").unwrap_err(), Errno::NODATA);
        for name in ["security.selinux", "trusted.x", "system.posix_acl_access"] {
            assert_eq!(value(path, name).unwrap_err(), Errno::OPNOTSUPP, "{name}");
        }
    }
    assert_eq!(lsetxattr(&link, "user.a", b"", XattrFlags::empty()).unwrap_err(), Errno::PERM);
    mounted.unmount();
    let mounted = mount(&backend, speech, &[]);
    for name in ["file", "dir"] {
        let path = mounted.join(name);
        assert_eq!(names(&path), "user.a\0user.ümläut\0", "{name}");
        assert_eq!(
            (value(&path, "user.a"), value(&path, "user.ümläut")),
            (Ok(b"\0\xff".to_vec()), Ok(Vec::new())),
            "{name}"
        );
    }
    assert_eq!(value(&mounted.join("file"), "user.brigade.key"), Ok(b"file".to_vec()));
    assert!(value(&mounted.join("file"), "user.brigade.etag").unwrap().len() >= 32);
    mounted.unmount();
}

fn looking_again_costs_listings_only(speech: Speech) {
    let (backend, home) = (Backend::start(), TempDir::new().unwrap());
    fs::create_dir(home.path().join("tree")).unwrap();
    for number in 0..200 {
        let path = home.path().join(format!("tree/{number}"));
        fs::write(&path, number.to_string()).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600 + number % 8)).unwrap();
    }
    let mounted = mount(&backend, speech, &[]);
    shell(home.path(), &format!("rsync -a tree/ {}/tree/", mounted.path().display()));
    mounted.unmount();
    let mounted = mount(&backend, speech, &["--metadata-ttl", "200ms"]);
    let mnt = mounted.path().display();
    let looks = [
        format!("ls -l {mnt}/tree"),
        format!("find {mnt}/tree -mindepth 1 -printf '%f %m %T@ %s\\n' | sort"),
        format!("rsync -a --itemize-changes tree/ {mnt}/tree/"),
    ];
    let counts =
        || ["HeadObject", "ListObjects", "ListObjectsV2", "PutObject", "CopyObject"].map(|op| backend.requests(op));
    let first = looks.each_ref().map(|look| shell(home.path(), look));
    assert_eq!(first[2], "", "nothing was left to be copied");
    let [heads, v1, v2, puts, copies] = counts();
    let mut again = [heads, v1, v2, puts, copies];
    // What is believed without asking has to run out first.
    let mut rounds = 0;
    while again[1] + again[2] < v1 + v2 + 3 {
        assert!(looks.each_ref().map(|look| shell(home.path(), look)) == first, "something else is seen");
        (again, rounds) = (counts(), rounds + 1);
    }
    // The name of the directory itself is asked for, as an object and as a directory.
    assert!(again[0] - heads <= rounds * looks.len() as u64, "{speech:?}: {again:?} after {heads} in {rounds} rounds");
    assert_eq!((again[3] - puts, again[4] - copies), (0, 0), "{speech:?}: {again:?}");
    mounted.unmount();
}

#[test]
fn others_write_no_file_that_runs_as_its_owner() {
    let backend = Backend::start();
    let root = rustix::process::geteuid().is_root();
    let options: &[&str] = if root { &["--allow-other"] } else { &[] };
    let mounted = mount(&backend, Speech::S3, options);
    // The mount lies below a directory of this user's own, where others would not get to it: they start inside.
    let other = if root { "setpriv --reuid=65534 --regid=65534 --clear-groups " } else { "" };
    for (write, name) in [("echo x >> ", "append"), ("echo x > ", "rewrite"), (": > ", "empty")] {
        let path = mounted.join(name);
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o6777)).unwrap();
        shell(mounted.path(), &format!("{other} sh -c '{write}{name}'"));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o777, "{write}");
    }
    if root {
        let path = mounted.join("given");
        fs::write(&path, "x").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o6755)).unwrap();
        std::os::unix::fs::chown(&path, Some(65534), Some(65534)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o755, "a new owner, and not by accident");
        shell(mounted.path(), "setpriv --reuid=1 --regid=1 --clear-groups sh -c '! chmod 777 given 2>/dev/null'");
        shell(mounted.path(), "setpriv --reuid=65534 --regid=65534 --clear-groups chmod 700 given");
        shell(mounted.path(), "setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '! chown 1 given 2>/dev/null'");
        shell(mounted.path(), "mkdir -m 1777 sticky && echo x > sticky/f && chmod 666 sticky/f");
        shell(mounted.path(), "setpriv --reuid=1 --regid=1 --clear-groups sh -c '! rm -f sticky/f 2>/dev/null'");
    }
    mounted.unmount();
}

/// A program that locks `file` and then prints what is in `told`; it says first that it will.
fn locker(dir: &Path, call: &str, before: &str) -> (Child, BufReader<std::process::ChildStdout>) {
    locker_that_says("asking\n", dir, call, before)
}

/// The same, that says something else first.
fn locker_that_says(
    first: &str,
    dir: &Path,
    call: &str,
    before: &str,
) -> (Child, BufReader<std::process::ChildStdout>) {
    let program = format!(
        "import fcntl, signal\nfile = open('file', 'r+')\n{before}\nprint('asking', flush=True)\n\
         try:\n    fcntl.{call}(file, fcntl.LOCK_EX)\n    print(open('told').read(), flush=True)\n\
         except InterruptedError:\n    print('interrupted', flush=True)\n"
    );
    let mut command = Command::new("python3");
    let mut child = command.args(["-c", &program]).current_dir(dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, first);
    (child, said)
}

fn end((mut child, mut said): (Child, BufReader<std::process::ChildStdout>)) -> String {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(child.wait().unwrap().success());
    line
}

#[test]
fn locks_hold_between_processes_and_waiting_for_them_can_be_interrupted() {
    use rustix::fs::FlockOperation;
    type Lock = fn(&File, FlockOperation) -> rustix::io::Result<()>;
    let backend = Backend::start();
    let mounted = mount(&backend, Speech::S3, &[]);
    fs::write(mounted.join("file"), "x").unwrap();
    let kinds: [(&str, Lock); 2] = [
        ("flock", |file, operation| rustix::fs::flock(file, operation)),
        ("lockf", |file, operation| rustix::fs::fcntl_lock(file, operation)),
    ];
    let alarm = "def stop(*_): raise InterruptedError\nsignal.signal(signal.SIGALRM, stop)\nsignal.setitimer(signal.ITIMER_REAL, 0.2)";
    for (call, lock) in kinds {
        let file = File::options().read(true).write(true).open(mounted.join("file")).unwrap();
        lock(&file, FlockOperation::LockExclusive).unwrap();
        fs::write(mounted.join("told"), "too early").unwrap();
        assert_eq!(end(locker(mounted.path(), call, alarm)), "interrupted\n", "{call}");
        let waiting = locker(mounted.path(), call, "");
        fs::write(mounted.join("told"), "in turn").unwrap();
        lock(&file, FlockOperation::Unlock).unwrap();
        assert_eq!(end(waiting), "in turn\n", "{call}");
        lock(&file, FlockOperation::NonBlockingLockExclusive).unwrap();
        lock(&file, FlockOperation::Unlock).unwrap();
        // Whoever has one loses it by ending, however it ends.
        let held = format!("fcntl.{call}(file, fcntl.LOCK_EX)\nprint('held', flush=True)\nsignal.pause()");
        let (mut holder, _said) = locker_that_says("held\n", mounted.path(), call, &held);
        assert_eq!(lock(&file, FlockOperation::NonBlockingLockExclusive), Err(Errno::AGAIN), "{call}");
        holder.kill().unwrap();
        holder.wait().unwrap();
        lock(&file, FlockOperation::LockExclusive).unwrap();
    }
    mounted.unmount();
}
