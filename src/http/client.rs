//! The network client: pooled HTTP/1.1 connections, bodies sent without being copied, stalls noticed.
//!
//! Redirects are not followed, since each request is signed for one host, and nothing is repeated here. `Expect` is not
//! sent: the library that keeps the connections does not tell of the interim answer that a body would have to wait for.
//! What a refusal leaves unsent of a body is not sent, though: the connection ends instead.

use crate::base::clock;
use crate::http::Body;
use crate::http::Error;
use crate::http::ErrorKind;
use crate::http::Incoming;
use crate::http::Origin;
use crate::http::Request;
use crate::http::Response;
use crate::http::Result;
use crate::http::Transport;
use crate::http::tls::Tls;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use http_body::Frame;
use http_body::SizeHint;
use rustls::AlertDescription;
use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

/// Until a connection is made.
const CONNECT: Duration = Duration::from_secs(5);
/// Servers close idle connections; being first avoids requests that meet a closing one.
const IDLE: Duration = Duration::from_secs(20);
/// More than requests run side by side, so that connections are never thrown away and made anew.
const IDLE_CONNECTIONS_MAX: usize = 256;
/// Bytes handed to the connection at once; small enough for progress on slow lines to be seen.
const FRAME_BYTES: usize = 256 * 1024;

/// Sends requests over the network.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
}

impl Client {
    /// A client for requests to `origin`: proxies of the environment are used unless it is this machine.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(origin: &Origin) -> Result<Self> {
        Self::with_tls(origin, &Tls::default())
    }

    /// The same, with a say in whom it believes and who it is.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_tls(origin: &Origin, tls: &Tls) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .http1_only()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .tcp_nodelay(true)
            .tcp_keepalive(IDLE)
            .user_agent(concat!("brigade/", env!("CARGO_PKG_VERSION")));
        if origin.is_loopback() {
            builder = builder.no_proxy();
        }
        let inner = tls.apply(builder).build().map_err(|error| failure(error, "the HTTP client cannot be set up"))?;
        Ok(Self { inner })
    }
}

/// Connections that may end before a request goes out on them.
const UNSENT_MAX: u32 = 3;

#[async_trait]
impl Transport for Client {
    async fn send(&self, request: Request) -> Result<Response> {
        let url = exact_url(&request)?;
        let authority = request.origin.authority();
        let Request { method, mut headers, body, patience, pace, .. } = request;
        if !body.is_empty() || !matches!(method.as_str(), "GET" | "HEAD") {
            // Left to the library an empty body would go without, which some stores refuse.
            headers.insert(crate::http::header::CONTENT_LENGTH, body.len().into());
        }
        let mut unsent = 0;
        loop {
            let progress = Arc::new(AtomicU64::new(0));
            let is_refused = Arc::new(AtomicBool::new(false));
            let body = reqwest::Body::wrap(Outgoing::new(body.clone(), Arc::clone(&progress), Arc::clone(&is_refused)));
            let sending = self.inner.request(method.clone(), url.clone()).headers(headers.clone()).body(body).send();
            let response = tokio::select! {
                response = sending => response,
                () = stalled(&progress, patience) => return Err(silence(&authority, patience)),
            };
            let response = match response {
                Ok(response) => response,
                Err(error) if unsent < UNSENT_MAX && was_not_sent(&error) => {
                    unsent += 1;
                    continue;
                }
                Err(error) => return Err(failure(error, &authority)),
            };
            let (status, headers) = (response.status(), response.headers().clone());
            let refusal = (!status.is_success()).then_some(Refusal(is_refused));
            let body = incoming(response, authority, Pace::new(patience, pace), refusal);
            return Ok(Response { status, headers, body });
        }
    }
}

/// Whether the other side ended the connection before anything of the request went out. Why, another connection may tell.
fn was_not_sent(error: &reqwest::Error) -> bool {
    let mut cause: &(dyn StdError + 'static) = error;
    loop {
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_canceled) {
            return true;
        }
        match below(cause) {
            Some(next) => cause = next,
            None => return false,
        }
    }
}

/// The URL, if the library keeps it as it is: it would resolve `.` and `..`, which are bytes of a key to S3.
fn exact_url(request: &Request) -> Result<reqwest::Url> {
    let Request { origin, path, query, .. } = request;
    let text = if query.is_empty() { format!("{origin}{path}") } else { format!("{origin}{path}?{query}") };
    match reqwest::Url::parse(&text) {
        Ok(url) if url.as_str() == text && url.fragment().is_none() => Ok(url),
        Ok(_) | Err(_) => Err(Error::new(ErrorKind::Url, format!("the path {path:?} cannot be sent as it is"))),
    }
}

/// Returns when no byte of the body was taken for `patience`, or all were and no answer came for that long.
async fn stalled(progress: &AtomicU64, patience: Duration) {
    const LOOKS: u32 = 4;
    let (mut seen, mut idle) = (progress.load(Ordering::Relaxed), 0);
    while idle < LOOKS {
        tokio::time::sleep(patience / LOOKS).await;
        let now = progress.load(Ordering::Relaxed);
        idle = if now == seen { idle + 1 } else { 0 };
        seen = now;
    }
}

/// The body of an answer, with a limit for each wait and a pace. A refusal is complete when its body has been read or given
/// up.
fn incoming(response: reqwest::Response, authority: String, pace: Pace, refusal: Option<Refusal>) -> Incoming {
    let body = response.bytes_stream().boxed();
    stream::unfold(Some((body, authority, pace, refusal)), move |state| async move {
        let (mut body, authority, mut pace, refusal) = state?;
        let begun = clock::monotonic();
        match tokio::time::timeout(pace.patience, body.next()).await {
            Ok(Some(Ok(piece))) if pace.holds(begun.elapsed(), piece.len() as u64) => {
                Some((Ok(piece), Some((body, authority, pace, refusal))))
            }
            Ok(Some(Ok(_))) => Some((Err(dripping(&authority, &pace)), None)),
            Ok(Some(Err(error))) => Some((Err(failure(error, &authority)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(silence(&authority, pace.patience)), None)),
        }
    })
    .boxed()
}

/// How much must come in which time. Only time counts in which somebody waited: a slow reader is not the other side's fault.
struct Pace {
    patience: Duration,
    bytes_min: u64,
    waited: Duration,
    arrived: u64,
}

impl Pace {
    fn new(patience: Duration, bytes_per_second: u64) -> Self {
        let bytes_min = bytes_per_second.saturating_mul(patience.as_secs());
        Self { patience, bytes_min, waited: Duration::ZERO, arrived: 0 }
    }

    /// Whether it is fast enough, with a piece that came after such a wait.
    fn holds(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.arrived = self.arrived.saturating_add(bytes);
        if self.waited < self.patience {
            return true;
        }
        let is_fast = self.arrived >= self.bytes_min;
        (self.waited, self.arrived) = (Duration::ZERO, 0);
        is_fast
    }
}

fn dripping(authority: &str, pace: &Pace) -> Error {
    let (seconds, bytes) = (pace.patience.as_secs(), pace.bytes_min);
    Error::new(ErrorKind::Timeout, format!("{authority}: an answer of less than {bytes} bytes in {seconds} s"))
}

fn silence(authority: &str, patience: Duration) -> Error {
    Error::new(ErrorKind::Timeout, format!("{authority}: no answer for {} s", patience.as_secs()))
}

/// The library's error in our words: its own text names the whole URL, the cause below says what happened.
fn failure(error: reqwest::Error, authority: &str) -> Error {
    let mut cause: &(dyn StdError + 'static) = &error;
    let mut io_kinds = Vec::new();
    let mut is_http = true;
    let mut is_unwelcome = false;
    while let Some(next) = below(cause) {
        cause = next;
        io_kinds.extend(cause.downcast_ref::<io::Error>().map(io::Error::kind));
        is_unwelcome |= cause.downcast_ref().is_some_and(refuses_our_certificate);
        is_http &= !cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse);
    }
    let (kind, what) = if error.is_timeout() && error.is_connect() {
        (ErrorKind::Connect, "no connection in time".to_owned())
    } else if error.is_timeout() {
        (ErrorKind::Timeout, "no answer in time".to_owned())
    } else if !is_http {
        (ErrorKind::NotHttp, format!("what answers does not speak HTTP: {cause}"))
    } else if is_unwelcome {
        (ErrorKind::Tls, format!("TLS failed: {cause}"))
    } else if !error.is_connect() {
        (ErrorKind::Broken, format!("the connection broke: {cause}"))
    } else if io_kinds.contains(&io::ErrorKind::ConnectionRefused) {
        (ErrorKind::Connect, "connection refused".to_owned())
    } else if io_kinds.contains(&io::ErrorKind::InvalidData) {
        (ErrorKind::Tls, format!("TLS failed: {cause}"))
    } else {
        (ErrorKind::Connect, format!("cannot connect: {cause}"))
    };
    Error::new(kind, format!("{authority}: {what}")).caused_by(error)
}

/// Whether the other side ended the connection because of the certificate that it was shown, or was not. Since TLS 1.3 it
/// says so when the client has already begun to speak.
fn refuses_our_certificate(error: &rustls::Error) -> bool {
    use AlertDescription as Alert;
    matches!(
        error,
        rustls::Error::AlertReceived(
            Alert::CertificateRequired
                | Alert::NoCertificate
                | Alert::BadCertificate
                | Alert::UnsupportedCertificate
                | Alert::CertificateRevoked
                | Alert::CertificateExpired
                | Alert::CertificateUnknown
                | Alert::UnknownCA
                | Alert::DecryptError
                | Alert::AccessDenied
        )
    )
}

/// The error below another. One that is wrapped in an I/O error is not among its sources.
fn below<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
    }
}

/// Tells the body of a request, when dropped, that nobody wants the rest of it. Not before the answer has been read: the
/// connection ends with the body.
struct Refusal(Arc<AtomicBool>);

impl Drop for Refusal {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A body as the library takes it: small frames that share the pieces' memory, of exactly known length.
struct Outgoing {
    pieces: std::vec::IntoIter<Bytes>,
    piece: Bytes,
    left: u64,
    progress: Arc<AtomicU64>,
    is_refused: Arc<AtomicBool>,
}

impl Outgoing {
    fn new(body: Body, progress: Arc<AtomicU64>, is_refused: Arc<AtomicBool>) -> Self {
        let left = body.len();
        Self { pieces: body.pieces.into_iter(), piece: Bytes::new(), left, progress, is_refused }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left > 0 && self.is_refused.load(Ordering::Relaxed) {
            return Poll::Ready(Some(Err(io::Error::other("the answer came before the end of the body"))));
        }
        while self.piece.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.piece = piece,
                None => return Poll::Ready(None),
            }
        }
        let take = self.piece.len().min(FRAME_BYTES);
        let frame = self.piece.split_to(take);
        self.left -= take as u64;
        self.progress.fetch_add(take as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests;
