//! One request on its way through what it meets: before its work, instead of it, and after.

use crate::http::HeaderValue;
use crate::http::StatusCode;
use crate::http::header;
use crate::http::server::Request;
use crate::http::server::Response;
use crate::server::dialect::Dialect;
use crate::server::fault::Fault;
use crate::server::faults::alter;
use crate::server::faults::decide::Asked;
use crate::server::faults::decide::Decision;
use crate::server::faults::plan::Behind;
use crate::server::faults::plan::Body;
use crate::server::faults::plan::Effect;
use crate::server::faults::plan::Ending;
use crate::server::faults::plan::Point;
use crate::server::route::OnBucket;
use crate::server::route::Operation;
use std::time::Duration;
use std::time::SystemTime;

/// What of a request decides which faults it meets. What is no operation has no name.
#[must_use]
pub fn asked(operation: Option<&Operation>, method: &str, dialect: Dialect) -> Asked {
    let key = match operation {
        Some(Operation::Object(name, _)) => name.key.clone(),
        Some(Operation::Bucket(_, OnBucket::ListObjects(list))) => list.prefix.clone(),
        Some(Operation::ListBuckets | Operation::Bucket(..)) | None => String::new(),
    };
    Asked {
        operation: operation.map_or("", Operation::name),
        method: method.to_owned(),
        key,
        dialect,
        writes: operation.is_some_and(Operation::writes),
    }
}

/// What a request meets.
pub struct Met {
    decision: Decision,
    writes: bool,
}

impl Met {
    /// No fault.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(Decision::default(), false)
    }

    /// What was decided, for a request that changes something or not.
    #[must_use]
    pub fn new(decision: Decision, writes: bool) -> Self {
        Self { decision, writes }
    }

    /// Whether the request changes something.
    #[must_use]
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// The time as the server believes it to be.
    #[must_use]
    pub fn time(&self, now: SystemTime) -> SystemTime {
        let by = Duration::from_secs(self.decision.skew.unsigned_abs());
        let skewed = if self.decision.skew < 0 { now.checked_sub(by) } else { now.checked_add(by) };
        skewed.unwrap_or(now)
    }

    /// How old a state a listing shows.
    #[must_use]
    pub fn behind(&self) -> Option<Behind> {
        match self.decision.effect {
            Some((Effect::StaleListing(behind), _)) => Some(behind),
            Some(_) | None => None,
        }
    }

    /// Waits, slows the body down or damages it, and ends the connection if it ends before the work.
    ///
    /// # Errors
    /// The answer to a request that nobody is to hear of: none.
    pub async fn receive(&mut self, mut request: Request) -> Result<Request, Response> {
        if !self.decision.delay.is_zero() {
            tokio::time::sleep(self.decision.delay).await;
        }
        if let Some(up) = self.decision.up {
            request.body = request.body.slowed(up);
        }
        let length = request.headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let length = length.and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let (wanted, how) = match &self.decision.effect {
            Some((Effect::Cut { at: Point::BeforeBody, how }, _)) => return Err(alter::cut(*how)),
            Some((Effect::Stall(time), _)) => {
                tokio::time::sleep(*time).await;
                return Err(alter::cut(Ending::Closed));
            }
            Some((Effect::Cut { at: Point::InBody(bytes), how }, _)) => {
                (Some(bytes.unwrap_or(length / 2).min(length.saturating_sub(1))), *how)
            }
            Some((Effect::Cut { at: Point::AfterBody, how }, _)) => (None, *how),
            Some((Effect::Corrupted(Body::Request), draw)) => {
                let (at, bit) = alter::drawn_bit(length, *draw);
                request.body = request.body.flipped(at, bit);
                return Ok(request);
            }
            Some(_) | None => return Ok(request),
        };
        alter::swallow(request.body, wanted).await;
        Err(alter::cut(how))
    }

    /// What is answered instead of doing the work.
    #[must_use]
    pub fn refusal(&self) -> Option<Fault> {
        match &self.decision.effect {
            Some((Effect::Refused { code, message, .. }, _)) => Some(Fault::new(*code, *message)),
            Some((Effect::ErrorInside(code), _)) => Some((*code).into()),
            Some(_) | None => None,
        }
    }

    /// What the client gets to see.
    #[must_use]
    pub fn alter(&self, mut response: Response) -> Response {
        if let Some((effect, draw)) = &self.decision.effect {
            match effect {
                Effect::Refused { status, retry_after, .. } => {
                    response.status = StatusCode::from_u16(*status).expect("the file allows only statuses");
                    if let Some(seconds) = retry_after {
                        response.headers.insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                    }
                }
                Effect::ErrorInside(_) => response.status = StatusCode::OK,
                other => response = alter::answer(response, other, *draw),
            }
        }
        match self.decision.down {
            Some(down) => alter::slowed(response, down),
            None => response,
        }
    }
}
