//! The examination of a store for `brigade check`: everything that a mount relies on is done once, with scratch objects
//! that are removed again, and each step leaves a [`Finding`]. Nothing is printed here.

use crate::base::clock;
use crate::mount::check;
use crate::mount::check::Place;
use crate::mount::plan::Endpoint;
use crate::mount::reach;
use crate::mount::reach::Reached;
use crate::mount::source::Source;
use crate::store;
use crate::store::Condition;
use crate::store::Facts;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::Object;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Store;
use crate::store::probe;
use crate::store::probe::Capability;
use crate::store::probe::Verdict;
use crate::store::provider::Provider;
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::time::Duration;

/// How long one step may take. A person waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// Round trips that the median is taken of.
const ROUND_TRIPS: usize = 7;

const BODY: &[u8] = b"brigade checks that bytes come back as they went";

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// As it should be.
    Ok,
    /// The bucket can be mounted, and something works less well or not at all.
    Warning,
    /// The bucket cannot be mounted, or is of no use.
    Error,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at.
    pub what: &'static str,
    /// What is the case.
    pub finding: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

/// What an examination came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order in which they were found.
    pub findings: Vec<Finding>,
    /// What was found out of the store, if that could be.
    pub facts: Option<Facts>,
    /// The median of a few small requests.
    pub round_trip: Option<Duration>,
}

impl Report {
    /// Whether the bucket can be mounted.
    #[must_use]
    pub fn is_mountable(&self) -> bool {
        self.findings.iter().all(|finding| finding.level != Level::Error)
    }

    fn add(&mut self, level: Level, what: &'static str, finding: impl Into<String>, remedy: Option<&str>) {
        let (finding, remedy) = (finding.into(), remedy.map(str::to_owned));
        self.findings.push(Finding { level, what, finding, remedy });
    }

    fn ok(&mut self, what: &'static str, finding: impl Into<String>) {
        self.add(Level::Ok, what, finding, None);
    }
}

/// Looks at a store from its name to its smallest capability, as far as it comes.
pub async fn examine(source: &Source, prefix: &str, endpoint: &Endpoint) -> Report {
    let mut report = Report::default();
    match Reached::open(source, endpoint).await {
        Ok(mut reached) => {
            if let Err(error) = all_steps(&mut reached, prefix, &mut report).await {
                report.add(Level::Error, "connection", error.to_string(), None);
            }
            reached.close().await;
        }
        Err(reach::Error::Credentials(why)) => report.add(Level::Error, "credentials", why.to_string(), None),
        Err(error) => report.add(Level::Error, "source", error.to_string(), None),
    }
    report
}

async fn all_steps(reached: &mut Reached, prefix: &str, report: &mut Report) -> Result<(), reach::Error> {
    let provider = reached.provider();
    report.ok("provider", format!("{}, which speaks {}", provider.name, provider.dialect));
    let client = reached.client(None)?;
    let Some(first) = list(&client, prefix, &reached.place, report).await else { return Ok(()) };
    let found = probe::probe(&reached.asking_client()?, &provider.facts, prefix).await;
    let (facts, verdicts) = match found {
        Ok(findings) => (findings.facts, findings.verdicts),
        Err(error) => {
            not_written(&error, report);
            read_foreign(&client, first.as_deref(), report).await;
            return Ok(());
        }
    };
    reached.find_integrity(prefix).await;
    let client = reached.client(Some(facts))?;
    // A client knows more of its dialect than one store can tell.
    let facts = client.facts().clone();
    let key = probe::scratch_key(prefix);
    let steps = Steps { store: &client, key: &key, facts: &facts };
    steps.all(report).await;
    report.ok("checksums", format!("{}, as what was sent was protected", reached.integrity().name()));
    capabilities(&facts, &verdicts, provider, report);
    clean_up(&client, prefix, &key, report).await;
    report.facts = Some(facts);
    Ok(())
}

/// The first key, if the bucket can be listed; `None` when there is no use in going on.
async fn list(store: &dyn Store, prefix: &str, place: &Place, report: &mut Report) -> Option<Option<String>> {
    let request = ListObjects { prefix: prefix.to_owned(), limit: Some(1), ..ListObjects::default() };
    match timely(store.list_objects(&request)).await {
        Ok(page) => {
            report.ok("connection", format!("{} answers", place.endpoint));
            report.ok("credentials", "accepted");
            report.ok("list", format!("bucket {:?} can be listed", place.bucket));
            Some(page.objects.into_iter().next().map(|object| object.key))
        }
        Err(error) => {
            let what = failed_step(&error.kind);
            let line = check::explain(&error, place);
            let (finding, remedy) = line.rsplit_once("; ").unwrap_or((&line, ""));
            report.add(Level::Error, what, finding, Some(remedy).filter(|remedy| !remedy.is_empty()));
            None
        }
    }
}

/// What a listing that fails for this reason has not even come to.
fn failed_step(kind: &Kind) -> &'static str {
    match kind {
        Kind::BadCredentials => "credentials",
        Kind::ClockSkew => "clock",
        Kind::Network | Kind::Protocol | Kind::NotImplemented => "connection",
        Kind::NotFound
        | Kind::NoSuchBucket
        | Kind::NoSuchUpload
        | Kind::PreconditionFailed
        | Kind::Conflict
        | Kind::AccessDenied
        | Kind::InvalidRange
        | Kind::TooLarge
        | Kind::InvalidKey
        | Kind::MetadataTooLarge
        | Kind::InvalidPart
        | Kind::Throttled(_)
        | Kind::Unavailable
        | Kind::Corrupt
        | Kind::Archived
        | Kind::Invalid => "list",
    }
}

fn not_written(error: &store::Error, report: &mut Report) {
    if error.kind == Kind::AccessDenied {
        let remedy = "grant these credentials s3:PutObject and s3:DeleteObject, or mount with --read-only";
        report.add(Level::Warning, "write", format!("denied: {}", error.message), Some(remedy));
    } else {
        report.add(Level::Error, "write", error.to_string(), Some("mount with --read-only, or ask the provider"));
    }
}

/// Where nothing may be written, what is there is read.
async fn read_foreign(store: &dyn Store, key: Option<&str>, report: &mut Report) {
    let Some(key) = key else {
        report.add(Level::Warning, "read", "not tried: there is no object", None);
        return;
    };
    match timely(store.head_object(key)).await {
        Ok(_) => report.ok("read", "objects can be read"),
        Err(error) => report.add(
            Level::Error,
            "read",
            format!("denied: {error}"),
            Some("grant these credentials s3:GetObject on the bucket's objects"),
        ),
    }
}

struct Steps<'a> {
    store: &'a dyn Store,
    key: &'a str,
    facts: &'a Facts,
}

impl Steps<'_> {
    async fn all(&self, report: &mut Report) {
        match timely(self.write_and_read()).await {
            Ok(Some(_)) => {
                report.ok("write", "objects can be written");
                report.ok("read", "and come back as they were");
            }
            Ok(None) => {
                let remedy = Some("something between here and the store changes objects; look at proxies");
                report.add(Level::Error, "read", "an object came back with other bytes", remedy);
            }
            Err(error) => return not_written(&error, report),
        }
        self.round_trips(report).await;
        match timely(self.multipart()).await {
            Ok(true) => report.ok("multipart", "uploads in parts are made, listed, completed and aborted"),
            Ok(false) => {
                let remedy = Some("files larger than a part cannot be trusted to this store");
                report.add(Level::Error, "multipart", "an object of two parts came back with other bytes", remedy);
            }
            Err(error) => report.add(
                Level::Warning,
                "multipart",
                error.to_string(),
                Some(
                    "files larger than --part-size cannot be written; grant s3:PutObject, s3:AbortMultipartUpload and \
                      s3:ListMultipartUploadParts",
                ),
            ),
        }
        match timely(self.delete()).await {
            Ok(()) => report.ok("delete", "objects can be deleted"),
            Err(error) => {
                let remedy = Some("grant these credentials s3:DeleteObject; rm and mv fail without it");
                report.add(Level::Warning, "delete", error.to_string(), remedy);
            }
        }
    }

    async fn write_and_read(&self) -> store::Result<Option<Object>> {
        let payload = Payload::from(Bytes::from_static(BODY));
        self.store.put_object(self.key, payload, &Headers::default(), &Condition::None).await?;
        let got = self.store.get_object(self.key, None, None).await?;
        let bytes: Vec<Bytes> = got.body.try_collect().await?;
        Ok((bytes.concat() == BODY).then_some(got.object))
    }

    async fn round_trips(&self, report: &mut Report) {
        let mut times = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let begun = clock::monotonic();
            if timely(self.store.head_object(self.key)).await.is_ok() {
                times.push(begun.elapsed());
            }
        }
        times.sort_unstable();
        if let Some(median) = times.get(times.len() / 2) {
            report.ok("latency", format!("{:.1} ms for a small request", median.as_secs_f64() * 1000.0));
            report.round_trip = Some(*median);
        }
    }

    /// One upload that is completed, of a whole part and a rest, and one that is aborted.
    async fn multipart(&self) -> store::Result<bool> {
        let store = self.store;
        let whole = Bytes::from(vec![b'b'; usize::try_from(self.facts.part_bytes_min).unwrap_or(5 << 20)]);
        let upload = store.create_upload(self.key, &Headers::default()).await?;
        let completed = async {
            let mut parts = Vec::new();
            for (number, bytes) in (1..).map(PartNumber).zip([whole.clone(), Bytes::from_static(BODY)]) {
                parts.push(store.put_part(self.key, &upload, number, Payload::from(bytes)).await?);
            }
            let listed = store.list_parts(self.key, &upload).await?;
            store.complete_upload(self.key, &upload, &parts, &Condition::None).await?;
            Ok(listed.len() == parts.len())
        };
        let completed: store::Result<bool> = completed.await;
        if completed.is_err() {
            store.abort_upload(self.key, &upload).await?;
        }
        let size = whole.len() as u64 + BODY.len() as u64;
        let tail = whole.len() as u64..size;
        let right = completed? && store.head_object(self.key).await?.size == size;
        let end: Vec<Bytes> = store.get_object(self.key, Some(tail), None).await?.body.try_collect().await?;
        let given_up = store.create_upload(self.key, &Headers::default()).await?;
        store.abort_upload(self.key, &given_up).await?;
        Ok(right && end.concat() == BODY)
    }

    async fn delete(&self) -> store::Result<()> {
        self.store.delete_object(self.key).await?;
        match self.store.head_object(self.key).await {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(_) => {
                let message = "the object is still there after it was deleted";
                Err(store::Error::new(store::Op::DeleteObject, self.key, Kind::Invalid, message))
            }
        }
    }
}

fn capabilities(facts: &Facts, verdicts: &[(Capability, Verdict)], provider: &Provider, report: &mut Report) {
    for capability in Capability::ALL {
        let verdict = verdicts.iter().find(|(one, _)| *one == capability).map(|(_, verdict)| *verdict);
        let has = capability.is_in(facts);
        let how = match verdict {
            Some(Verdict::Yes | Verdict::No) => "",
            Some(Verdict::Unknown) | None => ", as the provider's row has it",
        };
        let (level, finding) = match (has, without(capability)) {
            (true, _) => (Level::Ok, "yes".to_owned()),
            (false, (level, consequence)) => (level, format!("no: {consequence}")),
        };
        report.add(level, capability.name(), format!("{finding}{how}"), None);
    }
    if facts.equal_parts {
        let finding = format!("{} wants all parts of one size, so the largest file is 10,000 of them", provider.name);
        report.add(Level::Warning, "equal parts", finding, Some("give more --memory-limit for larger files"));
    }
}

/// What it means that a store does not have it.
fn without(capability: Capability) -> (Level, &'static str) {
    match capability {
        Capability::ConditionalWrites => {
            (Level::Warning, "two hosts that write one file at the same moment can lose an update")
        }
        Capability::UserMetadata => {
            (Level::Warning, "modes, owners and times last as long as the mount, and symbolic links are refused")
        }
        Capability::ListingMetadata => (Level::Ok, "attributes are asked for file by file"),
        Capability::CopyPart => (Level::Warning, "appending to large files and renaming them moves their bytes"),
        Capability::CopyConditions => (Level::Warning, "a file that is replaced while it is renamed may be mixed up"),
        Capability::MoveObject => (Level::Ok, "a rename is a copy and a delete"),
        Capability::MultiDelete => (Level::Ok, "files are deleted one by one"),
    }
}

/// Also after a step has failed, and what earlier runs that crashed have left.
async fn clean_up(store: &dyn Store, prefix: &str, key: &str, report: &mut Report) {
    let cleaned = async {
        let keys = probe::leftovers(store, prefix, key).await?;
        for key in keys {
            store.delete_object(&key).await?;
        }
        // Not every store lists uploads; an abort that was possible has been made already.
        let uploads = store.list_uploads(&format!("{prefix}{}", probe::SCRATCH_PREFIX)).await.unwrap_or_default();
        let old = |begun| clock::now().duration_since(begun).is_ok_and(|age| age > probe::SCRATCH_AGE_MAX);
        for upload in uploads.into_iter().filter(|upload| upload.key.starts_with(key) || old(upload.initiated)) {
            store.abort_upload(&upload.key, &upload.id).await?;
        }
        Ok(())
    };
    if let Err(error) = timely(cleaned).await {
        let remedy = format!("remove what begins with {prefix}{}", probe::SCRATCH_PREFIX);
        report.add(Level::Warning, "clean-up", error.to_string(), Some(&remedy));
    }
}

async fn timely<T>(work: impl Future<Output = store::Result<T>>) -> store::Result<T> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(answer) => answer,
        Err(_) => {
            let message = format!("no answer within {} s", PATIENCE.as_secs());
            Err(store::Error::new(store::Op::HeadBucket, "", Kind::Network, message))
        }
    }
}

#[cfg(test)]
mod tests;
