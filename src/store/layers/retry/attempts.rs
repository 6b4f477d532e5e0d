//! The attempts at one call: each waits at the line, is cut off at the deadline, and is followed by a pause.

use crate::base::clock;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Result;
use crate::store::layers::retry::Retry;
use crate::store::line;
use crate::store::line::Admitted;
use crate::store::line::Patience;
use crate::store::line::Refused;
use std::future::Future;
use std::time::Duration;
use std::time::SystemTime;
use tokio::time::Instant;

/// Beside the time of the policy, what is sent may take as long as it takes at so many bytes a second.
const SLOWEST_BYTES_PER_SECOND: u64 = 64 << 10;
/// Beside the time of the policy, what the store does inside of itself may take so long.
const INSIDE_MAX: Duration = Duration::from_secs(300);

/// Whether bytes that a program was promised to be kept hang on the operation. An upload that cannot be aborted is found by
/// the next mount.
pub(super) fn stores(op: Op) -> bool {
    match op {
        Op::PutObject
        | Op::DeleteObject
        | Op::DeleteObjects
        | Op::CopyObject
        | Op::MoveObject
        | Op::CreateUpload
        | Op::PutPart
        | Op::CopyPart
        | Op::CompleteUpload => true,
        Op::HeadBucket
        | Op::HeadObject
        | Op::GetObject
        | Op::ListObjects
        | Op::AbortUpload
        | Op::ListParts
        | Op::ListUploads => false,
    }
}

/// The time that an operation needs beside that of the policy.
fn slack(op: Op, bytes: u64) -> Duration {
    match op {
        Op::PutObject | Op::PutPart => Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND),
        Op::CopyObject | Op::MoveObject | Op::CopyPart | Op::CompleteUpload | Op::DeleteObjects => INSIDE_MAX,
        Op::HeadBucket
        | Op::HeadObject
        | Op::GetObject
        | Op::DeleteObject
        | Op::ListObjects
        | Op::CreateUpload
        | Op::AbortUpload
        | Op::ListParts
        | Op::ListUploads => Duration::ZERO,
    }
}

/// What is called.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    pub op: Op,
    pub key: &'a str,
    /// Bytes that go out with it.
    pub bytes: u64,
}

impl<'a> Call<'a> {
    pub fn new(op: Op, key: &'a str) -> Self {
        Self { op, key, bytes: 0 }
    }
}

/// The attempts at one call.
pub(super) struct Attempts<'a> {
    retry: &'a Retry,
    call: Call<'a>,
    /// Whether an outage is waited for and not counted.
    waits: bool,
    /// The first attempt, or the first after an outage.
    begun: Instant,
    pub begun_at: SystemTime,
    made: u32,
    /// Whether there was an attempt, also before an outage.
    tried: bool,
    /// It has begun anew since the store answered just when it was to be given up.
    had_second_chance: bool,
    /// The line let the last one not through: there is nothing to wait for.
    refused: bool,
    /// An answer may have been lost: the work may be done.
    pub in_doubt: bool,
}

impl<'a> Attempts<'a> {
    pub fn new(retry: &'a Retry, call: Call<'a>) -> Self {
        // Of the runtime's clock, as the pauses are, so that tests can hold both.
        let begun = Instant::now();
        let waits = retry.waits_for(call.op);
        Self {
            retry,
            call,
            waits,
            begun,
            begun_at: clock::now(),
            made: 0,
            tried: false,
            had_second_chance: false,
            refused: false,
            in_doubt: false,
        }
    }

    /// One attempt, once the line lets it through.
    pub async fn attempt<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        if let Err(refused) = self.admitted().await {
            self.refused = true;
            return Err(refused);
        }
        if std::mem::replace(&mut self.tried, true) {
            self.retry.counters.repeat(self.call.op);
        }
        let line = &self.retry.line;
        let sent = Instant::now();
        let result = tokio::select! {
            result = work => result,
            () = line.closed() => return Err(self.given_up()),
            () = line::until(self.deadline()) => Err(self.error(format!("no answer within {} s", sent.elapsed().as_secs()))),
        };
        if result.as_ref().err().is_none_or(Error::is_answer) {
            line.answered();
        } else {
            line.failed(sent);
        }
        if result.is_ok() {
            self.retry.earn_burst();
        }
        result
    }

    async fn admitted(&self) -> Result<()> {
        let (line, outage_max) = (&self.retry.line, self.retry.policy.total);
        let patience = match self.deadline() {
            Some(deadline) => Patience::Until { deadline, outage_max },
            None => Patience::Endless,
        };
        loop {
            match line.admit(patience).await {
                Ok(Admitted::Go) => return Ok(()),
                Ok(Admitted::Probe) => self.probe().await,
                Err(Refused::Closed) => return Err(self.given_up()),
                Err(Refused::Broken(outage)) => {
                    return Err(self.error(format!("the store has not answered for {} s", outage.as_secs())));
                }
            }
        }
    }

    /// Finds out whether the store answers at all.
    async fn probe(&self) {
        let sent = Instant::now();
        let answers = tokio::select! {
            answers = line::answers(&*self.retry.inner) => answers,
            () = self.retry.line.closed() => false,
            () = line::until(self.deadline()) => false,
        };
        self.retry.line.probed(answers, sent);
    }

    /// When the call ends, whatever it has come to; never while it waits for a store that is gone.
    fn deadline(&self) -> Option<Instant> {
        (!self.waits).then(|| self.begun + self.retry.policy.total + slack(self.call.op, self.call.bytes))
    }

    /// Waits before the next attempt, or gives the error back if there is to be none.
    pub async fn pause(&mut self, error: Error) -> Result<()> {
        self.made += 1;
        self.in_doubt |= matches!(error.kind, Kind::Network | Kind::Unavailable);
        let retry = self.retry;
        let line = &retry.line;
        if self.refused || line.is_closed() {
            return Err(error);
        }
        if self.is_outage(&error) {
            self.begin_anew(Duration::ZERO);
            return Ok(());
        }
        let elapsed = self.begun.elapsed();
        let pause = match error.kind {
            // The store is there and says when to come again: as good as an outage whose end is known.
            Kind::Throttled(Some(asked)) if self.waits && elapsed + asked > self.retry.policy.total => {
                self.begin_anew(asked);
                Some(asked)
            }
            _ => retry.next_pause(&error, self.made, elapsed),
        };
        if pause.is_none() && self.waits && error.is_transient() && !error.is_answer() {
            // Nothing is given up for an outage that nobody has noticed yet.
            self.probe().await;
            // One that is over by now is an outage too, and this call has seen nothing of what is after it. Once: who answers
            // others all the time and this call never is not waited for.
            let is_over = error.kind == Kind::Network && !std::mem::replace(&mut self.had_second_chance, true);
            if self.is_outage(&error) || is_over {
                self.begin_anew(Duration::ZERO);
                return Ok(());
            }
        }
        match pause {
            Some(pause) => {
                tracing::debug!(%error, attempt = self.made, pause_ms = pause.as_millis(), "repeating");
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = line.closed() => {}
                }
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Whether the store is gone, and is waited for.
    fn is_outage(&self, error: &Error) -> bool {
        self.waits && error.is_transient() && self.retry.line.outage().is_some()
    }

    /// What comes after an outage is counted anew.
    fn begin_anew(&mut self, pause: Duration) {
        (self.begun, self.made) = (Instant::now() + pause, 0);
    }

    /// Whether the error may only mean that an earlier attempt, whose answer was lost, did the work.
    pub fn may_be_done(&self, error: &Error) -> bool {
        self.in_doubt && matches!(error.kind, Kind::PreconditionFailed | Kind::NoSuchUpload)
    }

    fn error(&self, message: String) -> Error {
        Error::new(self.call.op, self.call.key, Kind::Network, message)
    }

    fn given_up(&self) -> Error {
        self.error("given up, since the mount is being ended by force".to_owned())
    }
}
