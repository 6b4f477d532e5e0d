//! Crashes at any byte: what was acknowledged is recovered, or something newer, and never a mix.

use super::*;
use crate::journal::record::Expect;
use crate::journal::record::Place;
use crate::journal::record::Run;
use crate::store::Headers;
use crate::wire::etag::ETag;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use proptest::sample::Index;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn sealed(draft: DraftId, key: &str, runs: Vec<Run>, expect: Expect) -> Sealed {
    let size = runs.iter().map(|run| run.len).sum();
    Sealed { draft, key: key.to_owned(), size, runs, headers: Headers::default(), expect }
}

fn open(path: &Path) -> Journal {
    Journal::open(Directory::open(path).unwrap()).unwrap()
}

#[derive(Clone, Debug)]
enum Step {
    Seal(usize, Vec<u8>),
    Move(usize, u8),
    Drop(usize),
    Store(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..3usize, vec(any::<u8>(), 1..9)).prop_map(|(draft, bytes)| Step::Seal(draft, bytes)),
        (0..3usize, 0..3u8).prop_map(|(draft, key)| Step::Move(draft, key)),
        (0..3usize).prop_map(Step::Drop),
        (0..3usize).prop_map(Step::Store),
    ]
}

/// What a draft's file reads as: key and bytes, checked against damage.
fn contents(journal: &Journal) -> Vec<(DraftId, String, Vec<u8>)> {
    let state = journal.state();
    let read = |kept: &&recover::Kept| {
        let sealed = &kept.sealed;
        let data = journal.data(sealed.draft).unwrap();
        let mut bytes = Vec::new();
        for run in &sealed.runs {
            let Place::Data(at) = run.at else { panic!("{run:?}") };
            data.verify(&[at..at + run.len]).unwrap();
            bytes.extend(data.read(at, usize::try_from(run.len).unwrap()).unwrap());
        }
        (sealed.draft, sealed.key.clone(), bytes)
    };
    state.in_order().iter().map(read).collect()
}

/// The log's one file.
fn log_file(path: &Path) -> std::path::PathBuf {
    let files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("log-")).max().unwrap()
}

proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(48))]

    /// Each step is acknowledged; then a crash cuts the log somewhere in what came after one of them.
    #[test]
    fn a_crash_at_any_byte_leaves_a_moment_of_the_past_and_none_before_what_was_acknowledged(
        steps in vec(step(), 1..10), acknowledged in any::<Index>(), cut in any::<Index>(),
    ) {
        let home = TempDir::new().unwrap();
        let path = home.path().join("j");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let journal = open(&path);
        let log = log_file(&path);
        let drafts: Vec<_> = (0..3).map(|_| journal.begin().unwrap()).map(|(id, data)| (id, Arc::new(data))).collect();
        let mut runs: Vec<Vec<Run>> = vec![Vec::new(); 3];
        let mut ends = vec![fs::metadata(&log).unwrap().len()];
        let mut moments = vec![Vec::new()];
        let mut gone = [false; 3];
        for step in steps {
            match step {
                Step::Seal(nth, bytes) if !gone[nth] => {
                    let (id, data) = &drafts[nth];
                    let at = data.append(&bytes).unwrap();
                    let offset = runs[nth].iter().map(|run| run.len).sum();
                    runs[nth].push(Run { offset, len: bytes.len() as u64, at: Place::Data(at) });
                    let seal = sealed(*id, "k", runs[nth].clone(), Expect::Absent);
                    runtime.block_on(journal.seal(data, seal)).unwrap();
                }
                Step::Seal(..) => continue,
                Step::Move(nth, key) => {
                    let record = Record::Moved { draft: drafts[nth].0, key: format!("k{key}"), expect: Expect::Anything };
                    runtime.block_on(journal.note(record)).unwrap();
                }
                // The data stays in this test: the cut may bring the record back that needs it, as no power cut can.
                Step::Drop(nth) => {
                    runtime.block_on(journal.note(Record::Dropped { draft: drafts[nth].0 })).unwrap();
                    gone[nth] = true;
                }
                Step::Store(nth) => {
                    let record = Record::Stored { draft: drafts[nth].0, etag: ETag::new("e") };
                    runtime.block_on(journal.note(record)).unwrap();
                    gone[nth] = true;
                }
            }
            ends.push(fs::metadata(&log).unwrap().len());
            moments.push(contents(&journal));
        }
        drop(journal);
        let acknowledged = acknowledged.index(ends.len());
        let (from, to) = (ends[acknowledged], *ends.last().unwrap());
        let cut = from + cut.index(usize::try_from(to - from).unwrap() + 1) as u64;
        fs::File::options().write(true).open(&log).unwrap().set_len(cut).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        prop_assert!(whole >= acknowledged);
        prop_assert_eq!(&contents(&open(&path)), &moments[whole]);
        prop_assert_eq!(&contents(&open(&path)), &moments[whole], "a second recovery is as the first");
    }
}

#[tokio::test]
async fn data_that_was_never_sealed_goes_and_numbers_are_not_used_again() {
    let home = TempDir::new().unwrap();
    let journal = open(home.path());
    let (first, data) = journal.begin().unwrap();
    let data = Arc::new(data);
    let at = data.append(b"abc").unwrap();
    let run = Run { offset: 0, len: 3, at: Place::Data(at) };
    journal.seal(&data, sealed(first, "k", vec![run], Expect::Absent)).await.unwrap();
    let (second, _unsealed) = journal.begin().unwrap();
    drop(journal);
    let journal = open(home.path());
    assert_eq!(DataFile::ids(home.path()).unwrap(), [first]);
    journal.finish(Record::Stored { draft: first, etag: ETag::new("e") }, first).await.unwrap();
    drop(journal);
    let journal = open(home.path());
    assert_eq!((journal.state().drafts.len(), DataFile::ids(home.path()).unwrap().len()), (0, 0));
    assert!(journal.begin().unwrap().0 >= second);
}

#[test]
fn damaged_data_is_found_and_freed_data_does_not_count() {
    let home = TempDir::new().unwrap();
    let data = DataFile::create(home.path(), DraftId(1)).unwrap();
    let places: Vec<_> = [b"aaaa", b"bbbb", b"cccc"].iter().map(|bytes| data.append(*bytes).unwrap()).collect();
    data.sync().unwrap();
    data.free(places[0]..places[0] + 4).unwrap();
    drop(data);
    let file = fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    bytes[usize::try_from(places[1]).unwrap() + 2] ^= 1;
    fs::write(&file, bytes).unwrap();
    let data = DataFile::open(home.path(), DraftId(1)).unwrap();
    let good = |nth: usize| data.verify(&[places[nth]..places[nth] + 4]).is_ok();
    assert_eq!((good(1), good(2)), (false, true));
    assert_eq!(data.read(places[2] + 1, 2).unwrap(), "cc");
    assert!(data.read(places[2], 5).is_err() && data.verify(&[places[2]..places[2] + 5]).is_err());
}

#[test]
fn an_upload_counts_as_long_as_it_is_of_what_is_sealed() {
    let id = DraftId(1);
    let seal = || Record::Sealed(Box::new(sealed(id, "k", vec![], Expect::Absent)));
    let uploading = || Record::Uploading { draft: id, upload: "u".into(), key: "k".into() };
    let headers = Headers { content_type: Some("text/plain".into()), ..Headers::default() };
    let rows = [
        (None, true),
        (Some(seal()), false),
        (Some(Record::Moved { draft: id, key: "l".into(), expect: Expect::Anything }), false),
        (Some(Record::Described { draft: id, headers: headers.clone() }), false),
    ];
    for (last, counts) in rows {
        let mut state = State::default();
        [Some(seal()), Some(uploading()), last].iter().flatten().for_each(|record| state.apply(record));
        let upload = counts.then(|| ("k".to_owned(), "u".to_owned()));
        assert_eq!(state.drafts[&id].upload, upload);
        let mut again = State::default();
        state.records().iter().for_each(|record| again.apply(record));
        let meaning = |state: &State| {
            state.in_order().into_iter().map(|kept| (kept.sealed.clone(), kept.upload.clone())).collect::<Vec<_>>()
        };
        assert_eq!(meaning(&again), meaning(&state));
    }
}

#[tokio::test]
async fn a_log_that_is_mostly_over_is_written_anew_and_means_the_same() {
    let home = TempDir::new().unwrap();
    let log = Log::open(home.path()).unwrap();
    let (before, key) = (log_file(home.path()), "k".repeat(100_000));
    for attempt in (0..60).map(record::AttemptId) {
        log.append(&Record::UploadIntended { attempt, key: key.clone(), at_ms: 1 }).unwrap();
        if attempt.0 > 0 {
            log.append(&Record::UploadEnded { attempt }).unwrap();
        }
        log.sync().await.unwrap();
    }
    assert_ne!(log_file(home.path()), before);
    assert!(fs::metadata(log_file(home.path())).unwrap().len() < 2 << 20);
    let (want, found) = (log.state(), log::peek(home.path()).unwrap());
    assert_eq!((found.uploads, found.next_attempt), (want.uploads, want.next_attempt));
}
