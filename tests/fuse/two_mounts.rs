//! Two mounts of one bucket: no update is lost, no reader sees bytes of two versions, and what others do past a mount is seen.
//!
//! `BRIGADE_FAULT_SEED` repeats a run.

use crate::backend::BUCKET;
use crate::files::Seen;
use crate::files::errno;
use crate::mounted::MountedBucket;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

const ROUNDS: u64 = 40;
const MIB: usize = 1 << 20;

fn other(seen: &Seen) -> MountedBucket {
    MountedBucket::mount(&format!("s3://{BUCKET}"), &["--metadata-ttl", "0"], |command| seen.backend.reach(command))
}

/// A small generator, so that a run can be repeated.
struct Draws(u64);

impl Draws {
    fn new() -> Self {
        let given = env::var("BRIGADE_FAULT_SEED").ok().map(|text| text.parse().expect("a number"));
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()));
        println!("BRIGADE_FAULT_SEED={seed}");
        Self(seed | 1 << 40)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

fn mark(file: &io::Result<File>, slot: u64) -> io::Result<()> {
    let file = file.as_ref().map_err(|error| io::Error::from(error.kind()))?;
    file.write_all_at(&slot.to_le_bytes(), 8 * slot)?;
    file.sync_all()
}

#[test]
fn no_update_is_lost() {
    let seen = Seen::new(&["--metadata-ttl", "0"]);
    let second = other(&seen);
    seen.put("slots", &vec![0xff; usize::try_from(16 * ROUNDS).unwrap()]);
    let mut draws = Draws::new();
    let open = |dir: &Path| File::options().read(true).write(true).open(dir.join("slots"));
    let (mut acknowledged, mut refused) = (BTreeMap::new(), 0);
    for round in 0..ROUNDS {
        let dirs = if draws.below(2) == 0 {
            [seen.mounted.path(), second.path()]
        } else {
            [second.path(), seen.mounted.path()]
        };
        // Either both open it before either writes, or one after the other.
        let at_once = draws.below(2) == 0;
        let first = open(dirs[0]);
        let early = at_once.then(|| open(dirs[1]));
        let mut tally = |slot: u64, done: io::Result<()>| match done {
            Ok(()) => drop(acknowledged.insert(slot, ())),
            Err(_) => refused += 1,
        };
        tally(2 * round, mark(&first, 2 * round));
        drop(first);
        let late = early.unwrap_or_else(|| open(dirs[1]));
        tally(2 * round + 1, mark(&late, 2 * round + 1));
    }
    let slots = seen.bytes("slots").unwrap();
    for slot in acknowledged.keys() {
        let at = usize::try_from(8 * slot).unwrap();
        assert_eq!(slots[at..at + 8], slot.to_le_bytes(), "slot {slot} was acknowledged and is lost");
    }
    assert!(acknowledged.len() as u64 >= ROUNDS, "one of each two succeeds: {refused} were refused");
}

#[test]
fn a_reader_sees_one_version_or_is_told() {
    let seen = Seen::new(&[]);
    let second = other(&seen);
    let size = 3 * MIB;
    let mut draws = Draws::new();
    seen.put("file", &vec![0; size]);
    for round in 1..=20_u8 {
        let mut file = match File::open(second.join("file")) {
            Ok(file) => file,
            Err(error) => panic!("{error}"),
        };
        let mut bytes = vec![0; usize::try_from(draws.below(size as u64)).unwrap()];
        let begun = file.read_exact(&mut bytes);
        let by_mount = draws.below(2) == 0;
        if by_mount {
            fs::write(seen.mounted.join("file"), vec![round; size]).unwrap();
        } else {
            seen.put("file", &vec![round; size]);
        }
        match begun.and_then(|()| file.read_to_end(&mut bytes)) {
            Ok(_) => {
                assert_eq!(bytes.len(), size);
                assert!(bytes.iter().all(|byte| *byte == bytes[0]), "bytes of two versions in round {round}");
            }
            Err(error) => assert_eq!(errno(&error), Errno::STALE),
        }
        drop(file);
        let now = fs::read(second.join("file")).unwrap();
        assert!(now.len() == size && now.iter().all(|byte| *byte == round), "closed is what others see");
    }
    fs::remove_file(seen.mounted.join("file")).unwrap();
    assert_eq!(errno(&File::open(second.join("file")).unwrap_err()), Errno::NOENT);
}
