//! One upload as a pure state machine: parts in, actions out, events back in. No I/O, no clock, no lock.
//!
//! The shell ([`stream`](crate::writer::stream)) performs each action and answers it with exactly one event. Retries are
//! the store's affair: a failed event is final here.

use crate::store::ETag;
use crate::store::Error;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::UploadId;
use crate::writer::schedule::Schedule;
use serde::Deserialize;
use serde::Serialize;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// What to do now. The shell answers each action with exactly one [`Event`].
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Everything fits into one request.
    PutWhole(Payload),
    /// Begin a multipart upload.
    Create,
    /// Send a part.
    PutPart(UploadId, PartNumber, Payload),
    /// Make a part from this range of the base object.
    CopyPart(UploadId, PartNumber, Range<u64>),
    /// Turn the parts, in this order, into the object.
    Complete(UploadId, Vec<Part>),
    /// Drop the upload and its parts.
    Abort(UploadId),
}

/// What became of an action.
#[derive(Debug)]
pub enum Event {
    /// Put whole or complete: the object is there.
    Stored(ETag),
    /// The upload has begun.
    Created(UploadId),
    /// A part was sent or copied.
    PartStored(Part),
    /// The upload is gone, or could not be aborted; nothing more can be done about it here.
    Aborted,
    /// Any other action failed for good.
    Failed(Error),
}

/// How it ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All bytes are in the bucket, as an object with this tag.
    Stored(ETag),
    /// Nothing was published.
    Failed(Arc<Error>),
    /// Given up on request; nothing was published.
    Abandoned,
}

#[derive(Debug)]
enum Phase {
    Idle,
    PuttingWhole,
    Creating,
    Open(UploadId),
    Completing(UploadId),
    Aborting,
    Ended(Outcome),
}

/// An upload at rest, for another process to go on with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// No request was made for it.
    NotBegun,
    /// It was begun; all parts so far are there.
    Begun {
        /// Its id.
        id: UploadId,
        /// The parts.
        parts: Vec<Part>,
        /// The number of the next one.
        next_number: u32,
    },
}

/// The state of one upload.
#[derive(Debug)]
pub struct Upload {
    schedule: Schedule,
    in_flight_max: usize,
    phase: Phase,
    copies: VecDeque<(PartNumber, Range<u64>)>,
    waiting: VecDeque<(PartNumber, Payload)>,
    next_number: u32,
    in_flight: usize,
    /// Those of the parts in flight whose bytes are ours.
    sending: BTreeSet<PartNumber>,
    parts: BTreeMap<PartNumber, Part>,
    last: Option<Payload>,
    given_up: Option<Outcome>,
}

// INVARIANT: part numbers are given in the order of the bytes, without gaps.
// INVARIANT: of one part at most one request is in flight: the store keeps what comes last, and nobody knows the order of two.
// INVARIANT: an upload that was begun is completed or aborted before it ends.

impl Upload {
    /// An upload of which the first `base_bytes` are copied from an object that is there already.
    ///
    /// # Panics
    /// When not all of the base can be copied ([`Schedule::copied_bytes`]): the rest belongs into the first part.
    #[must_use]
    pub fn new(schedule: Schedule, in_flight_max: usize, base_bytes: u64) -> Self {
        assert_eq!(schedule.copied_bytes(base_bytes), base_bytes, "a base that is no whole number of parts");
        let copies: VecDeque<_> = (1..).map(PartNumber).zip(schedule.copies(base_bytes)).collect();
        let next_number = 1 + u32::try_from(copies.len()).expect("an object has at most 10,000 parts");
        Self {
            schedule,
            in_flight_max,
            phase: Phase::Idle,
            copies,
            waiting: VecDeque::new(),
            next_number,
            in_flight: 0,
            sending: BTreeSet::new(),
            parts: BTreeMap::new(),
            last: None,
            given_up: None,
        }
    }

    /// An upload that was at rest in another process.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn resumed(schedule: Schedule, in_flight_max: usize, base_bytes: u64, rest: Rest) -> Self {
        match rest {
            Rest::NotBegun => Self::new(schedule, in_flight_max, base_bytes),
            Rest::Begun { id, parts, next_number } => {
                let parts = parts.into_iter().map(|part| (part.number, part)).collect();
                Self { phase: Phase::Open(id), parts, next_number, ..Self::new(schedule, in_flight_max, 0) }
            }
        }
    }

    /// What another process could go on with; `None` while a request is under way or about to be made, and once the upload
    /// works towards its end.
    #[must_use]
    pub fn rest(&self) -> Option<Rest> {
        if self.last.is_some() || self.given_up.is_some() || self.in_flight > 0 || !self.waiting.is_empty() {
            return None;
        }
        match &self.phase {
            Phase::Idle => Some(Rest::NotBegun),
            Phase::Open(id) if self.copies.is_empty() => {
                let parts = self.parts.values().cloned().collect();
                Some(Rest::Begun { id: id.clone(), parts, next_number: self.next_number })
            }
            Phase::Open(_)
            | Phase::PuttingWhole
            | Phase::Creating
            | Phase::Completing(_)
            | Phase::Aborting
            | Phase::Ended(_) => None,
        }
    }

    /// Bytes that the next part should have; `None` when there can be no further part.
    #[must_use]
    pub fn next_part_bytes(&self) -> Option<u64> {
        self.schedule.part_bytes(PartNumber(self.next_number))
    }

    /// The number that the next part will have.
    #[must_use]
    pub fn next_number(&self) -> PartNumber {
        PartNumber(self.next_number)
    }

    /// Takes a part that more bytes will follow.
    ///
    /// # Panics
    /// After [`finish`](Self::finish), or when there can be no further part.
    pub fn push(&mut self, part: Payload) {
        assert!(self.last.is_none(), "a finished upload takes no more parts");
        assert!(self.next_part_bytes().is_some(), "the caller asked for the size of this part");
        self.waiting.push_back((PartNumber(self.next_number), part));
        self.next_number += 1;
    }

    /// Takes other bytes, as many, for a part that was pushed before: it is sent again if it was sent already. Says how
    /// many bytes need not be sent any more.
    ///
    /// # Panics
    /// After [`finish`](Self::finish), or when no such part was pushed.
    pub fn replace(&mut self, number: PartNumber, part: Payload) -> u64 {
        assert!(self.last.is_none(), "a finished upload takes no more parts");
        assert!(number.0 < self.next_number, "only what was pushed can be replaced");
        if self.given_up.is_some() {
            return part.len();
        }
        if let Some((_, waiting)) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == number) {
            return std::mem::replace(waiting, part).len();
        }
        self.parts.remove(&number);
        self.waiting.push_back((number, part));
        0
    }

    /// Whether nothing that was pushed is on its way, or waits for its turn.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.waiting.is_empty()
    }

    /// Takes the last bytes, perhaps none, and from then on works towards the whole object.
    ///
    /// # Panics
    /// When it was called before.
    pub fn finish(&mut self, last: Payload) {
        assert!(self.last.is_none(), "finished twice");
        let in_parts = self.next_number > 1;
        if in_parts && !last.is_empty() {
            self.push(last);
            self.last = Some(Payload::default());
        } else {
            self.last = Some(last);
        }
    }

    /// Gives up: what was begun is aborted. Without effect once the object is being published.
    pub fn abandon(&mut self) {
        self.give_up(Outcome::Abandoned);
    }

    /// Nobody performs actions any more: this is the end, whatever is left behind.
    pub fn collapse(&mut self, error: Arc<Error>) {
        self.give_up(Outcome::Failed(error));
        self.phase = Phase::Ended(self.given_up.clone().expect("just given up"));
    }

    /// Whether a request has been made or must be made that fixes key and headers.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !matches!(self.phase, Phase::Idle) || self.next_number > 1
    }

    /// Whether [`finish`](Self::finish) was called.
    #[must_use]
    pub fn is_finishing(&self) -> bool {
        self.last.is_some()
    }

    /// Why it can take no more bytes, if it cannot.
    #[must_use]
    pub fn failure(&self) -> Option<Outcome> {
        self.given_up.clone()
    }

    /// The end, once it is reached.
    #[must_use]
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Ended(outcome) => Some(outcome),
            Phase::Idle
            | Phase::PuttingWhole
            | Phase::Creating
            | Phase::Open(_)
            | Phase::Completing(_)
            | Phase::Aborting => None,
        }
    }

    /// The next action, if there is one now. Call it again until there is none.
    pub fn poll(&mut self) -> Option<Action> {
        match &self.phase {
            Phase::Idle => self.poll_idle(),
            Phase::Open(id) => {
                let id = id.clone();
                self.poll_open(id)
            }
            Phase::PuttingWhole | Phase::Creating | Phase::Completing(_) | Phase::Aborting | Phase::Ended(_) => None,
        }
    }

    fn poll_idle(&mut self) -> Option<Action> {
        if let Some(outcome) = self.given_up.clone() {
            self.phase = Phase::Ended(outcome);
            return None;
        }
        if self.next_number > 1 {
            self.phase = Phase::Creating;
            return Some(Action::Create);
        }
        let whole = self.last.take()?;
        self.last = Some(Payload::default());
        self.phase = Phase::PuttingWhole;
        Some(Action::PutWhole(whole))
    }

    fn poll_open(&mut self, id: UploadId) -> Option<Action> {
        if self.given_up.is_some() {
            // An abort that overtakes a part leaves that part behind, stored and billed.
            if self.in_flight > 0 {
                return None;
            }
            self.phase = Phase::Aborting;
            return Some(Action::Abort(id));
        }
        if self.in_flight < self.in_flight_max {
            if let Some((number, range)) = self.copies.pop_front() {
                self.in_flight += 1;
                return Some(Action::CopyPart(id, number, range));
            }
            // One of which another request is in flight goes when that has been answered.
            let next = self.waiting.iter().position(|(number, _)| !self.sending.contains(number));
            if let Some((number, payload)) = next.and_then(|next| self.waiting.remove(next)) {
                self.in_flight += 1;
                self.sending.insert(number);
                return Some(Action::PutPart(id, number, payload));
            }
        }
        if self.last.is_none() || self.in_flight > 0 || !self.waiting.is_empty() {
            return None;
        }
        self.phase = Phase::Completing(id.clone());
        Some(Action::Complete(id, self.parts.values().cloned().collect()))
    }

    /// Takes the answer to an action.
    ///
    /// # Panics
    /// When no action awaits such an answer.
    pub fn on_event(&mut self, event: Event) {
        let phase = std::mem::replace(&mut self.phase, Phase::Aborting);
        self.phase = match (phase, event) {
            (Phase::PuttingWhole | Phase::Completing(_), Event::Stored(etag)) => Phase::Ended(Outcome::Stored(etag)),
            (Phase::Creating, Event::Created(id)) => Phase::Open(id),
            (Phase::Open(id), Event::PartStored(part)) => {
                self.in_flight -= 1;
                self.sending.remove(&part.number);
                self.parts.insert(part.number, part);
                Phase::Open(id)
            }
            (Phase::Open(id), Event::Failed(error)) => {
                self.in_flight -= 1;
                self.give_up(Outcome::Failed(Arc::new(error)));
                Phase::Open(id)
            }
            // After a failed complete nothing is in flight, so the open phase goes straight on to abort.
            (Phase::Completing(id), Event::Failed(error)) => {
                self.give_up(Outcome::Failed(Arc::new(error)));
                Phase::Open(id)
            }
            (Phase::PuttingWhole | Phase::Creating, Event::Failed(error)) => {
                self.give_up(Outcome::Failed(Arc::new(error)));
                Phase::Ended(self.given_up.clone().expect("just given up"))
            }
            (Phase::Aborting, Event::Aborted | Event::Failed(_)) => {
                Phase::Ended(self.given_up.clone().expect("only what was given up is aborted"))
            }
            (phase, event) => panic!("{event:?} answers nothing in {phase:?}"),
        };
    }

    /// The first reason stays. Bytes that will not be sent give their memory back at once.
    fn give_up(&mut self, outcome: Outcome) {
        self.given_up.get_or_insert(outcome);
        self.copies.clear();
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests;
