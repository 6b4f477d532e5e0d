//! The only place that reads the system clock. Pure code takes times as arguments instead.

use std::time::Instant;
use std::time::SystemTime;

/// The wall clock, for dates on the wire and in attributes.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn now() -> SystemTime {
    SystemTime::now()
}

/// The monotonic clock, for ages and deadlines.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that may")]
pub fn monotonic() -> Instant {
    Instant::now()
}
