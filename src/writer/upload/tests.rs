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
    parts: BTreeMap<PartNumber, Vec<u8>>,
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
                assert_eq!(parts.len(), self.parts.len(), "every part is named");
                for (bytes, _) in self.parts.values().zip(1..self.parts.len()) {
                    assert!(bytes.len() >= PART, "only the last part may be small");
                }
                self.object = Some(self.parts.values().flatten().copied().collect());
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
        let part = Part { number, etag: ETag::new("p"), size: bytes.len() as u64, crc64nvme: None, crc32c: None };
        self.parts.insert(number, bytes);
        Event::PartStored(part)
    }
}

/// Feeds the writes as the shell would, answering the actions under way in an order given by `picks`.
fn run(upload: &mut Upload, bucket: &mut Bucket, bytes: &[u8], picks: &[Index], fail: Option<(usize, Lost)>) {
    let mut parts: VecDeque<_> = bytes.chunks(PART).map(Bytes::copy_from_slice).collect();
    // A last chunk that is a full part may be followed by more, so it was pushed before the end was known.
    let last = if parts.back().is_some_and(|part| part.len() < PART) { parts.pop_back() } else { None };
    let mut last = Some(Payload::from(last.unwrap_or_default()));
    let (mut under_way, mut performed, mut turn) = (Vec::new(), 0, 0);
    while upload.outcome().is_none() {
        while let Some(action) = upload.poll() {
            under_way.push(action);
        }
        assert!(upload.in_flight <= upload.in_flight_max);
        turn += 1;
        let pick = &picks[turn % picks.len()];
        let feeding = pick.index(2) == 0 || under_way.is_empty();
        if feeding && !upload.is_finishing() && upload.failure().is_none() {
            match parts.pop_front() {
                Some(part) => upload.push(part.into()),
                None => upload.finish(last.take().unwrap()),
            }
        } else if !under_way.is_empty() {
            performed += 1;
            let action = under_way.swap_remove(pick.index(under_way.len()));
            let lost = fail.and_then(|(at, lost)| (at == performed).then_some(lost));
            upload.on_event(bucket.perform(&action, lost));
        }
    }
    assert!(under_way.is_empty(), "no action outlives the upload");
}

proptest! {
    #[test]
    fn stores_what_was_written_or_nothing(
        base in prop_oneof![Just(0usize), PART..=5 * PART],
        written in vec(any::<u8>(), 0..=6 * PART),
        picks in vec(any::<Index>(), 1..40),
        in_flight in 1usize..4,
        fail in option::of((1usize..12, prop_oneof![Just(Lost::Request), Just(Lost::Answer)])),
    ) {
        let mut bucket = Bucket { base: (0..base).map(|i| u8::try_from(i).unwrap()).collect(), ..Bucket::default() };
        let whole = [&bucket.base[..], &written].concat();
        let mut upload = Upload::new(schedule(), in_flight, base as u64);
        run(&mut upload, &mut bucket, &written, &picks, fail);
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
