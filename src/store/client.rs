//! The network client: addresses, signs and sends calls, and says what failed.
//!
//! It repeats a request only after learning something that makes the next one another request: the store's clock,
//! the bucket's region, fresh keys. Repeating for luck is [`crate::store::layers::retry`]'s.

mod sign;
mod site;

use crate::base::clock;
use crate::http;
use crate::http::Origin;
use crate::http::Response;
use crate::http::Transport;
use crate::http::header;
use crate::store::Body;
use crate::store::Condition;
use crate::store::CopySource;
use crate::store::Error;
use crate::store::Facts;
use crate::store::GetObject;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::ListObjects;
use crate::store::ListPage;
use crate::store::Object;
use crate::store::Op;
use crate::store::Part;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::Result;
use crate::store::Store;
use crate::store::Upload;
use crate::store::UploadId;
use crate::store::checksum;
use crate::store::credentials::Credentials;
use crate::store::credentials::SharedCredentials;
use crate::store::metadata;
use crate::store::ops;
use crate::store::ops::Answer;
use crate::store::ops::Call;
use crate::store::ops::Operation;
use crate::store::provider::Addressing;
use crate::store::provider::Integrity;
use crate::store::provider::Provider;
use crate::store::provider::Signature;
use crate::wire::date;
use crate::wire::etag::ETag;
use crate::wire::xml;
use crate::wire::xml::Document;
use crate::wire::xml::ErrorDocument;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use sign::Signer;
use site::Site;
use std::ops::Range;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

/// The longest document that is read; a full page of keys and metadata at their longest is shorter.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// Deletes side by side, where they go one by one.
const DELETES_AT_ONCE: usize = 16;

/// Which bucket, where, and how to speak to it.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bucket.
    pub bucket: String,
    /// Who keeps it.
    pub provider: &'static Provider,
    /// Where requests go; the provider's own endpoint if `None`.
    pub endpoint: Option<Origin>,
    /// The region; the provider's default if `None`.
    pub region: Option<String>,
    /// How the bucket is named; as the provider likes it if `None`.
    pub addressing: Option<Addressing>,
    /// How bytes are protected; as the provider's row says if `None`.
    pub integrity: Option<Integrity>,
    /// How requests are signed; as the provider's row says if `None`.
    pub signature: Option<Signature>,
    /// What was found out of the store; what the provider's row says if `None`.
    pub facts: Option<Facts>,
}

impl Options {
    /// A bucket at a provider, and everything else as the provider's row says.
    #[must_use]
    pub fn new(bucket: impl Into<String>, provider: &'static Provider) -> Self {
        let bucket = bucket.into();
        Self {
            bucket,
            provider,
            endpoint: None,
            region: None,
            addressing: None,
            integrity: None,
            signature: None,
            facts: None,
        }
    }
}

/// A bucket reached over the network.
pub struct Client {
    transport: Arc<dyn Transport>,
    credentials: SharedCredentials,
    options: Options,
    facts: Facts,
    integrity: Integrity,
    site: RwLock<Arc<Site>>,
    signer: Signer,
    /// The store said that it has no multi-delete.
    deletes_singly: AtomicBool,
}

impl Client {
    /// A client over the network. Sends nothing yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the options do not give an address, or TLS cannot be set up.
    pub fn connect(options: Options, credentials: SharedCredentials) -> Result<Self> {
        let site = Site::new(&options, None)?;
        let transport = http::client::Client::new(&site.origin)
            .map_err(|error| Error::new(Op::HeadBucket, "", Kind::Invalid, error.to_string()).caused_by(error))?;
        Self::over(options, credentials, Arc::new(transport))
    }

    /// A client over another transport.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the options do not give an address.
    pub fn over(options: Options, credentials: SharedCredentials, transport: Arc<dyn Transport>) -> Result<Self> {
        let site = Site::new(&options, None)?;
        let [over_tls, over_plain] = options.provider.integrity;
        let by_row = if site.origin.is_tls() { over_tls } else { over_plain };
        Ok(Self {
            transport,
            credentials,
            facts: options.facts.clone().unwrap_or_else(|| options.provider.facts.clone()),
            integrity: options.integrity.unwrap_or(by_row),
            site: RwLock::new(Arc::new(site)),
            signer: Signer::default(),
            deletes_singly: AtomicBool::new(!options.provider.facts.multi_delete),
            options,
        })
    }

    fn site(&self) -> Arc<Site> {
        Arc::clone(&self.site.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn run<O: Operation>(&self, operation: &O) -> Result<O::Output> {
        let call = operation.call()?;
        let Response { status, headers, body } = self.send(&call).await?;
        let body = Response { status, headers: headers.clone(), body }.bytes(DOCUMENT_BYTES_MAX).await;
        let body = body.map_err(|error| no_answer(&call, error))?;
        operation.parse(&Answer { status, headers, body })
    }

    /// Sends a call until it succeeds or nothing can be learnt from its failure.
    async fn send(&self, call: &Call) -> Result<Response> {
        self.check(call)?;
        let mut lessons = Lessons::default();
        loop {
            let site = self.site();
            let credentials = self.credentials.credentials().await.map_err(|error| {
                Error::new(call.op, call.key.clone(), Kind::BadCredentials, error.to_string()).caused_by(error)
            })?;
            let request = self.signer.request(call, &site, &credentials, self.integrity, clock::now());
            let response = self.transport.send(request).await.map_err(|error| no_answer(call, error))?;
            if response.status.is_success() {
                return Ok(response);
            }
            let (status, headers) = (response.status, response.headers.clone());
            // The status alone still says something if the reason does not arrive.
            let body = response.bytes(DOCUMENT_BYTES_MAX).await.unwrap_or_default();
            let answer = Answer { status, headers, body };
            let error = ops::failure(call, &answer);
            if !self.learn(&mut lessons, &error, &answer, &site, &credentials).await {
                return Err(error);
            }
        }
    }

    /// What would be sent as another key, or surely be refused, is not sent.
    fn check(&self, call: &Call) -> Result<()> {
        let refuse = |kind, message: String| Err(Error::new(call.op, call.key.clone(), kind, message));
        if !call.on_object {
            return Ok(());
        }
        if call.key.is_empty() || call.key.len() > self.facts.key_bytes_max {
            let message = format!("a key has 1 to {} bytes, not {}", self.facts.key_bytes_max, call.key.len());
            return refuse(Kind::InvalidKey, message);
        }
        if call.key.split('/').any(|segment| segment == "." || segment == "..") {
            return refuse(Kind::InvalidKey, "a key with the segment . or .. cannot be sent unchanged".to_owned());
        }
        let bytes: u64 = call.pieces.iter().map(|piece| piece.len() as u64).sum();
        let is_part = call.op == Op::PutPart;
        let (limit, what) =
            if is_part { (self.facts.part_bytes_max, "part") } else { (self.facts.put_bytes_max, "object") };
        if bytes > limit {
            return refuse(Kind::TooLarge, format!("one {what} has at most {limit} bytes, not {bytes}"));
        }
        Ok(())
    }

    /// Whether the failure taught something. Each kind of lesson is believed once per call.
    async fn learn(
        &self,
        lessons: &mut Lessons,
        error: &Error,
        answer: &Answer,
        site: &Site,
        used: &Credentials,
    ) -> bool {
        if error.kind == Kind::ClockSkew && !std::mem::replace(&mut lessons.clock, true) {
            let date = ops::text(&answer.headers, header::DATE.as_str()).and_then(date::parse_http);
            return date.is_some_and(|date| self.signer.learn_time(date, clock::now()));
        }
        if let Some(region) = region_of(answer).filter(|region| *region != site.region)
            && !std::mem::replace(&mut lessons.region, true)
        {
            return self.move_to(&region);
        }
        if error.kind == Kind::BadCredentials && !std::mem::replace(&mut lessons.credentials, true) {
            self.credentials.refused(used).await;
            return self.credentials.credentials().await.is_ok_and(|fresh| fresh != *used);
        }
        false
    }

    fn move_to(&self, region: &str) -> bool {
        let Ok(site) = Site::new(&self.options, Some(region)) else { return false };
        tracing::debug!(region, "the bucket is in another region");
        *self.site.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(site);
        true
    }

    fn crc_of(&self, payload: &Payload) -> Option<u64> {
        (self.integrity == Integrity::Crc64Nvme).then(|| checksum::of_payload(payload))
    }

    fn check_write(&self, op: Op, key: &str, condition: &Condition) -> Result<()> {
        match condition {
            Condition::None => Ok(()),
            Condition::Absent | Condition::Matches(_) if self.facts.conditional_writes => Ok(()),
            // A store that ignores the condition would overwrite without a word.
            Condition::Absent | Condition::Matches(_) => {
                Err(Error::new(op, key, Kind::NotImplemented, "the store has no conditional writes"))
            }
        }
    }

    fn check_headers(&self, op: Op, key: &str, headers: &Headers) -> Result<()> {
        metadata::check(&headers.metadata, self.facts.metadata_bytes_max)
            .map_err(|(kind, message)| Error::new(op, key, kind, message))
    }

    async fn delete_singly(&self, keys: Vec<String>) -> Vec<Error> {
        let one = |key: String| async move { self.delete_object(&key).await.err() };
        stream::iter(keys).map(one).buffer_unordered(DELETES_AT_ONCE).filter_map(std::future::ready).collect().await
    }
}

/// What a call has learnt so far.
#[derive(Default)]
struct Lessons {
    clock: bool,
    region: bool,
    credentials: bool,
}

/// The bucket's region, if a failed answer names it.
fn region_of(answer: &Answer) -> Option<String> {
    if !matches!(answer.status.as_u16(), 301 | 307 | 400 | 403) {
        return None;
    }
    let document = ErrorDocument::parse(&answer.body).ok();
    let named = ops::text(&answer.headers, "x-amz-bucket-region").map(str::to_owned);
    named.or_else(|| document?.region).filter(|region| !region.is_empty())
}

fn no_answer(call: &Call, error: http::Error) -> Error {
    let kind = match error.kind {
        http::ErrorKind::Url => Kind::InvalidKey,
        http::ErrorKind::Connect | http::ErrorKind::Timeout | http::ErrorKind::Broken => Kind::Network,
        // Neither a certificate nor the protocol gets better by waiting.
        http::ErrorKind::Tls | http::ErrorKind::NotHttp => Kind::Protocol,
    };
    Error::new(call.op, call.key.clone(), kind, error.to_string()).caused_by(error)
}

/// A condition on a tag cannot hold for an object that is not there.
fn absent_is_unmatched(mut error: Error, condition: &Condition) -> Error {
    if error.kind == Kind::NotFound && matches!(condition, Condition::Matches(_)) {
        error.kind = Kind::PreconditionFailed;
    }
    error
}

#[async_trait]
impl Store for Client {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    async fn head_bucket(&self) -> Result<()> {
        self.run(&ops::HeadBucket).await
    }

    async fn head_object(&self, key: &str) -> Result<Object> {
        self.run(&ops::HeadObject { key }).await
    }

    async fn get_object(&self, key: &str, range: Option<Range<u64>>, if_match: Option<&ETag>) -> Result<GetObject> {
        assert!(range.as_ref().is_none_or(|range| range.start < range.end), "a range is never empty");
        let get = ops::GetObjectCall { key, range, if_match };
        let call = get.call()?;
        let response = self.send(&call).await?;
        let head = get.head(response.status, &response.headers)?;
        Ok(GetObject { object: head.object, body: exactly(call, response.body, head.skip, head.take) })
    }

    async fn put_object(&self, key: &str, payload: Payload, headers: &Headers, condition: &Condition) -> Result<ETag> {
        self.check_write(Op::PutObject, key, condition)?;
        self.check_headers(Op::PutObject, key, headers)?;
        let crc64nvme = self.crc_of(&payload);
        let put = ops::PutObject { key, payload, headers, condition, crc64nvme };
        self.run(&put).await.map_err(|error| absent_is_unmatched(error, condition))
    }

    async fn delete_object(&self, key: &str) -> Result<()> {
        match self.run(&ops::DeleteObject { key }).await {
            Err(error) if error.kind == Kind::NotFound => Ok(()),
            other => other,
        }
    }

    async fn delete_objects(&self, keys: &[String]) -> Result<Vec<Error>> {
        let together =
            |key: &&String| !self.deletes_singly.load(Ordering::Relaxed) && !key.is_empty() && xml::can_carry(key);
        let (batched, single): (Vec<&String>, Vec<&String>) = keys.iter().partition(together);
        let mut singly: Vec<String> = single.into_iter().cloned().collect();
        let mut failed = Vec::new();
        for batch in batched.chunks(ops::DELETE_KEYS_MAX) {
            let keys: Vec<&str> = batch.iter().map(|key| key.as_str()).collect();
            let call = ops::DeleteObjects { keys: &keys };
            match self.run(&call).await {
                Ok(errors) => failed.extend(errors),
                Err(error) if error.kind == Kind::NotImplemented => {
                    self.deletes_singly.store(true, Ordering::Relaxed);
                    singly.extend(keys.into_iter().map(str::to_owned));
                }
                Err(error) => return Err(error),
            }
        }
        failed.extend(self.delete_singly(singly).await);
        Ok(failed)
    }

    async fn copy_object(&self, source: &CopySource, key: &str, headers: Option<&Headers>) -> Result<ETag> {
        if let Some(headers) = headers {
            self.check_headers(Op::CopyObject, key, headers)?;
        }
        self.run(&ops::CopyObject { bucket: &self.options.bucket, source, key, headers }).await
    }

    async fn list_objects(&self, request: &ListObjects) -> Result<ListPage> {
        self.run(&ops::ListObjectsCall { request, with_metadata: self.facts.listing_metadata }).await
    }

    async fn create_upload(&self, key: &str, headers: &Headers) -> Result<UploadId> {
        self.check_headers(Op::CreateUpload, key, headers)?;
        let with_crc64nvme = self.integrity == Integrity::Crc64Nvme;
        self.run(&ops::CreateUpload { key, headers, with_crc64nvme }).await
    }

    async fn put_part(&self, key: &str, upload: &UploadId, number: PartNumber, payload: Payload) -> Result<Part> {
        let crc64nvme = self.crc_of(&payload);
        self.run(&ops::PutPart { key, upload, number, payload, crc64nvme }).await
    }

    async fn copy_part(
        &self,
        key: &str,
        upload: &UploadId,
        number: PartNumber,
        source: &CopySource,
        range: Range<u64>,
    ) -> Result<Part> {
        assert!(range.start < range.end, "a range is never empty");
        self.run(&ops::CopyPart { bucket: &self.options.bucket, key, upload, number, source, range }).await
    }

    async fn complete_upload(
        &self,
        key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<ETag> {
        self.check_write(Op::CompleteUpload, key, condition)?;
        let crc64nvme = if self.integrity == Integrity::Crc64Nvme { checksum::of_parts(parts) } else { None };
        let complete = ops::CompleteUpload { key, upload, parts, condition, crc64nvme };
        self.run(&complete).await.map_err(|error| absent_is_unmatched(error, condition))
    }

    async fn abort_upload(&self, key: &str, upload: &UploadId) -> Result<()> {
        match self.run(&ops::AbortUpload { key, upload }).await {
            Err(error) if error.kind == Kind::NoSuchUpload => Ok(()),
            other => other,
        }
    }

    async fn list_parts(&self, key: &str, upload: &UploadId) -> Result<Vec<Part>> {
        let (mut parts, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.run(&ops::ListParts { key, upload, after }).await?;
            parts.extend(page);
            match next {
                Some(_) => after = next,
                None => return Ok(parts),
            }
        }
    }

    async fn list_uploads(&self, prefix: &str) -> Result<Vec<Upload>> {
        let (mut uploads, mut after) = (Vec::new(), None);
        loop {
            let (page, next) = self.run(&ops::ListUploads { prefix, after }).await?;
            uploads.extend(page);
            match next {
                Some(_) => after = next,
                None => return Ok(uploads),
            }
        }
    }
}

/// The bytes asked for out of those that come; fewer are an error. The rest of a whole object that was not asked
/// for is not read: dropping the connection is cheaper.
fn exactly(call: Call, body: http::Incoming, skip: u64, take: u64) -> Body {
    let state = Some(Slice { call, body, skip, left: take });
    stream::unfold(state, |state| async move {
        let mut slice = state?;
        match slice.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(slice))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

struct Slice {
    call: Call,
    body: http::Incoming,
    skip: u64,
    left: u64,
}

impl Slice {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        while self.left > 0 {
            let Some(piece) = self.body.next().await else {
                let message = format!("the body ended {} bytes early", self.left);
                return Err(Error::new(self.call.op, self.call.key.clone(), Kind::Network, message));
            };
            let mut piece = piece.map_err(|error| no_answer(&self.call, error))?;
            let skipped = usize::try_from(self.skip).map_or(piece.len(), |skip| skip.min(piece.len()));
            drop(piece.split_to(skipped));
            self.skip -= skipped as u64;
            piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                self.left -= piece.len() as u64;
                return Ok(Some(piece));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
