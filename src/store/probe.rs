//! Finds out what a store can do, by asking for it with a scratch object of its own.
//!
//! Stores that lack something are of two kinds: those that say so, and those that ignore what they do not know, which is
//! worse. So every question here is one whose right answer is known. What cannot be found out stays as the provider's
//! row has it. The store that is asked must be one that sends what its row says is missing: see [`optimistic`].

pub mod checksums;

use crate::base::clock;
use crate::base::random;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::ETag;
use crate::store::Error;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::Metadata;
use crate::store::Op;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::Store;
use crate::store::UploadId;
use bytes::Bytes;
use std::time::Duration;

/// What the last segment of a scratch key begins with. Names that begin so are never shown as files.
pub const SCRATCH_PREFIX: &str = ".brigade-probe-";

/// A scratch object that is older was left behind by a crash; clocks are never so far apart.
pub const SCRATCH_AGE_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// How long all questions may take together, and how long the cleaning up after them.
const PATIENCE: Duration = Duration::from_secs(20);

const BODY: &[u8] = b"brigade asks what this store can do, and removes this again";
const METADATA_NAME: &str = "brigade-probe";
/// Bytes; more than a client reads to send them again as a part.
const CARRIED_BY_NOBODY: u64 = 1 << 30;
/// A tag that nothing has.
const WRONG_TAG: &str = "00000000000000000000000000000000";

/// Something that stores differ in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// [`Facts::conditional_writes`]
    ConditionalWrites,
    /// [`Facts::user_metadata`]
    UserMetadata,
    /// [`Facts::listing_metadata`]
    ListingMetadata,
    /// [`Facts::copy_part`]
    CopyPart,
    /// [`Facts::copy_conditions`]
    CopyConditions,
    /// [`Facts::move_object`]
    MoveObject,
    /// [`Facts::multi_delete`]
    MultiDelete,
}

impl Capability {
    /// Every one, in the order in which they are told.
    pub const ALL: [Self; 7] = [
        Self::ConditionalWrites,
        Self::UserMetadata,
        Self::ListingMetadata,
        Self::CopyPart,
        Self::CopyConditions,
        Self::MoveObject,
        Self::MultiDelete,
    ];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ConditionalWrites => "conditional writes",
            Self::UserMetadata => "user metadata",
            Self::ListingMetadata => "metadata in listings",
            Self::CopyPart => "part copy",
            Self::CopyConditions => "copy conditions",
            Self::MoveObject => "move",
            Self::MultiDelete => "multi-delete",
        }
    }

    /// Whether `facts` have it.
    #[must_use]
    pub fn is_in(self, facts: &Facts) -> bool {
        let mut facts = facts.clone();
        *self.place(&mut facts)
    }

    fn place(self, facts: &mut Facts) -> &mut bool {
        match self {
            Self::ConditionalWrites => &mut facts.conditional_writes,
            Self::UserMetadata => &mut facts.user_metadata,
            Self::ListingMetadata => &mut facts.listing_metadata,
            Self::CopyPart => &mut facts.copy_part,
            Self::CopyConditions => &mut facts.copy_conditions,
            Self::MoveObject => &mut facts.move_object,
            Self::MultiDelete => &mut facts.multi_delete,
        }
    }
}

/// What an answer proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store has it.
    Yes,
    /// The store says that it does not have it, or ignores it.
    No,
    /// The answer says nothing about it.
    Unknown,
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    /// The row's facts, with what was proved put right.
    pub facts: Facts,
    /// What was proved.
    pub verdicts: Vec<(Capability, Verdict)>,
}

/// The facts of a client that is to ask: it holds nothing back that could be found out. A move, which no S3 has, is only
/// asked for where the row knows of one.
#[must_use]
pub fn optimistic(row: &Facts) -> Facts {
    let mut facts = row.clone();
    let wanted = Capability::ALL.into_iter().filter(|capability| *capability != Capability::MoveObject);
    wanted.for_each(|capability| *capability.place(&mut facts) = true);
    facts
}

/// A new key for scratch objects below `prefix`, which is empty or ends in a slash.
#[must_use]
pub fn scratch_key(prefix: &str) -> String {
    format!("{prefix}{SCRATCH_PREFIX}{}", random::hex::<8>())
}

/// Asks `store`, whose facts are [`optimistic`] ones of `row`, with a scratch object below `prefix`, and removes that.
///
/// # Errors
/// When not even an object could be put there: then nothing is known.
pub async fn probe(store: &dyn Store, row: &Facts, prefix: &str) -> Result<Findings> {
    let findings = Findings { facts: row.clone(), verdicts: Vec::new() };
    let mut probe = Probe { store, prefix, key: scratch_key(prefix), findings, upload: None };
    let asked = match tokio::time::timeout(PATIENCE, probe.ask()).await {
        Ok(asked) => asked,
        // What was found out until then is true.
        Err(_) if !probe.findings.verdicts.is_empty() => Ok(()),
        Err(_) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Err(Error::new(Op::PutObject, probe.key.clone(), Kind::Network, message))
        }
    };
    let why = match tokio::time::timeout(PATIENCE, probe.clean_up()).await {
        Ok(cleaned) => cleaned.err().map(|error| error.to_string()),
        Err(late) => Some(late.to_string()),
    };
    if let Some(why) = why {
        tracing::warn!(key = probe.key, why, "a scratch object may stay in the bucket");
    }
    asked.map(|()| probe.findings)
}

struct Probe<'a> {
    store: &'a dyn Store,
    prefix: &'a str,
    key: String,
    findings: Findings,
    upload: Option<UploadId>,
}

impl Probe<'_> {
    async fn ask(&mut self) -> Result<()> {
        let etag = self.put(&Condition::None).await?;
        let verdict = self.metadata().await;
        self.told(Capability::UserMetadata, verdict);
        let verdict = self.listing().await;
        self.told(Capability::ListingMetadata, verdict);
        let verdict = self.conditional_puts(&etag).await;
        self.multipart(verdict, &etag).await;
        let copy = format!("{}-copy", self.key);
        let copied = self.store.copy_object(&self.source(ETag::new(WRONG_TAG)), &copy, None).await;
        self.told(Capability::CopyConditions, refused(&copied));
        if self.findings.facts.move_object {
            let verdict = self.moved(etag).await;
            self.told(Capability::MoveObject, verdict);
        }
        Ok(())
    }

    fn told(&mut self, capability: Capability, verdict: Verdict) {
        let place = capability.place(&mut self.findings.facts);
        *place = match verdict {
            Verdict::Yes => true,
            Verdict::No => false,
            Verdict::Unknown => *place,
        };
        self.findings.verdicts.push((capability, verdict));
    }

    fn source(&self, tag: ETag) -> CopySource {
        CopySource { key: self.key.clone(), if_match: Some(tag) }
    }

    // Every put says the same, so that one whose condition is ignored changes nothing.
    async fn put(&self, condition: &Condition) -> Result<ETag> {
        let metadata = Metadata::from([(METADATA_NAME.to_owned(), self.key.len().to_string())]);
        let headers = Headers { metadata, ..Headers::default() };
        self.store.put_object(&self.key, Payload::from(Bytes::from_static(BODY)), &headers, condition).await
    }

    fn is_ours(&self, metadata: &Metadata) -> Verdict {
        let same = metadata.get(METADATA_NAME).is_some_and(|value| *value == self.key.len().to_string());
        if same { Verdict::Yes } else { Verdict::No }
    }

    async fn metadata(&self) -> Verdict {
        match self.store.head_object(&self.key).await {
            Ok(object) => self.is_ours(&object.headers.metadata),
            Err(_) => Verdict::Unknown,
        }
    }

    async fn listing(&self) -> Verdict {
        let request = ListObjects { prefix: self.key.clone(), limit: Some(1), ..ListObjects::default() };
        match self.store.list_objects(&request).await {
            Ok(page) => match page.objects.first() {
                Some(listed) => listed.metadata.as_ref().map_or(Verdict::No, |metadata| self.is_ours(metadata)),
                None => Verdict::Unknown,
            },
            Err(error) => denied(&error),
        }
    }

    async fn conditional_puts(&self, etag: &ETag) -> Verdict {
        let wrong = Condition::Matches(ETag::new(WRONG_TAG));
        for condition in [Condition::Absent, wrong] {
            let verdict = refused(&self.put(&condition).await);
            if verdict != Verdict::Yes {
                return verdict;
            }
        }
        match self.put(&Condition::Matches(etag.clone())).await {
            Ok(_) => Verdict::Yes,
            // It refuses everything that has a condition.
            Err(error) if error.kind == Kind::PreconditionFailed => Verdict::No,
            Err(error) => denied(&error),
        }
    }

    /// Part copy, and whether complete honours what put does.
    async fn multipart(&mut self, puts: Verdict, etag: &ETag) {
        let upload = self.store.create_upload(&self.key, &Headers::default()).await;
        let Ok(upload) = upload else {
            self.told(Capability::ConditionalWrites, puts);
            return;
        };
        self.upload = Some(upload.clone());
        let verdict = self.part_copy(&upload, etag).await;
        self.told(Capability::CopyPart, verdict);
        let completes = if puts == Verdict::Yes { self.conditional_complete(&upload).await } else { puts };
        self.told(Capability::ConditionalWrites, completes);
        if self.store.abort_upload(&self.key, &upload).await.is_ok() {
            self.upload = None;
        }
    }

    async fn part_copy(&self, upload: &UploadId, etag: &ETag) -> Verdict {
        let (number, all) = (PartNumber(1), BODY.len() as u64);
        let copied = self.store.copy_part(&self.key, upload, number, &self.source(etag.clone()), 0..all).await;
        if let Err(error) = copied {
            return denied(&error);
        }
        // One that ignores the source makes an empty part of it.
        match self.store.list_parts(&self.key, upload).await {
            Ok(parts) if parts.iter().any(|part| part.number == number && part.size == all) => {}
            Ok(_) => return Verdict::No,
            Err(_) => return Verdict::Unknown,
        }
        // The client stands in for a store that cannot, by reading and sending again, but not for so much. The store itself
        // would find fault with the range.
        let (number, far) = (PartNumber(2), CARRIED_BY_NOBODY);
        match self.store.copy_part(&self.key, upload, number, &self.source(etag.clone()), 0..far).await {
            Err(error) if error.kind == Kind::NotImplemented => Verdict::No,
            Ok(_) | Err(_) => Verdict::Yes,
        }
    }

    async fn conditional_complete(&self, upload: &UploadId) -> Verdict {
        let payload = Payload::from(Bytes::from_static(BODY));
        let Ok(part) = self.store.put_part(&self.key, upload, PartNumber(1), payload).await else {
            return Verdict::Unknown;
        };
        refused(&self.store.complete_upload(&self.key, upload, &[part], &Condition::Absent).await)
    }

    async fn moved(&self, etag: ETag) -> Verdict {
        // A complete that ignored its condition has left another tag.
        let etag = self.store.head_object(&self.key).await.map_or(etag, |object| object.etag);
        let to = format!("{}-moved", self.key);
        if let Err(error) = self.store.move_object(&self.source(etag), &to).await {
            return denied(&error);
        }
        let whole = self.store.head_object(&to).await.is_ok_and(|object| object.size == BODY.len() as u64);
        let gone = self.store.head_object(&self.key).await.is_err_and(|error| error.kind == Kind::NotFound);
        if whole && gone { Verdict::Yes } else { Verdict::No }
    }

    /// Removes what was made, and what crashed mounts have left; deleting it is a question too.
    async fn clean_up(&mut self) -> Result<()> {
        if let Some(upload) = self.upload.take() {
            self.store.abort_upload(&self.key, &upload).await?;
        }
        let keys = leftovers(self.store, self.prefix, &self.key).await?;
        if keys.is_empty() {
            return Ok(());
        }
        let deleted = self.store.delete_objects(&keys).await;
        let left = leftovers(self.store, self.prefix, &self.key).await?;
        let verdict = match deleted {
            // The dialect has none: the client has made single ones of it.
            Ok(_) if !self.store.facts().multi_delete => Verdict::No,
            Ok(_) if left.is_empty() => Verdict::Yes,
            Ok(failed) if failed.is_empty() => Verdict::No,
            Ok(_) => Verdict::Unknown,
            Err(error) => denied(&error),
        };
        self.told(Capability::MultiDelete, verdict);
        for key in left {
            self.store.delete_object(&key).await?;
        }
        Ok(())
    }
}

/// Scratch keys below `prefix` that begin with `own`, or that nobody can be using any more.
///
/// # Errors
/// What the store answers.
pub async fn leftovers(store: &dyn Store, prefix: &str, own: &str) -> Result<Vec<String>> {
    let now = clock::now();
    let request = ListObjects { prefix: format!("{prefix}{SCRATCH_PREFIX}"), ..ListObjects::default() };
    let page = store.list_objects(&request).await?;
    let old = |time| now.duration_since(time).is_ok_and(|age| age > SCRATCH_AGE_MAX);
    let ours = page.objects.into_iter().filter(|object| object.key.starts_with(own) || old(object.last_modified));
    Ok(ours.map(|object| object.key).collect())
}

/// The verdict on something that must be refused for its condition.
fn refused<T>(answer: &Result<T>) -> Verdict {
    match answer {
        Ok(_) => Verdict::No,
        Err(error) if error.kind == Kind::PreconditionFailed => Verdict::Yes,
        Err(error) => denied(error),
    }
}

/// Whether a failure says that the store does not have it.
fn denied(error: &Error) -> Verdict {
    match error.kind {
        Kind::NotImplemented | Kind::Invalid | Kind::Protocol => Verdict::No,
        Kind::NotFound
        | Kind::NoSuchBucket
        | Kind::NoSuchUpload
        | Kind::PreconditionFailed
        | Kind::Conflict
        | Kind::AccessDenied
        | Kind::BadCredentials
        | Kind::ClockSkew
        | Kind::InvalidRange
        | Kind::TooLarge
        | Kind::InvalidKey
        | Kind::MetadataTooLarge
        | Kind::InvalidPart
        | Kind::Throttled(_)
        | Kind::Unavailable
        | Kind::Network
        | Kind::Corrupt
        | Kind::Archived => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests;
