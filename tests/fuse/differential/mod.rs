//! Sequences of operations drawn at random, done on a mount and on a plain directory: each must answer the same, the
//! trees must be the same afterwards, and once more when the bucket is mounted anew.
//!
//! The seed of a sequence that failed is kept in a directory `proptest-regressions` and tried first from then on.
//!
//! * `BRIGADE_DIFFERENTIAL_CASES`: how many sequences, in each dialect; a number that takes seconds by default.

mod operation;

use crate::backend::BUCKET;
use crate::backend::Backend;
use crate::files::in_every_dialect;
use crate::mounted::MountedBucket;
use crate::speech::Speech;
use operation::Answer;
use operation::Attributes;
use operation::Operation;
use operation::Place;
use proptest::collection::vec;
use proptest::test_runner::Config;
use proptest::test_runner::TestCaseError;
use proptest::test_runner::TestCaseResult;
use proptest::test_runner::TestError;
use proptest::test_runner::TestRunner;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;

const CASES: u32 = 60;
const OPERATIONS_MAX: usize = 100;
/// Small, so that some files have several parts.
const OPTIONS: [&str; 4] = ["--part-size", "5MiB", "--memory-limit", "40MiB"];

in_every_dialect! { a_mount_and_a_plain_directory_cannot_be_told_apart }

fn a_mount_and_a_plain_directory_cannot_be_told_apart(speech: Speech) {
    let cases = std::env::var("BRIGADE_DIFFERENTIAL_CASES").map_or(CASES, |cases| cases.parse().unwrap());
    let pair = RefCell::new(Pair::start(speech));
    let done = RefCell::new(Vec::new());
    let config = Config { cases, source_file: Some(file!()), max_shrink_iters: 4000, ..Config::default() };
    let result = TestRunner::new(config).run(&vec(operation::operation(), 1..OPERATIONS_MAX), |operations| {
        let name = pair.borrow_mut().compare(&operations)?;
        done.borrow_mut().push((name, operations));
        Ok(())
    });
    match result {
        Ok(()) => {}
        Err(TestError::Fail(why, operations)) => panic!("{why}\nafter these:\n{}", told(&operations)),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
    let mut pair = pair.into_inner();
    let (successes, operations) = (pair.successes, pair.operations);
    assert!(successes > operations / 4, "only {successes} of {operations} operations can be done: refusals say little");
    pair.remount();
    for (name, operations) in done.into_inner() {
        if let Err(why) = pair.compare_trees(&name, After::Remount) {
            panic!("{why}\nafter these:\n{}", told(&shrunk(&mut pair, operations)));
        }
    }
    pair.mounted.take().unwrap().unmount();
}

/// A mount and a plain directory in which the same is done.
struct Pair {
    speech: Speech,
    backend: Backend,
    mounted: Option<MountedBucket>,
    disk: TempDir,
    cases: usize,
    operations: usize,
    successes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Operations,
    Remount,
}

impl Pair {
    fn start(speech: Speech) -> Self {
        let (backend, disk) = (Backend::start(), TempDir::new().unwrap());
        let mounted = Some(Self::mount(&backend, speech));
        Self { speech, backend, mounted, disk, cases: 0, operations: 0, successes: 0 }
    }

    fn mount(backend: &Backend, speech: Speech) -> MountedBucket {
        let options: Vec<&str> = speech.options().iter().copied().chain(OPTIONS).collect();
        MountedBucket::mount(&speech.source(BUCKET), &options, |command| backend.reach(command))
    }

    fn remount(&mut self) {
        self.mounted.take().expect("it is mounted but for this moment").unmount();
        self.mounted = Some(Self::mount(&self.backend, self.speech));
    }

    fn mounted(&self) -> &MountedBucket {
        self.mounted.as_ref().expect("it is mounted but for a moment")
    }

    /// Does a sequence in a new directory of each, whose name it answers.
    fn compare(&mut self, operations: &[Operation]) -> Result<String, TestCaseError> {
        let name = self.cases.to_string();
        self.cases += 1;
        let mut disk = Place::new(self.disk.path().join(&name));
        let mut mount = Place::new(self.mounted().join(&name));
        for place in [&disk, &mount] {
            // Something to begin with: most operations on what is not there say little.
            std::fs::create_dir_all(place.path("a/a")).unwrap();
            std::fs::write(place.path("b"), "something").unwrap();
            std::fs::write(place.path("a/b"), "something else").unwrap();
        }
        for (at, operation) in operations.iter().enumerate() {
            let (want, got): (Answer, Answer) = (disk.apply(operation), mount.apply(operation));
            self.operations += 1;
            self.successes += usize::from(want.is_ok());
            if want != got {
                let why = format!("operation {at}, {operation:?}: on disk {want:?}, in the mount {got:?}");
                return Err(TestCaseError::fail(why));
            }
        }
        disk.close();
        mount.close();
        self.compare_trees(&name, After::Operations)?;
        Ok(name)
    }

    fn compare_trees(&self, name: &str, after: After) -> TestCaseResult {
        let (want, got) = (tree(&self.disk.path().join(name)), tree(&self.mounted().join(name)));
        for path in want.keys().chain(got.keys()) {
            let (want, got) = (want.get(path), got.get(path));
            if want != got {
                let when = if after == After::Remount { "after a remount" } else { "when all is closed" };
                let why = format!("{path:?} {when}: on disk {want:?}, in the mount {got:?}");
                return Err(TestCaseError::fail(why));
            }
        }
        Ok(())
    }
}

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    attributes: Attributes,
    xattrs: Vec<String>,
    content: Content,
}

#[derive(Clone, PartialEq, Eq)]
struct Content(Vec<u8>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        operation::Seen::Bytes(self.0.clone()).fmt(f)
    }
}

/// Everything below a directory and itself, by path.
fn tree(root: &Path) -> BTreeMap<String, Node> {
    let mut nodes = BTreeMap::new();
    let mut waiting = vec![String::new()];
    while let Some(path) = waiting.pop() {
        let full = root.join(&path);
        let attributes = Attributes::look(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
        let kind = std::fs::symlink_metadata(&full).unwrap().file_type();
        let mut content = Vec::new();
        if kind.is_dir() {
            let names = operation::list(&full).unwrap();
            waiting.extend(names.iter().map(|name| format!("{path}/{name}").trim_start_matches('/').to_owned()));
        } else if kind.is_symlink() {
            content = std::fs::read_link(&full).unwrap().into_os_string().into_encoded_bytes();
        } else if kind.is_file() {
            content = std::fs::read(&full).unwrap_or_else(|error| error.to_string().into_bytes());
        }
        let xattrs = operation::xattrs(&full).unwrap();
        nodes.insert(path, Node { attributes, xattrs, content: Content(content) });
    }
    nodes
}

/// The sequence without all that can be left out while a remount still shows something else.
fn shrunk(pair: &mut Pair, mut operations: Vec<Operation>) -> Vec<Operation> {
    let mut at = operations.len();
    while at > 0 {
        at -= 1;
        let mut fewer = operations.clone();
        fewer.remove(at);
        let still = match pair.compare(&fewer) {
            Ok(name) => {
                pair.remount();
                pair.compare_trees(&name, After::Remount).is_err()
            }
            // Another failure is not this one.
            Err(_) => false,
        };
        if still {
            operations = fewer;
        }
    }
    operations
}

fn told(operations: &[Operation]) -> String {
    operations.iter().map(|operation| format!("  {operation:?}\n")).collect()
}
