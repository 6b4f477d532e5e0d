//! `mount` and `umount` as commands: going into the background, stale and busy mounts, signals, mount(8)'s ways.

use crate::mounted::MountedBucket;
use crate::mounted::need_fuse;
use crate::program::Ran;
use crate::program::brigade;
use crate::program::run;
use brigade::mount::mountpoint;
use brigade::mount::mountpoint::Refused;
use rustix::process::Pid;
use rustix::process::Signal;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use tempfile::TempDir;

/// A directory with `mnt` to mount on, detached with the test.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        need_fuse();
        let home = TempDir::new().unwrap();
        fs::create_dir(home.path().join("mnt")).unwrap();
        Self(home)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn mnt(&self) -> PathBuf {
        self.path().join("mnt")
    }

    fn run(&self, arguments: &str) -> Ran {
        run(brigade(self.path()).current_dir(self.path()).args(arguments.split(' ')))
    }

    #[track_caller]
    fn succeeds(&self, arguments: &str) -> String {
        let ran = self.run(arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments}: {ran:?}");
        ran.stdout
    }

    fn is_mounted(&self) -> bool {
        mountpoint::find(&self.mnt()).is_ok()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Usually unmounted by then.
        let _ = mountpoint::detach(&self.mnt());
    }
}

fn signal(mounted: &MountedBucket, signal: Signal) {
    let pid = Pid::from_raw(mounted.pid().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

#[test]
fn a_mount_goes_into_the_background_and_comes_back_by_umount() {
    let home = Home::new();
    let told = home.succeeds("mount local:data mnt --log-file log");
    assert_eq!(told, format!("mounted local:{} on mnt\n", home.path().join("data").display()));
    fs::write(home.mnt().join("file"), "kept").unwrap();
    assert_eq!(home.succeeds("umount mnt"), "");
    assert!(!home.is_mounted());
    assert!(!home.mnt().join("file").exists());
    let log = fs::read_to_string(home.path().join("log")).unwrap();
    assert!(log.contains("mounted") && log.contains("unmounted"), "{log}");

    home.succeeds("mount local:data mnt -o ro");
    assert_eq!(fs::read_to_string(home.mnt().join("file")).unwrap(), "kept", "the directory was free again at once");
    let refused = fs::write(home.mnt().join("other"), "").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    home.succeeds("umount mnt");
}

#[test]
fn a_mount_in_the_background_holds_nothing_of_who_started_it() {
    let home = Home::new();
    let mount = format!("exec 9>lock; flock -n 9; exec {} mount local:data mnt", env!("CARGO_BIN_EXE_brigade"));
    let shell = |script: &str| run(std::process::Command::new("sh").args(["-ec", script]).current_dir(home.path()));
    assert_eq!(shell(&mount).status, 0);
    assert_eq!(shell("flock -n lock true").status, 0, "the lock went with the command that was given it");
    home.succeeds("umount mnt");
}

#[test]
fn a_directory_is_mounted_once_and_data_is_used_once() {
    let home = Home::new();
    home.succeeds("mount local:data mnt");
    let source = format!("local:{}", home.path().join("data").display());
    home.run("mount local:other mnt").refused(1, &["mnt is already mounted", &source, "`brigade umount mnt`"]);
    fs::create_dir(home.path().join("mnt2")).unwrap();
    home.run("mount local:data mnt2").refused(1, &[home.path().join("data").to_str().unwrap(), "in use"]);
    home.succeeds("umount mnt");
}

#[test]
fn a_stale_mount_is_recovered_by_mount_and_by_umount() {
    let data = TempDir::new().unwrap();
    let mut mounted = MountedBucket::local(data.path(), &[]);
    fs::write(mounted.join("file"), "kept").unwrap();
    mounted.crash();
    assert!(fs::read_dir(mounted.path()).is_err(), "it is stale");
    let home = mounted.path().parent().unwrap();
    let source = format!("local:{}", data.path().display());
    let ran = run(brigade(home).args(["mount", "--log-file"]).arg(home.join("log2")).arg(&source).arg(mounted.path()));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert_eq!(fs::read_to_string(mounted.join("file")).unwrap(), "kept");
    let log = fs::read_to_string(home.join("log2")).unwrap();
    assert!(log.contains("stale"), "{log}");
    assert_eq!(mounted.try_unmount(&[]).status, 0);

    let mut mounted = MountedBucket::local(data.path(), &[]);
    mounted.crash();
    let ran = mounted.try_unmount(&[]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("stale"), "{ran:?}");
    mounted.try_unmount(&[]).refused(1, &["is not mounted"]);
}

#[test]
fn a_busy_mount_stays_and_its_holders_are_named() {
    let data = TempDir::new().unwrap();
    let mounted = MountedBucket::local(data.path(), &[]);
    fs::write(mounted.join("file"), "text").unwrap();
    let held = fs::File::open(mounted.join("file")).unwrap();
    let us = format!("(pid {}: {})", std::process::id(), mounted.join("file").display());
    for options in [&[][..], &["--force"]] {
        mounted.try_unmount(options).refused(1, &["it is in use by", &us, "it stays mounted"]);
        assert_eq!(fs::read_to_string(mounted.join("file")).unwrap(), "text");
    }
    drop(held);
    mounted.unmount();
}

#[test]
fn plain_umount_ends_the_process_clean() {
    let data = TempDir::new().unwrap();
    let mut mounted = MountedBucket::local(data.path(), &[]);
    fs::write(mounted.join("file"), "text").unwrap();
    // A child that another test has just forked holds the file until it begins its own program.
    while let Err(why) = mountpoint::unmount(mounted.path()) {
        assert!(matches!(why, Refused::Busy), "{why:?}");
        std::thread::yield_now();
    }
    assert!(mounted.wait().success(), "{}", mounted.log());
    let mounted = MountedBucket::local(data.path(), &[]);
    assert_eq!(fs::read_to_string(mounted.join("file")).unwrap(), "text");
    mounted.unmount();
}

#[test]
fn a_signal_unmounts_and_ends_clean() {
    for kind in [Signal::TERM, Signal::INT, Signal::HUP] {
        let data = TempDir::new().unwrap();
        let mut mounted = MountedBucket::local(data.path(), &[]);
        fs::write(mounted.join("file"), "text").unwrap();
        signal(&mounted, kind);
        assert!(mounted.wait().success(), "{}", mounted.log());
        assert!(mountpoint::find(mounted.path()).is_err(), "it is unmounted");
    }
}

#[test]
fn a_signal_lets_a_file_that_is_being_written_be_finished() {
    let data = TempDir::new().unwrap();
    let mut mounted = MountedBucket::local(data.path(), &[]);
    let path = mounted.path().to_owned();
    let mut file = fs::File::create(mounted.join("file")).unwrap();
    file.write_all(b"begun, ").unwrap();
    signal(&mounted, Signal::TERM);
    // Out of the tree at once, while the open file works on.
    while mountpoint::find(&path).is_ok() {
        std::thread::yield_now();
    }
    file.write_all(b"and finished").unwrap();
    rustix::fs::fsync(&file).unwrap();
    drop(file);
    assert!(mounted.wait().success(), "{}", mounted.log());
    let mounted = MountedBucket::local(data.path(), &[]);
    assert_eq!(fs::read_to_string(mounted.join("file")).unwrap(), "begun, and finished");
    mounted.unmount();
}

#[test]
fn a_second_signal_gives_up_and_says_so() {
    let data = TempDir::new().unwrap();
    let mut mounted = MountedBucket::local(data.path(), &[]);
    fs::write(mounted.join("file"), "old").unwrap();
    let path = mounted.path().to_owned();
    let mut file = fs::File::create(mounted.join("file")).unwrap();
    file.write_all(b"new").unwrap();
    signal(&mounted, Signal::TERM);
    while mountpoint::find(&path).is_ok() {
        std::thread::yield_now();
    }
    signal(&mounted, Signal::TERM);
    assert_eq!(mounted.wait().code(), Some(1), "{}", mounted.log());
    drop(file);
    let mounted = MountedBucket::local(data.path(), &[]);
    assert_eq!(fs::read_to_string(mounted.join("file")).unwrap(), "old", "what was given up has changed nothing");
    mounted.unmount();
}

#[test]
fn it_serves_as_a_helper_of_mount() {
    let home = Home::new();
    let source = format!("local:{}", home.path().join("data").display());
    let mut command = brigade(home.path());
    command.arg0("/sbin/mount.brigade").arg(&source).arg(home.mnt()).args(["-o", "rw,_netdev,file_mode=0600", "-n"]);
    let ran = run(&mut command);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""));
    assert!(home.is_mounted());
    home.succeeds("umount mnt");
}
