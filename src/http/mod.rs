//! HTTP as plain values, and the only place that names an HTTP library.
//!
//! Nothing here knows of S3: whoever sends a request has signed it, whoever gets an answer reads it.

pub mod client;
mod origin;
pub mod server;
pub mod tls;

pub use ::http::HeaderMap;
pub use ::http::HeaderName;
pub use ::http::HeaderValue;
pub use ::http::Method;
pub use ::http::StatusCode;
pub use ::http::header;
pub use origin::Origin;

use async_trait::async_trait;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// What an HTTP call answers.
pub type Result<T> = std::result::Result<T, Error>;

/// The bytes of an answer as they arrive.
pub type Incoming = BoxStream<'static, Result<Bytes>>;

/// A request, cheap to clone, so that it can be sent again.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub origin: Origin,
    /// The path, percent-encoded; sent byte for byte.
    pub path: String,
    /// The query without `?`, percent-encoded; sent byte for byte.
    pub query: String,
    /// The headers, without `Host`, which is the origin's.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// For how long the other side may be silent before the request counts as lost.
    pub patience: Duration,
    /// Bytes a second that an answer's body must bring while it is waited for, measured over `patience`: who drips is as
    /// good as silent. None are needed if it is zero, for who sends blanks while he works.
    pub pace: u64,
}

/// A body in pieces, of known length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    pieces: Vec<Bytes>,
}

impl Body {
    /// A body of these pieces, in order.
    #[must_use]
    pub fn new(pieces: Vec<Bytes>) -> Self {
        Self { pieces }
    }

    /// How many bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(Bytes::is_empty)
    }

    /// The pieces.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

/// An answer whose body is still arriving.
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body. It ends with an error if fewer bytes arrive than were announced.
    pub body: Incoming,
}

impl Response {
    /// The whole body, if it is not longer than `limit` bytes.
    ///
    /// # Errors
    /// When it is longer, or does not arrive whole.
    pub async fn bytes(mut self, limit: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(piece) = self.body.next().await {
            let piece = piece?;
            if whole.is_empty() && piece.len() <= limit && self.announced() == Some(piece.len() as u64) {
                return Ok(piece);
            }
            if piece.len() > limit - whole.len() {
                return Err(Error::new(ErrorKind::Broken, format!("the answer is longer than {limit} bytes")));
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The length that the headers announce.
    #[must_use]
    pub fn announced(&self) -> Option<u64> {
        self.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }
}

/// Sends requests. The network client is one; tests have others.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Sends a request and waits for the head of the answer. Any status is an answer.
    async fn send(&self, request: Request) -> Result<Response>;
}

/// What kind of failure it was; the message says more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The URL cannot be sent as it is; nothing was sent.
    Url,
    /// No connection came about; nothing was sent.
    Connect,
    /// The other side does not speak TLS, or has no valid certificate; nothing was sent.
    Tls,
    /// The other side was silent for too long.
    Timeout,
    /// The connection broke.
    Broken,
    /// What came is not HTTP.
    NotHttp,
}

/// A request without an answer.
#[derive(Debug)]
pub struct Error {
    /// What kind.
    pub kind: ErrorKind,
    /// What happened, in one line.
    pub message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error without a cause below it.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same error with its cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
