//! Whether the store can be reached: what all requests of a mount know of it together.
//!
//! While the line is broken requests wait at it instead of each knocking for itself. One that waits asks for the bucket
//! now and then; the first answer lets all of them through. Decided purely in `State`; the shell adds the clock and
//! those who wait.

use crate::store::Error;
use crate::store::Store;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// So many failures in a row, without an answer among all requests, …
const FAILURES_MIN: u32 = 3;
/// … over so long a time, make it worth asking whether the store is there at all; …
const FAILING_MIN: Duration = Duration::from_secs(2);
/// … and a single one after this time.
const SILENT_MIN: Duration = Duration::from_secs(10);
/// The pause after the first probe that failed; it doubles with each.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// The longest pause between probes: no longer does anybody wait needlessly once the store is back.
const PAUSE_LONGEST: Duration = Duration::from_secs(5);
/// How long a probe may take before it counts as failed.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// The state of the way to the store, shared by all who use it.
#[derive(Debug)]
pub struct Line {
    state: watch::Sender<State>,
}

/// For how long a request waits while the line is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until the store is back.
    Endless,
    /// Until this time; not at all if the line has been broken for longer than `outage_max` by then.
    Until {
        /// When to give up.
        deadline: Instant,
        /// A line that has been broken for so long is not waited for.
        outage_max: Duration,
    },
}

/// What a request that asks to go out is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Go.
    Go,
    /// Find out first whether the store answers, tell [`Line::probed`], and ask again.
    Probe,
}

/// Why a request may not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The store has not answered for so long, and the request's patience is at its end.
    Broken(Duration),
    /// Nothing goes out any more.
    Closed,
}

impl Default for Line {
    fn default() -> Self {
        Self { state: watch::Sender::new(State::default()) }
    }
}

impl Line {
    /// Waits until a request may go out.
    ///
    /// # Errors
    /// When its patience has come to an end, or the line is closed.
    pub async fn admit(&self, patience: Patience) -> Result<Admitted, Refused> {
        let mut changes = self.state.subscribe();
        loop {
            let now = Instant::now();
            let (until, since) = match self.take_gate(now) {
                Gate::Closed => return Err(Refused::Closed),
                Gate::Go => return Ok(Admitted::Go),
                Gate::Probe => return Ok(Admitted::Probe),
                Gate::Wait { until, since } => (until, since),
            };
            let end = patience.end(since, now);
            if end.is_some_and(|end| end <= now) {
                return Err(Refused::Broken(now - since));
            }
            let wake = end.map_or(until, |end| end.min(until));
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    /// The store has answered something, if only a refusal.
    pub fn answered(&self) {
        let now = Instant::now();
        self.state.send_if_modified(|state| match state.answered(now) {
            Some(outage) => {
                tracing::info!(seconds = outage.as_secs(), "the store answers again");
                true
            }
            None => false,
        });
    }

    /// A request that was sent at `sent` had no answer, or one that only says that the store is in trouble.
    pub fn failed(&self, sent: Instant) {
        self.state.send_if_modified(|state| {
            state.failed(sent);
            false
        });
    }

    /// What came of a probe that was sent at `sent`.
    pub fn probed(&self, answered: bool, sent: Instant) {
        if answered {
            return self.answered();
        }
        self.state.send_if_modified(|state| {
            let newly = state.probe_failed(sent);
            if newly {
                tracing::warn!("the store does not answer; what is to be stored waits for it");
            }
            newly
        });
    }

    /// For how long the store has been gone; `None` while it answers.
    #[must_use]
    pub fn outage(&self) -> Option<Duration> {
        let state = self.state.borrow();
        state.broken_since().map(|since| Instant::now() - since)
    }

    /// Lets nothing through any more, and ends what waits and what is under way.
    pub fn close(&self) {
        self.state.send_if_modified(|state| !std::mem::replace(&mut state.closed, true));
    }

    /// Whether nothing goes out any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.borrow().closed
    }

    /// Returns once the line is closed.
    pub async fn closed(&self) {
        // The state cannot go while this borrows it.
        let _ = self.state.subscribe().wait_for(|state| state.closed).await;
    }

    /// Returns when somebody who began to wait at `begun` need wait no longer: the line is closed, or has been broken for
    /// `outage_max` while that one waited as long.
    pub async fn hopeless(&self, begun: Instant, outage_max: Duration) {
        let mut changes = self.state.subscribe();
        loop {
            let (closed, since) = {
                let state = changes.borrow_and_update();
                (state.closed, state.broken_since())
            };
            let at = since.map(|since| since.max(begun) + outage_max);
            if closed || at.is_some_and(|at| at <= Instant::now()) {
                return;
            }
            tokio::select! {
                _ = changes.changed() => {}
                () = until(at) => {}
            }
        }
    }

    fn take_gate(&self, now: Instant) -> Gate {
        let mut gate = Gate::Go;
        // Nobody is woken: only who waits and is not the one to probe could have to know.
        self.state.send_if_modified(|state| {
            gate = state.gate(now);
            false
        });
        gate
    }
}

impl Patience {
    fn end(self, since: Instant, now: Instant) -> Option<Instant> {
        match self {
            Self::Endless => None,
            Self::Until { deadline, outage_max } => Some(deadline.min((since + outage_max).max(now))),
        }
    }
}

/// Whether a store answers a small request in time. What it refuses for good is answered.
pub async fn answers(store: &dyn Store) -> bool {
    let answer = tokio::time::timeout(PROBE_MAX, store.head_bucket()).await;
    answer.is_ok_and(|answer| answer.err().as_ref().is_none_or(Error::is_answer))
}

/// Sleeps until then; for ever without a time.
pub async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// What is known of the line. Pure.
#[derive(Debug, Default)]
struct State {
    /// Since when there has been no answer to what was sent, and how many failures tell of it.
    failing: Option<(Instant, u32)>,
    answered: Option<Instant>,
    /// A probe has failed too.
    broken: bool,
    /// When the next probe may go out, and how long the pause after it is.
    probe: Option<(Instant, Duration)>,
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Closed,
    Go,
    Probe,
    /// Broken since then; the next probe goes out at `until`.
    Wait {
        until: Instant,
        since: Instant,
    },
}

impl State {
    fn gate(&mut self, now: Instant) -> Gate {
        if self.closed {
            return Gate::Closed;
        }
        let Some((since, failures)) = self.failing else { return Gate::Go };
        let for_long = now - since;
        let is_doubted = failures >= FAILURES_MIN && for_long >= FAILING_MIN || for_long >= SILENT_MIN;
        if !self.broken && !is_doubted {
            return Gate::Go;
        }
        let (at, pause) = self.probe.unwrap_or((now, PAUSE_FIRST));
        if at <= now {
            // Another may go out beside one that hangs.
            self.probe = Some((now + pause.max(PAUSE_FIRST), (pause * 2).min(PAUSE_LONGEST)));
            return Gate::Probe;
        }
        if self.broken { Gate::Wait { until: at, since } } else { Gate::Go }
    }

    /// How long the line was broken, if it was.
    fn answered(&mut self, now: Instant) -> Option<Duration> {
        let outage = self.broken_since().map(|since| now - since);
        *self = Self { answered: Some(now), closed: self.closed, ..Self::default() };
        outage
    }

    fn failed(&mut self, sent: Instant) {
        let (since, failures) = self.failing.unwrap_or((self.answered.map_or(sent, |answered| answered.max(sent)), 0));
        self.failing = Some((since, failures.saturating_add(1)));
    }

    /// Whether that breaks the line.
    fn probe_failed(&mut self, sent: Instant) -> bool {
        self.failed(sent);
        // Somebody may have been answered since it was sent.
        let is_news = self.answered.is_none_or(|answered| answered < sent);
        is_news && !std::mem::replace(&mut self.broken, true)
    }

    fn broken_since(&self) -> Option<Instant> {
        self.failing.filter(|_| self.broken).map(|(since, _)| since)
    }
}

#[cfg(test)]
mod tests;
