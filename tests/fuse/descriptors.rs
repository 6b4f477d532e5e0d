//! Descriptors that are copied, inherited and closed early: what counts as the end of writing. And programs that
//! are run from a mount.

use crate::files::Seen;
use crate::files::noise;
use crate::outage::until;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::process::Stdio;

const MIB: usize = 1 << 20;

#[test]
fn a_program_that_forks_while_it_writes_publishes_nothing_early() {
    let seen = Seen::new(&[]);
    let mut file = File::create(seen.mounted.join("file")).unwrap();
    for at in 0..20 {
        file.write_all(&noise(MIB, at)).unwrap();
        // The child has the descriptor until it becomes another program, and closes it then.
        assert!(Command::new("true").status().unwrap().success());
    }
    assert_eq!(seen.etag("file"), None, "the writer still has it open");
    drop(file);
    assert!(seen.etag("file").unwrap().ends_with("-3"));
    seen.mounted.unmount();
}

#[test]
fn dd_leaves_the_old_object_alone_until_the_new_one_is_whole() {
    let seen = Seen::new(&[]);
    seen.put("old", b"old");
    let out = format!("of={}", seen.mounted.join("old").display());
    let mut dd = Command::new("dd")
        .args([&out, "bs=1M", "iflag=fullblock", "status=none"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut pipe = dd.stdin.take().unwrap();
    let before = seen.etag("old");
    // More than a pipe holds, so dd has opened its output, copied and closed the descriptor, and written.
    pipe.write_all(&noise(12 * MIB, 1)).unwrap();
    assert_eq!(seen.etag("old"), before, "neither empty nor half of the new one");
    pipe.write_all(&noise(MIB, 2)).unwrap();
    drop(pipe);
    assert!(dd.wait().unwrap().success());
    let whole = [noise(12 * MIB, 1), noise(MIB, 2)].concat();
    assert!(fs::read(seen.mounted.join("old")).unwrap() == whole);
    assert_ne!(seen.etag("old"), before);
    seen.mounted.unmount();
}

#[test]
fn programs_that_share_a_descriptor_write_one_file() {
    let seen = Seen::new(&[]);
    let script =
        "(echo one; true; sh -c 'echo two'; cat) > file; : > empty; exec 3> kept; echo x >&3; true; echo y >&3";
    let mut shell = Command::new("sh")
        .args(["-ec", script])
        .current_dir(seen.mounted.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    shell.stdin.take().unwrap().write_all(b"three\n").unwrap();
    assert!(shell.wait().unwrap().success());
    let read = |name: &str| fs::read_to_string(seen.mounted.join(name)).unwrap();
    assert_eq!(
        (read("file"), read("empty"), read("kept")),
        ("one\ntwo\nthree\n".into(), String::new(), "x\ny\n".into())
    );
    assert!(seen.etag("empty").is_some(), "an empty file is there when its shell is done");
    seen.mounted.unmount();
}

#[test]
fn a_program_that_runs_is_not_cut_off_and_others_are() {
    let seen = Seen::new(&[]);
    let program = seen.mounted.join("program");
    fs::copy("/bin/sleep", &program).unwrap();
    let cut = |access: OFlags| rustix::fs::open(&program, access | OFlags::TRUNC, Mode::empty()).map(drop);
    let mut running = Command::new(&program).arg("600").spawn().unwrap();
    for access in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR] {
        assert_eq!(cut(access), Err(Errno::TXTBSY), "{access:?}");
    }
    assert!(running.try_wait().unwrap().is_none(), "it goes on");
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(seen.bytes("program").unwrap(), fs::read("/bin/sleep").unwrap());
    // The kernel tells a moment later that nobody runs it any more.
    until(|| cut(OFlags::RDONLY).is_ok());
    assert_eq!((fs::metadata(&program).unwrap().len(), seen.bytes("program").unwrap().len()), (0, 0));
}
