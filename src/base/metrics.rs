//! What is counted while work is done and looked at now and then: outcomes, times in buckets, hits and misses, rates.
//!
//! Counting is a few atomic additions and never waits. Nothing here knows what is counted; how it is shown is
//! `mount/metrics.rs` and `cli/status.rs`.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// The upper bounds of the buckets, in microseconds: from answers out of memory to a store that is hardly there. What
/// takes longer than the last is in a bucket of its own.
pub const BOUNDS_US: [u64; 17] = [
    100, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000, 30_000_000, 60_000_000,
];

const BUCKETS: usize = BOUNDS_US.len() + 1;

/// How long a rate looks back, in seconds.
const RATE_SECONDS: usize = 10;

fn add(to: &AtomicU64, by: u64) {
    // Figures are read one by one and need no order among each other.
    to.fetch_add(by, Ordering::Relaxed);
}

fn get(from: &AtomicU64) -> u64 {
    from.load(Ordering::Relaxed)
}

/// Times, sorted into buckets.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Histogram {
    /// Something took so long.
    pub fn record(&self, took: Duration) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        add(&self.buckets[bucket], 1);
        add(&self.sum_us, us);
    }

    /// The figures now.
    #[must_use]
    pub fn read(&self) -> Times {
        Times { buckets: std::array::from_fn(|at| get(&self.buckets[at])), sum_us: get(&self.sum_us) }
    }
}

/// What a histogram held at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many there are in each bucket, those of the buckets before not counted; the last is for what is longer than
    /// all bounds.
    pub buckets: [u64; BUCKETS],
    /// The sum of all times, in microseconds.
    pub sum_us: u64,
}

impl Times {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The mean, in microseconds; 0 of none.
    #[must_use]
    pub fn mean_us(&self) -> u64 {
        self.sum_us.checked_div(self.count()).unwrap_or(0)
    }

    /// The time, in microseconds, that so many of a thousand were not longer than, as far as the buckets tell: within
    /// one, times are taken to be spread evenly. At most the last bound; 0 of none.
    #[must_use]
    pub fn quantile_us(&self, of_a_thousand: u64) -> u64 {
        let wanted = self.count() * of_a_thousand.min(1000);
        let (mut below, mut from) = (0, 0);
        for (count, to) in self.buckets.iter().zip(BOUNDS_US) {
            let up_to = below + count * 1000;
            if *count > 0 && up_to >= wanted {
                return from + (to - from) * (wanted - below) / (count * 1000);
            }
            (below, from) = (up_to, to);
        }
        if wanted == 0 { 0 } else { from }
    }
}

/// How often one kind of work was begun, and what came of it.
#[derive(Debug)]
pub struct Tally {
    begun: AtomicU64,
    ended: AtomicU64,
    ok: AtomicU64,
    failed: Box<[AtomicU64]>,
    bytes: AtomicU64,
    times: Histogram,
}

/// What a tally held at some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How often it was begun.
    pub begun: u64,
    /// How often it is under way.
    pub under_way: u64,
    /// How often it succeeded.
    pub ok: u64,
    /// How often it failed, by the number of the reason; reasons that never were are left out.
    pub failed: Vec<(usize, u64)>,
    /// Bytes that it has moved.
    pub bytes: u64,
    /// How long it took, failures included.
    pub times: Times,
}

impl Counted {
    /// How often it failed, for whatever reason.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failed.iter().map(|(_, times)| times).sum()
    }
}

impl Tally {
    /// Nothing yet, with so many reasons to fail.
    #[must_use]
    pub fn new(reasons: usize) -> Self {
        Self {
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            ok: AtomicU64::new(0),
            failed: (0..reasons).map(|_| AtomicU64::new(0)).collect(),
            bytes: AtomicU64::new(0),
            times: Histogram::default(),
        }
    }

    /// It is begun. To be followed by one [`ended`](Self::ended).
    pub fn begin(&self) {
        add(&self.begun, 1);
    }

    /// It has ended, well or for the reason with this number.
    pub fn ended(&self, outcome: Result<(), usize>, took: Duration) {
        match outcome {
            Ok(()) => add(&self.ok, 1),
            Err(reason) => self.failed_late(reason),
        }
        self.times.record(took);
        add(&self.ended, 1);
    }

    /// What had ended well has failed after all: the answer broke off.
    pub fn failed_late(&self, reason: usize) {
        // A number that nobody has counts with the last one rather than being lost.
        if let Some(count) = self.failed.get(reason).or(self.failed.last()) {
            add(count, 1);
        }
    }

    /// So many bytes were moved.
    pub fn moved(&self, bytes: u64) {
        add(&self.bytes, bytes);
    }

    /// The figures now.
    #[must_use]
    pub fn read(&self) -> Counted {
        // Ends are read first: what begins meanwhile must not look as if it had ended before.
        let ended = get(&self.ended);
        let begun = get(&self.begun);
        let failed = self.failed.iter().map(get).enumerate().filter(|(_, times)| *times > 0);
        Counted {
            begun,
            under_way: begun.saturating_sub(ended),
            ok: get(&self.ok),
            failed: failed.collect(),
            bytes: get(&self.bytes),
            times: self.times.read(),
        }
    }
}

/// How often what was asked for was there already.
#[derive(Debug, Default)]
pub struct HitRate {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a [`HitRate`] held at some moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hits {
    /// It was there.
    pub hits: u64,
    /// It was not.
    pub misses: u64,
}

impl HitRate {
    /// It was there.
    pub fn hit(&self) {
        add(&self.hits, 1);
    }

    /// It was not there.
    pub fn miss(&self) {
        self.missed(1);
    }

    /// So many were not there.
    pub fn missed(&self, times: u64) {
        add(&self.misses, times);
    }

    /// The figures now.
    #[must_use]
    pub fn read(&self) -> Hits {
        Hits { hits: get(&self.hits), misses: get(&self.misses) }
    }
}

/// Bytes a second over the last seconds. Pure: time is an argument.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    began: Option<Instant>,
    /// Bytes of the last seconds, by the number of the second modulo their count.
    slots: [u64; RATE_SECONDS],
    /// The number of the second that was noted last.
    latest: u64,
}

impl Meter {
    /// Work begins now, if it has not before: bytes noted later were on their way since then.
    pub fn start(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    /// So many bytes have arrived.
    pub fn note(&mut self, now: Instant, bytes: u64) {
        self.start(now);
        self.advance(now);
        let slot = &mut self.slots[slot(self.latest)];
        *slot = slot.saturating_add(bytes);
    }

    /// Bytes a second; `None` before a second has passed, or anything has arrived.
    #[must_use]
    pub fn rate(&self, now: Instant) -> Option<u64> {
        let elapsed = now.saturating_duration_since(self.began?);
        let mut current = self.clone();
        current.advance(now);
        // The second that runs is not whole: it counts for as long as it has.
        let spans = (RATE_SECONDS as u64 - 1) * 1000 + u64::from(elapsed.subsec_millis());
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).min(spans);
        let bytes = current.slots.iter().fold(0_u64, |sum, slot| sum.saturating_add(*slot));
        (millis >= 1000 && bytes > 0).then(|| bytes.saturating_mul(1000) / millis)
    }

    fn advance(&mut self, now: Instant) {
        let second = self.began.map_or(0, |began| now.saturating_duration_since(began).as_secs());
        for passed in self.latest + 1..=second.min(self.latest + RATE_SECONDS as u64) {
            self.slots[slot(passed)] = 0;
        }
        if second > self.latest + RATE_SECONDS as u64 {
            self.slots = [0; RATE_SECONDS];
        }
        self.latest = self.latest.max(second);
    }
}

fn slot(second: u64) -> usize {
    usize::try_from(second % RATE_SECONDS as u64).expect("a small number")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock;

    fn micros(us: u64) -> Duration {
        Duration::from_micros(us)
    }

    #[test]
    fn times_go_to_the_bucket_whose_bound_they_do_not_pass() {
        let histogram = Histogram::default();
        for (us, bucket) in [(0, 0), (100, 0), (101, 1), (1_000, 2), (60_000_000, 16), (60_000_001, 17)] {
            let before = histogram.read().buckets[bucket];
            histogram.record(micros(us));
            assert_eq!(histogram.read().buckets[bucket], before + 1, "{us} us");
        }
        let times = histogram.read();
        assert_eq!((times.count(), times.sum_us), (6, 120_001_202));
        assert_eq!(times.mean_us(), 20_000_200);
    }

    #[test]
    fn quantiles_lie_within_their_bucket() {
        let rows: &[(&[u64], u64, u64)] = &[
            // times       of 1000   want
            (&[], 500, 0),
            (&[80; 4], 500, 50),
            (&[80; 4], 1000, 100),
            (&[80, 80, 80, 3_000], 500, 66),
            (&[80, 80, 80, 3_000], 990, 4_900),
            (&[70_000_000], 500, 60_000_000),
        ];
        for (times, of_a_thousand, want) in rows {
            let histogram = Histogram::default();
            times.iter().for_each(|us| histogram.record(micros(*us)));
            assert_eq!(histogram.read().quantile_us(*of_a_thousand), *want, "{times:?}, {of_a_thousand}");
        }
    }

    #[test]
    fn a_tally_tells_what_is_under_way_and_why_the_rest_failed() {
        let tally = Tally::new(3);
        (0..4).for_each(|_| tally.begin());
        tally.ended(Ok(()), micros(10));
        tally.ended(Err(1), micros(10));
        tally.ended(Err(7), micros(10));
        tally.failed_late(1);
        tally.moved(5);
        let counted = tally.read();
        assert_eq!((counted.begun, counted.under_way, counted.ok, counted.bytes), (4, 1, 1, 5));
        assert_eq!(counted.failed, [(1, 2), (2, 1)], "a reason without a place counts with the last");
        assert_eq!((counted.failures(), counted.times.count()), (3, 3));
    }

    #[test]
    fn a_rate_is_of_the_last_seconds() {
        let began = clock::monotonic();
        let at = |millis: u64| began + Duration::from_millis(millis);
        let mut meter = Meter::default();
        assert_eq!(meter.rate(at(0)), None);
        meter.start(at(0));
        assert_eq!(meter.rate(at(5_000)), None, "nothing has arrived");
        meter.note(at(500), 1_000);
        assert_eq!(meter.rate(at(900)), None, "too early to tell");
        assert_eq!(meter.rate(at(2_000)), Some(500));
        meter.note(at(2_000), 3_000);
        assert_eq!(meter.rate(at(4_000)), Some(1_000));
        // The first second has left the window, the third has not.
        assert_eq!(meter.rate(at(10_500)), Some(3_000 * 1000 / 9_500));
        assert_eq!(meter.rate(at(60_000)), None, "it stands still");
        meter.note(at(61_000), 900);
        assert_eq!(meter.rate(at(61_000)), Some(100));
    }
}
