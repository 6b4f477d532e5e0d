//! The listening side of HTTP/1.1: connections become plain [`Request`]s for a [`Handler`]. The only file that names hyper.
//!
//! Bounds live here: how many connections, how long a client may be silent or may not read. What a request means
//! does not.

mod write_watch;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http_body::Frame;
use http_body::SizeHint;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::rt::TokioTimer;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::watch;
use tokio::task::JoinSet;
use write_watch::WriteWatch;

/// How long and how much a client may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at once; more wait in the listening socket's queue.
    pub connections_max: usize,
    /// For a whole request head, and for the pause before it on a kept connection.
    pub head_timeout: Duration,
    /// For the next bytes of a body.
    pub body_idle_timeout: Duration,
    /// For the client to take the next bytes of an answer.
    pub write_idle_timeout: Duration,
    /// Bytes of a request head; more is answered 431.
    pub head_bytes_max: usize,
    /// Bytes of a refused request's body that are read and dropped so that the client sees the answer.
    pub drain_bytes_max: u64,
    /// For requests in flight to end when the server shuts down.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1024,
            head_timeout: Duration::from_secs(75),
            body_idle_timeout: Duration::from_secs(60),
            write_idle_timeout: Duration::from_secs(60),
            head_bytes_max: 64 << 10,
            drain_bytes_max: 64 << 20,
            shutdown_timeout: Duration::from_secs(5),
        }
    }
}

/// What a client asked.
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path as it was sent, still percent-encoded.
    pub path: String,
    /// What stood behind the question mark, still percent-encoded.
    pub query: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, unread. A client that sent `Expect: 100-continue` is told to go on when it is first polled.
    pub body: RequestBody,
}

/// Why a body ended early.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The client sent nothing for too long.
    #[error("the client stopped sending")]
    Idle,
    /// The connection ended or the framing was broken.
    #[error("the body was cut off: {0}")]
    Cut(String),
}

/// The bytes of a request as they arrive.
///
/// Dropped before its end, the rest is read and thrown away in the background up to a limit: a client that is still
/// sending when the connection is reset never sees the answer.
pub struct RequestBody {
    incoming: Option<Incoming>,
    idle_timeout: Duration,
    drain_bytes_max: u64,
    // Set when the client sends the body, be it that it was told to go on or that it never asked.
    flows: Arc<AtomicBool>,
    // Bytes a second that are taken, at most.
    pace: Option<u64>,
    // A bit that becomes another one on its way: how many bytes come before its own, and which of that one it is.
    flipped: Option<(u64, u32)>,
    // It expects something that this server does not know: whether it will send the body nobody can tell.
    is_doubtful: bool,
}

impl RequestBody {
    /// The same body, of which no more than so many bytes a second are taken.
    #[must_use]
    pub fn slowed(mut self, bytes_per_second: u64) -> Self {
        self.pace = Some(bytes_per_second.max(1));
        self
    }

    /// The same body with another bit in the byte at this place, if it has so many.
    #[must_use]
    pub fn flipped(mut self, at: u64, bit: u32) -> Self {
        self.flipped = Some((at, bit % 8));
        self
    }

    /// The next bytes, `None` at the end.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        self.flows.store(true, Ordering::Relaxed);
        loop {
            let incoming = self.incoming.as_mut()?;
            let frame = match tokio::time::timeout(self.idle_timeout, incoming.frame()).await {
                Ok(Some(Ok(frame))) => frame,
                Ok(None) => {
                    self.incoming = None;
                    return None;
                }
                Ok(Some(Err(error))) => {
                    self.incoming = None;
                    return Some(Err(BodyError::Cut(error.to_string())));
                }
                Err(_) => {
                    self.incoming = None;
                    return Some(Err(BodyError::Idle));
                }
            };
            // Trailers of HTTP itself say nothing in S3.
            if let Ok(data) = frame.into_data() {
                if let Some(pace) = self.pace {
                    let micros = (data.len() as u64).saturating_mul(1_000_000) / pace;
                    tokio::time::sleep(Duration::from_micros(micros)).await;
                }
                return Some(Ok(self.damaged(data)));
            }
        }
    }

    fn damaged(&mut self, data: Bytes) -> Bytes {
        let Some((before, bit)) = self.flipped.take() else { return data };
        match usize::try_from(before).ok().filter(|at| *at < data.len()) {
            Some(at) => {
                let mut damaged = data.to_vec();
                damaged[at] ^= 1 << bit;
                damaged.into()
            }
            None => {
                self.flipped = Some((before - data.len() as u64, bit));
                data
            }
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        let Some(mut incoming) = self.incoming.take() else { return };
        if !self.flows.load(Ordering::Relaxed) || http_body::Body::is_end_stream(&incoming) {
            return;
        }
        let (idle_timeout, mut left) = (self.idle_timeout, self.drain_bytes_max);
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            while let Ok(Some(Ok(frame))) = tokio::time::timeout(idle_timeout, incoming.frame()).await {
                let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
                let Some(rest) = left.checked_sub(bytes) else { return };
                left = rest;
            }
        });
    }
}

/// What is answered.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers, without `Content-Length`, which follows from the body.
    pub headers: HeaderMap,
    /// The body.
    pub body: ResponseBody,
}

/// The body of an answer.
pub enum ResponseBody {
    /// None.
    Empty,
    /// Bytes at hand.
    Full(Bytes),
    /// None, but its length is told: the answer to HEAD.
    Length(u64),
    /// So many bytes as they come. An error, or fewer bytes, cuts the connection so that the client notices; the error
    /// [`io::ErrorKind::ConnectionReset`] does it by a reset.
    Stream(u64, BoxStream<'static, io::Result<Bytes>>),
    /// No answer at all: the connection ends.
    Cut(Cut),
}

/// How a connection ends before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// By a reset: what is under way is lost.
    Reset,
    /// As connections end that nobody needs any more.
    Closed,
}

/// Answers requests. Must not panic; a panic ends the connection without an answer.
pub trait Handler: Send + Sync + 'static {
    /// The answer to one request.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;
}

/// A listening socket with its connections.
pub struct Listening {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Listening {
    /// Binds `addr` and answers until [`shutdown`](Self::shutdown) or drop.
    pub async fn start<H: Handler>(addr: SocketAddr, limits: Limits, handler: Arc<H>) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, Arc::new(limits), handler, stopped));
        Ok(Self { addr, stop, accepting })
    }

    /// Where it listens; the port is a real one also when port 0 was asked for.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections, lets requests in flight end for a while, then cuts them off.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        // Cannot fail but by a panic, of which the runtime has told already.
        let _ = (&mut self.accepting).await;
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept<H: Handler>(
    listener: TcpListener,
    limits: Arc<Limits>,
    handler: Arc<H>,
    mut stopped: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            biased;
            () = stop_asked(&mut stopped) => break,
            Some(_) = connections.join_next() => continue,
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never closed"),
        };
        let stream = tokio::select! {
            biased;
            () = stop_asked(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: connections that end give some back.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        let connection = serve(stream, Arc::clone(&limits), Arc::clone(&handler), stopped.clone());
        connections.spawn(async move {
            connection.await;
            drop(slot);
        });
    }
    drop(listener);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.shutdown_timeout, ended).await.is_err() {
        connections.shutdown().await;
    }
}

async fn stop_asked(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same as one that says so.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn serve<H: Handler>(
    stream: TcpStream,
    limits: Arc<Limits>,
    handler: Arc<H>,
    mut stopped: watch::Receiver<bool>,
) {
    // Without this the last segment of an answer waits for the client's acknowledgement.
    let _ = stream.set_nodelay(true);
    let resets = Arc::new(AtomicBool::new(false));
    let io = TokioIo::new(WriteWatch::new(stream, limits.write_idle_timeout, Arc::clone(&resets)));
    let service = service_fn(|request: http::Request<Incoming>| {
        let (handler, limits, resets) = (Arc::clone(&handler), Arc::clone(&limits), Arc::clone(&resets));
        async move {
            let request = plain(request, &limits);
            let (flows, is_doubtful) = (Arc::clone(&request.body.flows), request.body.is_doubtful);
            let response = handler.handle(request).await;
            if let ResponseBody::Cut(how) = response.body {
                resets.store(how == Cut::Reset, Ordering::Relaxed);
                return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
            }
            let mut response = answer(response, resets);
            // A client that was not told to send its body does not, and what it sends next would be taken for it.
            if is_doubtful || !flows.load(Ordering::Relaxed) {
                response.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
            }
            Ok(response)
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max)
        .max_buf_size(limits.head_bytes_max.max(256 << 10))
        .auto_date_header(false)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop_asked(&mut stopped) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

fn plain(request: http::Request<Incoming>, limits: &Limits) -> Request {
    let (head, incoming) = request.into_parts();
    let expects = head.headers.get(http::header::EXPECT);
    let waits = expects.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let is_doubtful = expects.is_some() && !waits;
    Request {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().map(str::to_owned),
        headers: head.headers,
        body: RequestBody {
            incoming: Some(incoming),
            idle_timeout: limits.body_idle_timeout,
            drain_bytes_max: limits.drain_bytes_max,
            flows: Arc::new(AtomicBool::new(!waits)),
            pace: None,
            flipped: None,
            is_doubtful,
        },
    }
}

fn answer(response: Response, resets: Arc<AtomicBool>) -> http::Response<Outgoing> {
    let mut out = http::Response::new(Outgoing::new(response.body, resets));
    *out.status_mut() = response.status;
    *out.headers_mut() = response.headers;
    if let Outgoing::Length(bytes) = out.body() {
        let bytes = *bytes;
        out.headers_mut().insert(http::header::CONTENT_LENGTH, bytes.into());
    }
    out
}

/// A response body as hyper wants it.
enum Outgoing {
    Full(Option<Bytes>),
    Length(u64),
    // With where it is told that the connection is to be reset.
    Stream(u64, BoxStream<'static, io::Result<Bytes>>, Arc<AtomicBool>),
}

impl Outgoing {
    fn new(body: ResponseBody, resets: Arc<AtomicBool>) -> Self {
        match body {
            ResponseBody::Empty | ResponseBody::Cut(_) => Self::Full(None),
            ResponseBody::Full(bytes) => Self::Full(Some(bytes).filter(|bytes| !bytes.is_empty())),
            ResponseBody::Length(bytes) => Self::Length(bytes),
            ResponseBody::Stream(bytes, stream) => Self::Stream(bytes, stream, resets),
        }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Length(_) => Poll::Ready(None),
            Self::Stream(left, stream, resets) => stream.poll_next_unpin(cx).map(|next| match next {
                None if *left > 0 => Some(Err(io::ErrorKind::UnexpectedEof.into())),
                None => None,
                Some(Ok(bytes)) => {
                    *left = left.saturating_sub(bytes.len() as u64);
                    Some(Ok(Frame::data(bytes)))
                }
                Some(Err(error)) => {
                    resets.store(error.kind() == io::ErrorKind::ConnectionReset, Ordering::Relaxed);
                    Some(Err(error))
                }
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.is_none(),
            Self::Length(_) => true,
            Self::Stream(left, ..) => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Length(_) => SizeHint::with_exact(0),
            Self::Stream(left, ..) => SizeHint::with_exact(*left),
        }
    }
}
