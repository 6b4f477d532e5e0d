//! Whether and when a process that has died is started again. Pure.

use std::time::Duration;

/// A process that has served for so long died of something new.
const LONG: Duration = Duration::from_secs(10);
/// The pause before the second start in a row; each further one is twice as long, ...
const PAUSE: Duration = Duration::from_millis(100);
/// ... up to this.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Starts in a row. Together they take about half a minute.
const IN_A_ROW_MAX: u32 = 10;

/// What is remembered of deaths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    in_a_row: u32,
}

impl Restarts {
    /// How many have died in a row.
    #[must_use]
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// A process has died that has served for so long. Answers how long to wait before the next one is started; `None` when
    /// there is no hope.
    pub fn died(&mut self, served: Duration) -> Option<Duration> {
        self.in_a_row = if served >= LONG { 1 } else { self.in_a_row + 1 };
        match self.in_a_row {
            1 => Some(Duration::ZERO),
            before @ 2..=IN_A_ROW_MAX => Some(PAUSE_MAX.min(PAUSE * 2_u32.pow(before - 2))),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_started_again_at_once_and_then_ever_later() {
        let mut restarts = Restarts::default();
        let pauses: Vec<_> = std::iter::from_fn(|| restarts.died(Duration::ZERO)).collect();
        assert_eq!(pauses.len(), 10);
        assert_eq!(pauses[..4], [0, 100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses[9], PAUSE_MAX);
        assert!(pauses.is_sorted());
        assert_eq!(restarts.died(Duration::ZERO), None, "it stays given up");
    }

    #[test]
    fn whoever_has_served_for_long_begins_anew() {
        let mut restarts = Restarts::default();
        for _ in 0..100 {
            assert_eq!(restarts.died(LONG), Some(Duration::ZERO));
        }
        assert_eq!(restarts.died(Duration::from_secs(1)), Some(PAUSE));
    }
}
