//! What the records of a log amount to. Pure.

use crate::journal::record::AttemptId;
use crate::journal::record::DraftId;
use crate::journal::record::Expect;
use crate::journal::record::Record;
use crate::journal::record::Sealed;
use std::collections::BTreeMap;

/// An upload that was asked for and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// The key.
    pub key: String,
    /// When it was asked for; milliseconds since 1970.
    pub at_ms: u64,
    /// Its id; `None` if the answer never came.
    pub upload: Option<String>,
    /// The draft that it is to become.
    pub draft: Option<DraftId>,
}

/// What a log amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The drafts that are acknowledged and not stored, each with its place in the order of acknowledgement.
    pub drafts: BTreeMap<DraftId, (u64, Sealed)>,
    /// The uploads that have not ended.
    pub uploads: BTreeMap<AttemptId, OpenUpload>,
    /// The number of the next draft.
    pub next_draft: u64,
    /// The number of the next attempt at an upload.
    pub next_attempt: u64,
    applied: u64,
}

impl State {
    /// Takes in the next record. One that speaks of a draft or an upload which is not there changes nothing.
    pub fn apply(&mut self, record: &Record) {
        self.applied += 1;
        match record {
            Record::Next { draft, attempt } => {
                self.next_draft = self.next_draft.max(*draft);
                self.next_attempt = self.next_attempt.max(*attempt);
            }
            Record::Sealed(sealed) => {
                self.next_draft = self.next_draft.max(sealed.draft.0 + 1);
                self.drafts.insert(sealed.draft, (self.applied, Sealed::clone(sealed)));
            }
            Record::Moved { draft, key, expect } => {
                if let Some((place, sealed)) = self.drafts.get_mut(draft) {
                    *place = self.applied;
                    sealed.key.clone_from(key);
                    sealed.expect.clone_from(expect);
                }
            }
            Record::Dropped { draft } => {
                if let Some((_, gone)) = self.drafts.remove(draft) {
                    self.settle(*draft, &gone.expect);
                }
            }
            Record::Stored { draft, etag } => {
                self.drafts.remove(draft);
                self.settle(*draft, &Expect::Matches(etag.clone()));
            }
            Record::UploadIntended { attempt, key, at_ms } => {
                self.next_attempt = self.next_attempt.max(attempt.0 + 1);
                let open = OpenUpload { key: key.clone(), at_ms: *at_ms, upload: None, draft: None };
                self.uploads.insert(*attempt, open);
            }
            Record::UploadBegun { attempt, upload, draft } => {
                if let Some(open) = self.uploads.get_mut(attempt) {
                    open.upload = Some(upload.clone());
                    open.draft = *draft;
                }
            }
            Record::UploadEnded { attempt } => {
                self.uploads.remove(attempt);
            }
        }
    }

    // Whoever waits for a draft learns what is there instead of it.
    fn settle(&mut self, gone: DraftId, expect: &Expect) {
        for (_, sealed) in self.drafts.values_mut() {
            if sealed.expect == Expect::Follows(gone) {
                sealed.expect.clone_from(expect);
            }
        }
    }

    /// The drafts in the order in which they are to be published.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Sealed> {
        let mut all: Vec<_> = self.drafts.values().collect();
        all.sort_by_key(|(place, _)| *place);
        all.into_iter().map(|(_, sealed)| sealed).collect()
    }

    /// The shortest log that amounts to the same.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut out = vec![Record::Next { draft: self.next_draft, attempt: self.next_attempt }];
        for (attempt, open) in &self.uploads {
            out.push(Record::UploadIntended { attempt: *attempt, key: open.key.clone(), at_ms: open.at_ms });
            if let Some(upload) = &open.upload {
                out.push(Record::UploadBegun { attempt: *attempt, upload: upload.clone(), draft: open.draft });
            }
        }
        out.extend(self.in_order().into_iter().map(|sealed| Record::Sealed(Box::new(sealed.clone()))));
        out
    }
}
