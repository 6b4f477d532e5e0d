//! What the records of a log amount to. Pure.

use crate::journal::record::AttemptId;
use crate::journal::record::DraftId;
use crate::journal::record::Record;
use crate::journal::record::RemovalId;
use crate::journal::record::Sealed;
use crate::wire::etag::ETag;
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
}

/// A removal that is acknowledged and perhaps not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRemoval {
    /// The key.
    pub key: String,
    /// The version that was there, as far as is known.
    pub etag: ETag,
    /// When it was acknowledged; milliseconds since 1970.
    pub at_ms: u64,
}

/// A draft that is acknowledged and not stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its place in the order of acknowledgement.
    place: u64,
    /// What was acknowledged.
    pub sealed: Sealed,
    /// The key and the id of an upload of these very bytes, if one was begun.
    pub upload: Option<(String, String)>,
    /// Whether it may be in the bucket already.
    pub tried: bool,
}

/// What a log amounts to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// The drafts that are acknowledged and not stored.
    pub drafts: BTreeMap<DraftId, Kept>,
    /// The uploads that have not ended.
    pub uploads: BTreeMap<AttemptId, OpenUpload>,
    /// The removals that are not over.
    pub removals: BTreeMap<RemovalId, OpenRemoval>,
    /// The number of the next draft.
    pub next_draft: u64,
    /// The number of the next attempt at an upload.
    pub next_attempt: u64,
    /// The number of the next removal.
    pub next_removal: u64,
    applied: u64,
}

impl State {
    /// Takes in the next record. One that speaks of a draft or an upload which is not there changes nothing.
    pub fn apply(&mut self, record: &Record) {
        self.applied += 1;
        match record {
            Record::Next { draft, attempt, removal } => {
                self.next_removal = self.next_removal.max(*removal);
                self.next_draft = self.next_draft.max(*draft);
                self.next_attempt = self.next_attempt.max(*attempt);
            }
            Record::Sealed(sealed) => {
                self.next_draft = self.next_draft.max(sealed.draft.0 + 1);
                let kept = Kept { place: self.applied, sealed: Sealed::clone(sealed), upload: None, tried: false };
                self.drafts.insert(sealed.draft, kept);
            }
            Record::Moved { draft, key, expect } => {
                if let Some(kept) = self.drafts.get_mut(draft) {
                    (kept.place, kept.upload) = (self.applied, None);
                    kept.sealed.key.clone_from(key);
                    kept.sealed.expect.clone_from(expect);
                }
            }
            Record::Described { draft, headers } => {
                if let Some(kept) = self.drafts.get_mut(draft) {
                    // An upload has the headers that it was begun with.
                    kept.upload = None;
                    kept.sealed.headers.clone_from(headers);
                }
            }
            Record::Tried { draft } => {
                if let Some(kept) = self.drafts.get_mut(draft) {
                    kept.tried = true;
                }
            }
            Record::Uploading { draft, upload, key } => {
                if let Some(kept) = self.drafts.get_mut(draft) {
                    kept.upload = Some((key.clone(), upload.clone()));
                }
            }
            Record::Dropped { draft } | Record::Stored { draft, .. } => {
                self.drafts.remove(draft);
            }
            Record::UploadIntended { attempt, key, at_ms } => {
                self.next_attempt = self.next_attempt.max(attempt.0 + 1);
                let open = OpenUpload { key: key.clone(), at_ms: *at_ms, upload: None };
                self.uploads.insert(*attempt, open);
            }
            Record::UploadBegun { attempt, upload } => {
                if let Some(open) = self.uploads.get_mut(attempt) {
                    open.upload = Some(upload.clone());
                }
            }
            Record::UploadEnded { attempt } => {
                self.uploads.remove(attempt);
            }
            Record::Removing { removal, key, etag, at_ms } => {
                self.next_removal = self.next_removal.max(removal.0 + 1);
                let open = OpenRemoval { key: key.clone(), etag: etag.clone(), at_ms: *at_ms };
                self.removals.insert(*removal, open);
            }
            Record::Removed { removals } => removals.iter().for_each(|removal| drop(self.removals.remove(removal))),
        }
    }

    /// The drafts in the order in which they are to be published.
    #[must_use]
    pub fn in_order(&self) -> Vec<&Kept> {
        let mut all: Vec<_> = self.drafts.values().collect();
        all.sort_by_key(|kept| kept.place);
        all
    }

    /// The shortest log that amounts to the same.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let (draft, attempt, removal) = (self.next_draft, self.next_attempt, self.next_removal);
        let mut out = vec![Record::Next { draft, attempt, removal }];
        for (removal, open) in &self.removals {
            let OpenRemoval { key, etag, at_ms } = open.clone();
            out.push(Record::Removing { removal: *removal, key, etag, at_ms });
        }
        for (attempt, open) in &self.uploads {
            out.push(Record::UploadIntended { attempt: *attempt, key: open.key.clone(), at_ms: open.at_ms });
            if let Some(upload) = &open.upload {
                out.push(Record::UploadBegun { attempt: *attempt, upload: upload.clone() });
            }
        }
        for Kept { sealed, upload, tried, .. } in self.in_order() {
            out.push(Record::Sealed(Box::new(sealed.clone())));
            if *tried {
                out.push(Record::Tried { draft: sealed.draft });
            }
            if let Some((key, upload)) = upload {
                out.push(Record::Uploading { draft: sealed.draft, upload: upload.clone(), key: key.clone() });
            }
        }
        out
    }
}
