//! Faults on purpose: a plan says which requests meet what, and the server does it to them.
//!
//! [`plan`] is what is said, [`file`](mod@file) how it is written, [`decide`] which request it hits, [`alter`] what becomes of an
//! answer, [`met`] leads one request through its faults; here is what holds them, with what a listing of the past needs.

pub mod alter;
pub mod decide;
pub mod file;
pub mod met;
pub mod plan;

pub use decide::Asked;
pub use decide::Counts;
pub use decide::Decision;
pub use plan::Plan;

use crate::base::clock;
use crate::server::backend::index::Snapshot;
use crate::server::faults::decide::Decider;
use crate::server::faults::plan::Behind;
use crate::server::faults::plan::CHANGES_MAX;
use crate::server::faults::plan::Effect;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;
use std::time::Instant;

/// The plan that is in force, if any.
#[derive(Default)]
pub struct Faults(Mutex<Option<Running>>);

struct Running {
    decider: Decider,
    begun: Instant,
    /// Before each of the last changes: when, and how the index was. Kept only where a rule asks for the past.
    past: VecDeque<(Duration, Arc<Snapshot>)>,
}

impl Faults {
    /// Puts another plan in force, from its beginning; or none.
    pub fn set(&self, plan: Option<Plan>) {
        let begun = clock::monotonic();
        *self.lock() = plan.map(|plan| Running { decider: Decider::new(plan), begun, past: VecDeque::new() });
    }

    /// Whether there is a plan at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.lock().is_some()
    }

    /// How often each rule has matched and hit.
    #[must_use]
    pub fn counts(&self) -> Vec<Counts> {
        self.lock().as_ref().map(|running| running.decider.counts().to_vec()).unwrap_or_default()
    }

    /// What a request meets. Every fault is told in the log.
    #[must_use]
    pub fn decide(&self, asked: &Asked) -> Decision {
        let mut running = self.lock();
        let Some(running) = running.as_mut() else { return Decision::default() };
        let decision = running.decider.decide(asked, running.begun.elapsed());
        for (rule, fault, nth) in &decision.hits {
            let Asked { operation, key, .. } = asked;
            tracing::info!(rule, fault, nth, operation, key, "fault injected");
        }
        decision
    }

    /// Whether what was before the next change must be kept.
    #[must_use]
    pub fn wants_past(&self) -> bool {
        let stale = |running: &Running| {
            running.decider.plan().rules.iter().any(|rule| matches!(rule.effect, Effect::StaleListing(_)))
        };
        self.lock().as_ref().is_some_and(stale)
    }

    /// Keeps how the index is before a change.
    pub fn keep(&self, now: Snapshot) {
        if let Some(running) = self.lock().as_mut() {
            let elapsed = running.begun.elapsed();
            running.past.push_back((elapsed, Arc::new(now)));
            if running.past.len() > CHANGES_MAX {
                running.past.pop_front();
            }
        }
    }

    /// How the index was; `None` if it was as it is.
    #[must_use]
    pub fn past(&self, behind: Behind) -> Option<Arc<Snapshot>> {
        let running = self.lock();
        let running = running.as_ref()?;
        let found = match behind {
            Behind::Changes(changes) => running.past.get(running.past.len().saturating_sub(changes)),
            // What was before the first change after that time was also then.
            Behind::Time(age) => {
                let at = running.begun.elapsed().saturating_sub(age);
                running.past.iter().find(|(changed, _)| *changed >= at)
            }
        };
        found.map(|(_, snapshot)| Arc::clone(snapshot))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }
}
