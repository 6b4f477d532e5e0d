//! Files whose author goes back to their beginning when the rest is written, as writers of `mp4`, `wav` and `zip` do.

use crate::files::Seen;
use crate::files::in_every_dialect;
use crate::files::noise;
use crate::outage::until;
use crate::speech::Speech;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::process::Stdio;

const MIB: usize = 1 << 20;

in_every_dialect! {
    a_header_is_written_last_and_nobody_sees_the_file_before,
}

/// Runs a program of Python in the mount. Where it calls `look`, `seen` is looked at past the mount.
fn python(seen: &Seen, program: &str, look: impl Fn()) {
    let script = format!("def look():\n    print('look', flush=True)\n    input()\n\n{program}\n");
    let mut child = Command::new("python3")
        .args(["-c", &script])
        .current_dir(seen.mounted.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut to, from) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    for line in BufReader::new(from).lines() {
        assert_eq!(line.unwrap(), "look");
        look();
        to.write_all(b"\n").unwrap();
    }
    assert!(child.wait().unwrap().success());
}

fn uploads(seen: &Seen) -> [u64; 4] {
    ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "PutObject"].map(|op| seen.backend.requests(op))
}

fn a_header_is_written_last_and_nobody_sees_the_file_before(speech: Speech) {
    let seen = Seen::speaking(speech, &[]);
    seen.put("video", b"what was there");
    fs::write(seen.mounted.join("source"), noise(MIB, 1)).unwrap();
    let before = uploads(&seen);
    let program = "piece = open('source', 'rb').read()\n\
        f = open('video', 'w+b', buffering=0)\n\
        for _ in range(40): f.write(piece)\n\
        f.write(b'the index of all that')\n\
        look()\n\
        f.seek(0)\n\
        f.write(b'a header')\n\
        look()\n\
        f.seek(4)\n\
        f.write(b'er')\n\
        f.seek(0)\n\
        assert f.read(10) == b'a heerer' + piece[8:10]\n\
        f.truncate(40 * len(piece) + 9)\n\
        look()\n\
        f.close()\n";
    python(&seen, program, || {
        // The header comes when its part is on its way, not while it still waits for its turn.
        until(|| uploads(&seen)[1] > before[1]);
        assert_eq!(seen.bytes("video").unwrap(), b"what was there");
    });
    let mut whole = noise(MIB, 1).repeat(40);
    whole[..8].copy_from_slice(b"a heerer");
    whole.extend(b"the index");
    assert!(seen.bytes("video").unwrap() == whole);
    let spent: Vec<_> = uploads(&seen).iter().zip(before).map(|(now, before)| now - before).collect();
    assert_eq!(spent, [1, 6 + 1, 1, 0], "{speech:?}: one part more than there are");
    assert_eq!(seen.uploads(), 0);
    seen.mounted.unmount();
}

#[test]
fn writers_of_wav_and_zip_publish_whole_files_only() {
    let seen = Seen::new(&[]);
    let program = "import os, wave, zipfile\n\
        piece = os.urandom(1 << 20)\n\
        w = wave.open('wav', 'wb')\n\
        w.setparams((2, 2, 48000, 0, 'NONE', ''))\n\
        for _ in range(30): w.writeframes(piece)\n\
        look()\n\
        w.close()\n\
        r = wave.open('wav', 'rb')\n\
        assert r.getnframes() == 30 * len(piece) // 4\n\
        assert r.readframes(1 << 18) == piece\n\
        r.close()\n\
        os.remove('wav')\n\
        z = zipfile.ZipFile('zip', 'w')\n\
        for name in 'abcde':\n    \
            with z.open(name, 'w') as f:\n        \
                for _ in range(9): f.write(piece)\n\
        look()\n\
        z.close()\n\
        r = zipfile.ZipFile('zip')\n\
        assert r.testzip() is None and r.read('e') == 9 * piece\n\
        os.remove('zip')\n";
    python(&seen, program, || assert_eq!(seen.keys(), Vec::<String>::new(), "nothing is published before it is whole"));
    seen.mounted.unmount();
}

#[test]
fn with_little_memory_many_headers_are_written_all_the_same() {
    let seen = Seen::new(&["--memory-limit", "16MiB", "--part-size", "5MiB"]);
    let contents: Vec<_> = (0..8).map(|seed| noise(24 * MIB, seed)).collect();
    std::thread::scope(|scope| {
        for (number, content) in contents.iter().enumerate() {
            let path = seen.mounted.join(&number.to_string());
            scope.spawn(move || {
                let mut file = File::create(path).unwrap();
                file.write_all(content).unwrap();
                file.write_all_at(b"header", 0).unwrap();
                file.write_all_at(b"in the middle", 9 * MIB as u64).unwrap();
            });
        }
    });
    let seen = seen.remount();
    for (number, mut content) in contents.into_iter().enumerate() {
        content[..6].copy_from_slice(b"header");
        content[9 * MIB..9 * MIB + 13].copy_from_slice(b"in the middle");
        assert!(fs::read(seen.mounted.join(&number.to_string())).unwrap() == content, "{number}");
    }
    assert_eq!(seen.uploads(), 0);
    seen.mounted.unmount();
}
