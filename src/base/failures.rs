//! The last failures of a mount, for people who ask what is wrong. The log has all of them; here are a few, in memory.

use serde::Deserialize;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::SystemTime;

/// How many are remembered.
pub const KEPT_MAX: usize = 20;

/// Bytes of a message or a path that are remembered; a store may say anything.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// What failed, on what, why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Of the file system (`flush`) or of the store (`PutObject`).
    pub operation: String,
    /// The path in the mount, or the key; empty for the bucket.
    pub path: String,
    /// What the program was told, such as `EIO`; `None` for a request to the store.
    pub errno: Option<String>,
    /// The store's own code, such as `SlowDown`.
    pub code: Option<String>,
    /// By which the store's people find the request.
    pub request_id: Option<String>,
    /// For people, one line.
    pub message: String,
}

/// One that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// When it happened last.
    pub at: SystemTime,
    /// How often in a row.
    pub times: u64,
    /// What.
    pub failure: Failure,
}

/// The last ones.
#[derive(Debug, Default)]
pub struct Failures {
    ring: Mutex<VecDeque<Remembered>>,
}

impl Failures {
    /// Remembers one. One that is as the last was, is counted with it: a store that is gone fails in the same way many times.
    pub fn add(&self, at: SystemTime, failure: Failure) {
        let failure = Failure { path: cut(failure.path), message: cut(failure.message), ..failure };
        let mut ring = self.lock();
        match ring.back_mut() {
            Some(last) if is_alike(&last.failure, &failure) => {
                *last = Remembered { at, times: last.times + 1, failure };
            }
            Some(_) | None => {
                if ring.len() == KEPT_MAX {
                    ring.pop_front();
                }
                ring.push_back(Remembered { at, times: 1, failure });
            }
        }
    }

    /// The latest last.
    #[must_use]
    pub fn all(&self) -> Vec<Remembered> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Remembered>> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two differ in nothing but the request.
fn is_alike(one: &Failure, other: &Failure) -> bool {
    one.operation == other.operation && one.path == other.path && one.errno == other.errno && one.code == other.code
}

fn cut(text: String) -> String {
    let end = (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn failure(path: &str, message: &str) -> Failure {
        Failure {
            operation: "flush".into(),
            path: path.into(),
            errno: Some("EIO".into()),
            code: None,
            request_id: None,
            message: message.into(),
        }
    }

    #[test]
    fn the_last_ones_are_kept_and_those_in_a_row_count() {
        let failures = Failures::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for nth in 0..30 {
            failures.add(at(nth), failure(&format!("f{nth}"), "no"));
        }
        failures.add(at(30), failure("f29", "no, again"));
        let all = failures.all();
        assert_eq!((all.len(), all[0].failure.path.as_str()), (KEPT_MAX, "f10"));
        let last = all.last().unwrap();
        assert_eq!((last.times, last.at, last.failure.message.as_str()), (2, at(30), "no, again"));
    }

    #[test]
    fn what_a_store_says_is_one_bearable_line() {
        let failures = Failures::default();
        failures.add(SystemTime::UNIX_EPOCH, failure("f", &format!("a\r\nb{}", "ü".repeat(TEXT_BYTES_MAX))));
        let message = failures.all().remove(0).failure.message;
        assert!(message.starts_with("a  bü") && message.len() <= TEXT_BYTES_MAX && !message.contains('\n'));
    }
}
