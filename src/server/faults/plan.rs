//! A plan of faults as values: which requests, and what happens to them. How it is written in a file is
//! [`crate::server::faults::file`], which request is hit is [`crate::server::faults::decide`].

use crate::server::dialect::Dialect;
use crate::wire::error_code::ErrorCode;
use std::time::Duration;

/// Rules in the order in which they are looked at, and the seed of all draws.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Decides every draw.
    pub seed: u64,
    /// The rules. Delays, bandwidths and skews of all that match add up; of the others the first that hits counts.
    pub rules: Vec<Rule>,
}

/// What happens to some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// To which.
    pub requests: Requests,
    /// To which of these.
    pub when: When,
    /// What.
    pub effect: Effect,
}

/// Which requests a rule is about. What is not said is any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// S3's names of operations, as the counters have them; any if empty.
    pub operations: Vec<String>,
    /// A pattern of the key, or of the prefix of a listing: `*` is any text, `?` any character.
    pub key: Option<String>,
    /// The method.
    pub method: Option<String>,
    /// The dialect.
    pub dialect: Option<Dialect>,
    /// Not before this time since the start.
    pub after: Option<Duration>,
    /// Not at or after this time since the start.
    pub before: Option<Duration>,
}

/// Which of the requests that a rule is about it hits. All that is said must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct When {
    /// Only the n-th, counted from 1.
    pub nth: Option<u64>,
    /// Every n-th.
    pub every: Option<u64>,
    /// With this probability, in millionths.
    pub millionths: Option<u64>,
    /// At most so many times.
    pub times: Option<u64>,
}

/// A millionth is the unit of probabilities, so that plans can be compared.
pub const MILLION: u64 = 1_000_000;

/// What happens to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is answered later.
    Latency(Delay),
    /// Its bytes flow slowly.
    Bandwidth {
        /// Bytes a second to the server.
        up: Option<u64>,
        /// Bytes a second to the client.
        down: Option<u64>,
    },
    /// The server's clock is wrong by so many seconds.
    ClockSkew(i64),
    /// It is refused with this status and nothing is done.
    Refused {
        /// The status.
        status: u16,
        /// The code in the answer.
        code: ErrorCode,
        /// A sentence in the answer.
        message: &'static str,
        /// Seconds in `Retry-After`.
        retry_after: Option<u64>,
    },
    /// The connection ends.
    Cut {
        /// Where.
        at: Point,
        /// How the client sees it.
        how: Ending,
    },
    /// Nothing is done or answered for so long; then the connection ends.
    Stall(Duration),
    /// The answer's body ends early.
    Truncated {
        /// Bytes that come; half of them if `None`.
        bytes: Option<u64>,
        /// Whether `Content-Length` agrees, so that only the object's size or checksum tells.
        announced: bool,
    },
    /// One bit of a body is another one.
    Corrupted(Body),
    /// The status is 200, and the document says that it failed; nothing is done.
    ErrorInside(ErrorCode),
    /// Tags in the answer are other ones.
    WrongETag,
    /// The listing is an old one.
    StaleListing(Behind),
}

/// How long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delay {
    /// The shortest.
    pub least: Duration,
    /// The longest; the shortest if `None`.
    pub most: Option<Duration>,
    /// Whether most are near the shortest and few are very long (a Pareto distribution of shape 1.2, cut at the longest),
    /// instead of all being as likely.
    pub long_tail: bool,
}

/// Where in a request its connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// Nothing of the body is read, nothing is done.
    BeforeBody,
    /// So many bytes of the body are read, half if `None`; nothing is done.
    InBody(Option<u64>),
    /// The body is read; nothing is done.
    AfterBody,
    /// The work is done, nothing is answered.
    BeforeAnswer,
    /// The work is done, and so many bytes of the answer's body are sent, half if `None`.
    InAnswer(Option<u64>),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `ECONNRESET`: what was under way is gone.
    Reset,
    /// As if the server had closed it in peace.
    Closed,
}

/// Which body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// That of the request.
    Request,
    /// That of the answer.
    Answer,
}

/// How old a listing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// As it was this long ago.
    Time(Duration),
    /// As it was before the last so many changes.
    Changes(usize),
}

/// How many changes back the server can look.
pub const CHANGES_MAX: usize = 64;

impl Effect {
    /// The name in a file and in the log.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Bandwidth { .. } => "bandwidth",
            Self::ClockSkew(_) => "clock-skew",
            Self::Refused { code: ErrorCode::ExpiredToken, .. } => "expired-credentials",
            Self::Refused { status: 507, .. } => "disk-full",
            Self::Refused { .. } => "status",
            Self::Cut { at: Point::BeforeAnswer, .. } => "lost-answer",
            Self::Cut { at: Point::BeforeBody, how: Ending::Closed } => "lost-request",
            Self::Cut { .. } => "reset",
            Self::Stall(_) => "stall",
            Self::Truncated { .. } => "truncated",
            Self::Corrupted(_) => "corrupted",
            Self::ErrorInside(_) => "error-in-200",
            Self::WrongETag => "wrong-etag",
            Self::StaleListing(_) => "stale-listing",
        }
    }

    /// The operations that it makes sense for; any if empty.
    #[must_use]
    pub fn operations(&self) -> &'static [&'static str] {
        match self {
            Self::Truncated { .. } | Self::Corrupted(Body::Answer) => &["GetObject"],
            Self::Corrupted(Body::Request) => &["PutObject", "UploadPart", "CompleteMultipartUpload", "DeleteObjects"],
            Self::ErrorInside(_) => &["CompleteMultipartUpload", "CopyObject", "UploadPartCopy", "DeleteObjects"],
            Self::StaleListing(_) => &["ListObjects", "ListObjectsV2"],
            Self::WrongETag => &[
                "PutObject",
                "UploadPart",
                "UploadPartCopy",
                "CompleteMultipartUpload",
                "CopyObject",
                "GetObject",
                "HeadObject",
                "ListObjects",
                "ListObjectsV2",
                "ListParts",
            ],
            Self::Latency(_)
            | Self::Bandwidth { .. }
            | Self::ClockSkew(_)
            | Self::Refused { .. }
            | Self::Cut { .. }
            | Self::Stall(_) => &[],
        }
    }
}
