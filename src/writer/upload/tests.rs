//! The upload machine against a tiny bucket: any split, any order of answers, losses of both kinds.

use super::*;
use crate::store::Facts;
use crate::store::Kind;
use crate::store::Op;
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeMap;

const PART: usize = 4;

fn schedule() -> Schedule {
    let facts = Facts { part_bytes_min: PART as u64, part_bytes_max: 2 * PART as u64, ..Facts::S3 };
    Schedule::new(&facts, PART as u64, PART as u64)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lost {
    Request,
    Answer,
}

/// What a bucket holds of one key and one upload.
#[derive(Default)]
struct Bucket {
    base: Vec<u8>,
    object: Option<Vec<u8>>,
    /// With their tags, of which no two are equal.
    parts: BTreeMap<PartNumber, (ETag, Vec<u8>)>,
    sent: usize,
    upload_open: bool,
    abort_lost: bool,
}

fn error() -> Event {
    Event::Failed(Error::new(Op::PutPart, "k", Kind::Network, "lost"))
}

impl Bucket {
    fn perform(&mut self, action: &Action, lost: Option<Lost>) -> Event {
        if lost == Some(Lost::Request) {
            self.abort_lost |= matches!(action, Action::Abort(_));
            return error();
        }
        let event = self.carry_out(action);
        if lost == Some(Lost::Answer) { error() } else { event }
    }

    fn carry_out(&mut self, action: &Action) -> Event {
        match action {
            Action::PutWhole(payload) => {
                self.object = Some(payload.pieces.concat());
                Event::Stored(ETag::new("whole"))
            }
            Action::Create => {
                self.upload_open = true;
                Event::Created(UploadId("u".into()))
            }
            Action::PutPart(_, number, payload) => self.keep(*number, payload.pieces.concat()),
            Action::CopyPart(_, number, range) => {
                let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
                self.keep(*number, self.base[range].to_vec())
            }
            Action::Complete(_, parts) => {
                assert!(parts.is_sorted_by_key(|part| part.number), "parts ascend");
                let named: Vec<_> = parts.iter().map(|part| (part.number, &part.etag)).collect();
                let held: Vec<_> = self.parts.iter().map(|(number, (etag, _))| (*number, etag)).collect();
                assert_eq!(named, held, "every part is named as it was stored last");
                for ((_, bytes), _) in self.parts.values().zip(1..self.parts.len()) {
                    assert!(bytes.len() >= PART, "only the last part may be small");
                }
                self.object = Some(self.parts.values().flat_map(|(_, bytes)| bytes).copied().collect());
                self.upload_open = false;
                Event::Stored(ETag::new("parts"))
            }
            Action::Abort(_) => {
                self.upload_open = false;
                Event::Aborted
            }
        }
    }

    fn keep(&mut self, number: PartNumber, bytes: Vec<u8>) -> Event {
        self.sent += 1;
        let etag = ETag::new(&format!("p{}", self.sent));
        let part = Part { number, etag: etag.clone(), size: bytes.len() as u64, crc64nvme: None, crc32c: None };
        self.parts.insert(number, (etag, bytes));
        Event::PartStored(part)
    }
}

/// Feeds the writes as the shell would, answering the actions under way in an order given by `picks`, and changing parts
/// that have been fed: their first byte becomes the next of `changes`. Says what the file should be.
fn run(
    upload: &mut Upload,
    bucket: &mut Bucket,
    bytes: &[u8],
    picks: &[Index],
    changes: &[(Index, u8)],
    fail: Option<(usize, Lost)>,
) -> Vec<u8> {
    let base = upload.next_number().0;
    let mut whole = bytes.to_vec();
    let mut changes = changes.iter();
    let mut parts: VecDeque<_> = bytes.chunks(PART).map(Bytes::copy_from_slice).collect();
    // A last chunk that is a full part may be followed by more, so it was pushed before the end was known.
    let last = if parts.back().is_some_and(|part| part.len() < PART) { parts.pop_back() } else { None };
    let mut last = Some(Payload::from(last.unwrap_or_default()));
    let (mut under_way, mut performed, mut turn) = (Vec::new(), 0, 0);
    while upload.outcome().is_none() {
        while let Some(action) = upload.poll() {
            under_way.push(action);
        }
        assert_no_part_is_sent_twice_at_once(&under_way);
        assert!(upload.in_flight <= upload.in_flight_max);
        turn += 1;
        let pick = &picks[turn % picks.len()];
        let feeding = pick.index(2) == 0 || under_way.is_empty();
        if feeding && !upload.is_finishing() && upload.failure().is_none() {
            let fed = upload.next_number().0 - base;
            let change = if fed > 0 && pick.index(4) == 0 { changes.next() } else { None };
            if let Some((which, byte)) = change {
                let which = which.index(fed as usize);
                let part = which * PART..(which + 1) * PART;
                whole[part.start] = *byte;
                let number = PartNumber(base + u32::try_from(which).unwrap());
                upload.replace(number, Bytes::copy_from_slice(&whole[part]).into());
            } else {
                match parts.pop_front() {
                    Some(part) => upload.push(part.into()),
                    None => upload.finish(last.take().unwrap()),
                }
            }
        } else if !under_way.is_empty() {
            performed += 1;
            let action = under_way.swap_remove(pick.index(under_way.len()));
            let lost = fail.and_then(|(at, lost)| (at == performed).then_some(lost));
            upload.on_event(bucket.perform(&action, lost));
        }
    }
    assert!(under_way.is_empty(), "no action outlives the upload");
    whole
}

fn assert_no_part_is_sent_twice_at_once(under_way: &[Action]) {
    let mut numbers = BTreeSet::new();
    for action in under_way {
        if let Action::PutPart(_, number, _) | Action::CopyPart(_, number, _) = action {
            assert!(numbers.insert(*number), "{number:?} is sent twice, and nobody knows which comes last");
        }
    }
}

proptest! {
    #[test]
    fn stores_what_was_written_and_changed_or_nothing(
        base in prop_oneof![Just(0usize), PART..=5 * PART],
        written in vec(any::<u8>(), 0..=6 * PART),
        picks in vec(any::<Index>(), 1..40),
        changes in vec((any::<Index>(), any::<u8>()), 0..6),
        in_flight in 1usize..4,
        fail in option::of((1usize..12, prop_oneof![Just(Lost::Request), Just(Lost::Answer)])),
    ) {
        let mut bucket = Bucket { base: (0..base).map(|i| u8::try_from(i).unwrap()).collect(), ..Bucket::default() };
        let mut upload = Upload::new(schedule(), in_flight, base as u64);
        let written = run(&mut upload, &mut bucket, &written, &picks, &changes, fail);
        let whole = [&bucket.base[..], &written].concat();
        match upload.outcome().unwrap() {
            Outcome::Stored(_) => {
                prop_assert_eq!(bucket.object.as_deref(), Some(&whole[..]));
                prop_assert!(!bucket.upload_open);
            }
            Outcome::Failed(_) => {
                let (_, lost) = fail.unwrap();
                prop_assert!(bucket.object.is_none() || lost == Lost::Answer, "published although it failed");
                prop_assert!(bucket.object.as_deref().is_none_or(|object| object == &whole[..]), "never a mix");
                // Only a lost create or a lost abort can leave an upload behind.
                let create_lost = bucket.upload_open && bucket.parts.is_empty() && lost == Lost::Answer;
                prop_assert!(!bucket.upload_open || bucket.abort_lost || create_lost);
            }
            Outcome::Abandoned => prop_assert!(false, "nobody abandoned it"),
        }
    }
}

#[test]
fn an_abandoned_upload_waits_for_its_parts_and_aborts() {
    let mut upload = Upload::new(schedule(), 2, 0);
    upload.push(Bytes::from_static(b"aaaa").into());
    assert_eq!(upload.poll(), Some(Action::Create));
    upload.on_event(Event::Created(UploadId("u".into())));
    assert!(matches!(upload.poll(), Some(Action::PutPart(..))));
    upload.abandon();
    assert_eq!(upload.poll(), None, "an abort must not overtake the part");
    upload.on_event(Event::PartStored(Part {
        number: PartNumber(1),
        etag: ETag::new("p"),
        size: 4,
        crc64nvme: None,
        crc32c: None,
    }));
    assert_eq!(upload.poll(), Some(Action::Abort(UploadId("u".into()))));
    upload.on_event(Event::Aborted);
    assert!(matches!(upload.outcome(), Some(Outcome::Abandoned)));
}

#[test]
fn nothing_written_is_an_empty_object_by_one_put() {
    let mut upload = Upload::new(schedule(), 2, 0);
    upload.finish(Payload::default());
    assert_eq!(upload.poll(), Some(Action::PutWhole(Payload::default())));
}

#[test]
fn a_base_alone_is_copied_whole() {
    let mut upload = Upload::new(schedule(), 2, 9);
    upload.finish(Payload::default());
    assert_eq!(upload.poll(), Some(Action::Create));
    upload.on_event(Event::Created(UploadId("u".into())));
    assert!(matches!(upload.poll(), Some(Action::CopyPart(_, PartNumber(1), range)) if range == (0..5)));
    assert!(matches!(upload.poll(), Some(Action::CopyPart(_, PartNumber(2), range)) if range == (5..9)));
}

/// An upload of which the first part is on its way.
fn begun() -> Upload {
    let mut upload = Upload::new(schedule(), 2, 0);
    upload.push(Bytes::from_static(b"aaaa").into());
    upload.push(Bytes::from_static(b"bbbb").into());
    assert_eq!(upload.poll(), Some(Action::Create));
    upload.on_event(Event::Created(UploadId("u".into())));
    upload
}

fn stored(number: u32, etag: &str) -> Event {
    let (number, etag) = (PartNumber(number), ETag::new(etag));
    Event::PartStored(Part { number, etag, size: 4, crc64nvme: None, crc32c: None })
}

fn sent(action: Option<Action>) -> (u32, Vec<u8>) {
    match action {
        Some(Action::PutPart(_, number, payload)) => (number.0, payload.pieces.concat()),
        other => panic!("{other:?} sends no part"),
    }
}

#[test]
fn a_part_that_waits_is_replaced_and_one_that_was_sent_is_sent_again() {
    let mut upload = begun();
    assert_eq!(upload.replace(PartNumber(1), Bytes::from_static(b"AAAA").into()), 4, "it has not begun to be sent");
    assert_eq!(sent(upload.poll()), (1, b"AAAA".to_vec()));
    assert_eq!(upload.replace(PartNumber(1), Bytes::from_static(b"ALSO").into()), 0);
    assert_eq!(sent(upload.poll()), (2, b"bbbb".to_vec()));
    upload.finish(Payload::default());
    upload.on_event(stored(2, "two"));
    assert_eq!(upload.poll(), None, "the first attempt has no answer yet");
    upload.on_event(stored(1, "stale"));
    assert_eq!(sent(upload.poll()), (1, b"ALSO".to_vec()));
    assert_eq!(upload.poll(), None, "nothing is completed while it is sent");
    upload.on_event(stored(1, "one"));
    let Some(Action::Complete(_, parts)) = upload.poll() else { panic!("all parts are there") };
    let named: Vec<_> = parts.iter().map(|part| (part.number.0, part.etag.clone())).collect();
    assert_eq!(named, [(1, ETag::new("one")), (2, ETag::new("two"))]);
}

#[test]
fn an_upload_that_failed_sends_nothing_again() {
    let mut upload = begun();
    assert_eq!(sent(upload.poll()).0, 1);
    upload.on_event(error());
    assert_eq!(upload.replace(PartNumber(1), Bytes::from_static(b"AAAA").into()), 4);
    assert!(matches!(upload.poll(), Some(Action::Abort(_))));
}
