//! The same day's work in each dialect: large files, trees, renames, removals, and what another mount sees of them.

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::files::in_every_dialect;
use crate::files::noise;
use crate::mounted::MountedBucket;
use crate::programs::shell;
use crate::programs::tree;
use crate::speech::Speech;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

const MIB: usize = 1 << 20;

in_every_dialect! {
    a_days_work_is_there_the_next_day,
    it_is_with_other_checksums_too,
    another_dialect_sees_the_same_files,
    attributes_are_asked_for_and_kept,
}

fn mount(backend: &Backend, speech: Speech, options: &[&str]) -> MountedBucket {
    let options: Vec<&str> = speech.options().iter().chain(options).copied().collect();
    MountedBucket::mount(&speech.source(BUCKET), &options, |command| backend.reach(command))
}

fn a_days_work_is_there_the_next_day(speech: Speech) {
    work(speech, &[]);
}

fn it_is_with_other_checksums_too(speech: Speech) {
    work(speech, &["--checksum", "md5"]);
    if speech == Speech::WosCurrent || speech == Speech::S3 {
        work(speech, &["--checksum", "sha256"]);
    }
    if speech == Speech::S3 {
        work(speech, &["--checksum", "crc32c"]);
        work(speech, &["--checksum", "none"]);
    }
}

fn work(speech: Speech, options: &[&str]) {
    let (backend, home) = (Backend::start(), TempDir::new().unwrap());
    fs::create_dir(home.path().join("tree")).unwrap();
    tree(&home.path().join("tree"));
    let mounted = mount(&backend, speech, options);
    symlink(mounted.path(), home.path().join("mnt")).unwrap();

    let large = noise(25 * MIB + 3, 1);
    fs::write(mounted.join("large"), &large).unwrap();
    let mut appended = File::options().append(true).open(mounted.join("large")).unwrap();
    appended.write_all(b"and more").unwrap();
    drop(appended);
    shell(home.path(), "rsync -a tree/ mnt/tree/ && rsync -a tree/ mnt/gone/");
    shell(home.path(), "mv mnt/tree mnt/moved && mv mnt/moved/medium mnt/moved/deep/renamed && rm -r mnt/gone");
    shell(home.path(), "mv mnt/moved/deep/renamed mnt/moved/medium");
    assert!(fs::read(mounted.join("large")).unwrap() == [&large[..], b"and more"].concat());
    mounted.unmount();

    let mounted = mount(&backend, speech, options);
    fs::remove_file(home.path().join("mnt")).unwrap();
    symlink(mounted.path(), home.path().join("mnt")).unwrap();
    assert_eq!(shell(home.path(), "ls -A mnt"), "large\nmoved\n", "and nothing else, no scratch object either");
    assert_eq!(shell(home.path(), "diff -r tree mnt/moved"), "");
    // Directories in which something came and went have another time since.
    let others = shell(home.path(), "rsync -a --omit-dir-times --checksum --itemize-changes tree/ mnt/moved/");
    assert_eq!(others, "", "attributes too");
    assert!(fs::read(mounted.join("large")).unwrap() == [&large[..], b"and more"].concat());
    shell(home.path(), "mv mnt/large mnt/still-large && rm -r mnt/moved mnt/still-large");
    assert_eq!(shell(home.path(), "ls -A mnt"), "");
    mounted.unmount();
}

fn another_dialect_sees_the_same_files(speech: Speech) {
    let backend = Backend::start();
    let mounted = mount(&backend, speech, &[]);
    fs::create_dir(mounted.join("dir")).unwrap();
    fs::write(mounted.join("dir/a name with spaces, and ümläuts + more"), "text").unwrap();
    fs::write(mounted.join("large"), noise(20 * MIB, 2)).unwrap();
    mounted.unmount();
    for other in Speech::ALL {
        let mounted = mount(&backend, other, &["--read-only"]);
        assert_eq!(
            fs::read_to_string(mounted.join("dir/a name with spaces, and ümläuts + more")).unwrap(),
            "text",
            "{other:?}"
        );
        assert!(fs::read(mounted.join("large")).unwrap() == noise(20 * MIB, 2), "{other:?}");
        mounted.unmount();
    }
}

fn attributes_are_asked_for_and_kept(speech: Speech) {
    let (backend, home) = (Backend::start(), TempDir::new().unwrap());
    let mounted = mount(&backend, speech, &[]);
    symlink(mounted.path(), home.path().join("mnt")).unwrap();
    shell(home.path(), "for i in $(seq 60); do echo $i > mnt/$i; chmod 6$((i % 8))0 mnt/$i; done; ln -s 7 mnt/link");
    // By attributes, not by what a listing alone says: that does not tell links from files everywhere.
    let listing = "find mnt/ -mindepth 1 -printf '%P %m %s %T@ %l\\n' | sort";
    let before = shell(home.path(), listing);
    mounted.unmount();
    let mounted = mount(&backend, speech, &[]);
    fs::remove_file(home.path().join("mnt")).unwrap();
    symlink(mounted.path(), home.path().join("mnt")).unwrap();
    assert_eq!(shell(home.path(), listing), before);
    mounted.unmount();
}
