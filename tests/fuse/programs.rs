//! What people run in a directory: cp, diff, rsync, mv, tar, find, rm. Each must work, and say nothing is wrong.

use crate::mounted::MountedBucket;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// A tree with what trees have: depth, empty files and directories, modes, links, spaces, sizes around a part.
pub fn tree(root: &Path) {
    fs::create_dir_all(root.join("deep/er/still")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("a name with spaces, and ümläuts"), "text\n").unwrap();
    fs::write(root.join("deep/er/still/script"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("deep/er/still/script"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("still/script", root.join("deep/er/link")).unwrap();
    for (size, name) in [(100_000, "medium"), (9 << 20, "large")] {
        let bytes: Vec<u8> = (0..size).map(|at: u32| at.wrapping_mul(2_654_435_761).to_le_bytes()[3]).collect();
        fs::write(root.join(name), bytes).unwrap();
    }
    for number in 0..50 {
        fs::write(root.join(format!("deep/{number}")), number.to_string()).unwrap();
    }
}

/// Runs a shell command in `dir` and answers what it printed.
#[track_caller]
pub fn shell(dir: &Path, command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).current_dir(dir).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{command}: {} {}{said}", output.status, text(&output.stdout));
    text(&output.stdout)
}

/// A directory with a tree `tree` in it, and a mount at `mnt` beside it.
fn beside() -> (TempDir, MountedBucket) {
    let data = TempDir::new().unwrap();
    fs::create_dir(data.path().join("tree")).unwrap();
    tree(&data.path().join("tree"));
    let mounted = MountedBucket::local(&data.path().join("data"), &[]);
    symlink(mounted.path(), data.path().join("mnt")).unwrap();
    (data, mounted)
}

#[test]
fn cp_and_diff_agree_also_after_a_remount() {
    let (home, mounted) = beside();
    shell(home.path(), "cp -r tree mnt/plain && cp -a tree mnt/archive");
    assert_eq!(shell(home.path(), "diff -r tree mnt/plain && diff -r tree mnt/archive"), "");
    mounted.unmount();
    let mounted = MountedBucket::local(&home.path().join("data"), &[]);
    let again = mounted.path().display();
    assert_eq!(shell(home.path(), &format!("diff -r tree {again}/plain && diff -r tree {again}/archive")), "");
    let listing = "find . -printf '%P %y %m %s %T@ %l\\n' | grep -v ' d ' | sort";
    let original = shell(&home.path().join("tree"), listing);
    assert_eq!(shell(&mounted.join("archive"), listing), original, "cp -a keeps modes, times and links");
    mounted.unmount();
}

#[test]
fn a_second_rsync_transfers_nothing() {
    let (home, mounted) = beside();
    shell(home.path(), "rsync -a tree/ mnt/tree/");
    assert_eq!(shell(home.path(), "rsync -a --itemize-changes tree/ mnt/tree/"), "");
    assert_eq!(shell(home.path(), "rsync -a --checksum --itemize-changes tree/ mnt/tree/"), "");
    mounted.unmount();
    let mounted = MountedBucket::local(&home.path().join("data"), &[]);
    let again = mounted.path().display();
    assert_eq!(shell(home.path(), &format!("rsync -a --itemize-changes tree/ {again}/tree/")), "", "nor another day");
    shell(
        home.path(),
        &format!("rm -r tree/deep && rsync -a --delete tree/ {again}/tree/ && diff -r tree {again}/tree"),
    );
    mounted.unmount();
}

#[test]
fn the_usual_programs_work() {
    let (home, mounted) = beside();
    shell(home.path(), "cp -r tree mnt/tree");
    shell(home.path(), "mv mnt/tree mnt/moved && diff -r tree mnt/moved");
    shell(home.path(), "mv mnt/moved/medium out && cmp out tree/medium && mv out mnt/moved/medium");
    shell(home.path(), "tar -C tree -cf mnt/tree.tar . && mkdir mnt/untarred && tar -C mnt/untarred -xf mnt/tree.tar");
    assert_eq!(shell(home.path(), "diff -r tree mnt/untarred"), "");
    assert_eq!(shell(home.path(), "cat mnt/moved/deep/7"), "7");
    let count = "find -L mnt/moved -type f | wc -l";
    assert_eq!(shell(home.path(), count), shell(home.path(), "find -L tree -type f | wc -l"));
    assert_eq!(shell(home.path(), "df -P mnt | tail -n 1 | wc -l"), "1\n");
    shell(home.path(), "rm -r mnt/moved mnt/untarred mnt/tree.tar");
    assert_eq!(shell(home.path(), "ls -A mnt"), "");
    mounted.unmount();
}
