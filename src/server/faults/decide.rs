//! Which request meets which fault: a pure function of the plan, its seed, how many requests matched before, and the
//! time since the start.
//!
//! Requests that come at the same time are counted in the order in which they are looked at, so that a seed repeats a
//! run exactly only as far as its requests come in the same order.

use crate::server::dialect::Dialect;
use crate::server::faults::plan::Delay;
use crate::server::faults::plan::Effect;
use crate::server::faults::plan::MILLION;
use crate::server::faults::plan::Plan;
use crate::server::faults::plan::Requests;
use crate::server::faults::plan::When;
use std::time::Duration;

/// What of a request decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// S3's name of the operation; empty if it is none.
    pub operation: &'static str,
    /// The method.
    pub method: String,
    /// The key, or the prefix of a listing.
    pub key: String,
    /// The dialect.
    pub dialect: Dialect,
    /// Whether it changes anything.
    pub writes: bool,
}

/// How often a rule has matched and hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that it is about.
    pub matched: u64,
    /// Requests that it has hit.
    pub hit: u64,
}

/// What a request is to meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Wait so long first.
    pub delay: Duration,
    /// Bytes a second of the request's body.
    pub up: Option<u64>,
    /// Bytes a second of the answer's body.
    pub down: Option<u64>,
    /// Seconds by which the server's clock is wrong.
    pub skew: i64,
    /// What else, with a draw for what of it is random.
    pub effect: Option<(Effect, u64)>,
    /// What hit: the rule's place in the plan counted from 1, its name, and the number of the request among its own.
    pub hits: Vec<(usize, &'static str, u64)>,
}

/// A plan and how far it has come.
#[derive(Clone, Debug)]
pub struct Decider {
    plan: Plan,
    counts: Vec<Counts>,
}

impl Decider {
    /// Nothing has been asked yet.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let counts = vec![Counts::default(); plan.rules.len()];
        Self { plan, counts }
    }

    /// The plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// How often each rule has matched and hit.
    #[must_use]
    pub fn counts(&self) -> &[Counts] {
        &self.counts
    }

    /// What the next request is to meet, so long after the start.
    pub fn decide(&mut self, asked: &Asked, elapsed: Duration) -> Decision {
        let mut decision = Decision::default();
        for (at, (rule, counts)) in self.plan.rules.iter().zip(&mut self.counts).enumerate() {
            if !is_about(&rule.requests, asked, elapsed) {
                continue;
            }
            counts.matched += 1;
            let draw = |salt| draw(self.plan.seed, at as u64, counts.matched, salt);
            let is_taken = decision.effect.is_some() && !adds_up(&rule.effect);
            if is_taken || !hits(&rule.when, *counts, draw(0)) {
                continue;
            }
            counts.hit += 1;
            decision.hits.push((at + 1, rule.effect.name(), counts.matched));
            match &rule.effect {
                Effect::Latency(delay) => decision.delay += lasting(delay, draw(1)),
                Effect::Bandwidth { up, down } => {
                    decision.up = slower(decision.up, *up);
                    decision.down = slower(decision.down, *down);
                }
                Effect::ClockSkew(seconds) => decision.skew = decision.skew.saturating_add(*seconds),
                other => decision.effect = Some((other.clone(), draw(1))),
            }
        }
        decision
    }
}

fn adds_up(effect: &Effect) -> bool {
    matches!(effect, Effect::Latency(_) | Effect::Bandwidth { .. } | Effect::ClockSkew(_))
}

fn slower(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn is_about(requests: &Requests, asked: &Asked, elapsed: Duration) -> bool {
    let Requests { operations, key, method, dialect, after, before } = requests;
    (operations.is_empty() || operations.iter().any(|name| name == asked.operation))
        && key.as_ref().is_none_or(|pattern| is_like(pattern, &asked.key))
        && method.as_ref().is_none_or(|method| *method == asked.method)
        && dialect.is_none_or(|dialect| dialect == asked.dialect)
        && after.is_none_or(|after| elapsed >= after)
        && before.is_none_or(|before| elapsed < before)
}

/// Whether a rule hits, given its counts with this request among the matched ones.
fn hits(when: &When, counts: Counts, draw: u64) -> bool {
    let When { nth, every, millionths, times } = when;
    nth.is_none_or(|nth| counts.matched == nth)
        && every.is_none_or(|every| counts.matched.is_multiple_of(every))
        && millionths.is_none_or(|millionths| draw % MILLION < millionths)
        && times.is_none_or(|times| counts.hit < times)
}

/// Text against a pattern in which `*` is any text and `?` any character.
fn is_like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where the last star was, and up to where it has taken the text.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(letter) if *letter == '?' || *letter == text[t] => (p, t) = (p + 1, t + 1),
            Some(_) | None => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, t) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|letter| *letter == '*')
}

fn lasting(delay: &Delay, draw: u64) -> Duration {
    let most = delay.most.unwrap_or(delay.least).max(delay.least);
    // 53 bits, which a float holds exactly; never 0.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let fraction = ((draw >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    if delay.long_tail {
        let long = delay.least.as_secs_f64() * fraction.powf(-1.0 / 1.2);
        Duration::try_from_secs_f64(long).unwrap_or(most).clamp(delay.least, most)
    } else {
        delay.least + (most - delay.least).mul_f64(fraction)
    }
}

/// A number that follows from these four and looks like nothing (the finalizer of SplitMix64).
fn draw(seed: u64, rule: u64, nth: u64, salt: u64) -> u64 {
    [rule, nth, salt].into_iter().fold(mixed(seed), |state, value| mixed(state ^ mixed(value)))
}

fn mixed(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::faults::file;
    use proptest::prelude::*;

    fn asked(operation: &'static str, key: &str) -> Asked {
        Asked { operation, method: "PUT".to_owned(), key: key.to_owned(), dialect: Dialect::S3, writes: true }
    }

    /// Which of ten requests in a row a rule hits.
    fn hit(conditions: &str) -> Vec<u64> {
        let plan = file::parse(&format!("seed = 3\n[[rule]]\nfault = \"lost-answer\"\n{conditions}")).unwrap();
        let mut decider = Decider::new(plan);
        let decisions = (0..10).map(|at| decider.decide(&asked("PutObject", "a/b.txt"), Duration::from_secs(at)));
        decisions.zip(1..).filter(|(decision, _)| decision.effect.is_some()).map(|(_, nth)| nth).collect()
    }

    #[test]
    fn conditions_choose_the_requests() {
        let all: Vec<u64> = (1..=10).collect();
        let rows: &[(&str, &[u64])] = &[
            ("", &all),
            ("nth = 3", &[3]),
            ("every = 4", &[4, 8]),
            ("times = 2", &[1, 2]),
            ("every = 3\ntimes = 2", &[3, 6]),
            ("after = \"8s\"", &[9, 10]),
            ("before = \"2s\"", &[1, 2]),
            ("after = \"2s\"\nnth = 1", &[3]),
            ("probability = 0.0", &[]),
            ("probability = 1.0", &all),
            ("operation = \"PutObject\"", &all),
            ("operation = [\"GetObject\", \"PutObject\"]", &all),
            ("operation = \"GetObject\"", &[]),
            ("key = \"a/*\"", &all),
            ("key = \"*.tx?\"", &all),
            ("key = \"a\"", &[]),
            ("method = \"PUT\"", &all),
            ("method = \"GET\"", &[]),
            ("dialect = \"s3\"", &all),
            ("dialect = \"jss\"", &[]),
        ];
        for (conditions, want) in rows {
            assert_eq!(hit(conditions), *want, "{conditions}");
        }
    }

    #[test]
    fn the_first_fault_counts_and_delays_add_up() {
        let plan = file::parse(
            "seed = 1\n[[rule]]\nfault = \"latency\"\ndelay = \"1s\"\n[[rule]]\nfault = \"lost-answer\"\nevery = 2\n\
             [[rule]]\nfault = \"lost-request\"\n[[rule]]\nfault = \"latency\"\ndelay = \"2s\"",
        );
        let mut decider = Decider::new(plan.unwrap());
        let names: Vec<_> = (0..2)
            .map(|_| {
                let decision = decider.decide(&asked("PutObject", ""), Duration::ZERO);
                assert_eq!(decision.delay, Duration::from_secs(3));
                decision.effect.unwrap().0.name()
            })
            .collect();
        assert_eq!(names, ["lost-request", "lost-answer"]);
        let hits: Vec<_> = decider.counts().iter().map(|counts| (counts.matched, counts.hit)).collect();
        assert_eq!(hits, [(2, 2), (2, 1), (2, 1), (2, 2)]);
    }

    #[test]
    fn patterns_are_matched_whole() {
        let rows = [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*a*a", "aba", true),
            ("?", "ü", true),
            ("**b", "aab", true),
            ("a?", "a", false),
        ];
        for (pattern, text, want) in rows {
            assert_eq!(is_like(pattern, text), want, "{pattern} {text}");
        }
    }

    #[test]
    fn a_probability_is_kept_to() {
        let plan = file::parse("seed = 9\n[[rule]]\nfault = \"lost-answer\"\nprobability = 0.25").unwrap();
        let mut decider = Decider::new(plan);
        for _ in 0..10_000 {
            decider.decide(&asked("PutObject", ""), Duration::ZERO);
        }
        let hit = decider.counts()[0].hit;
        assert!((2_300..2_700).contains(&hit), "{hit} of 10000");
    }

    proptest! {
        #[test]
        fn a_seed_repeats_and_delays_keep_their_bounds(seed: u64, long_tail: bool, least in 1_u64..100, more in 0_u64..5000) {
            let spread = if long_tail { "long-tail" } else { "uniform" };
            let text = format!(
                "seed = {}\n[[rule]]\nfault = \"latency\"\ndelay = \"{least}ms\"\ndelay_max = \"{}ms\"\nspread = \"{spread}\"\nprobability = 0.5",
                seed >> 1, least + more
            );
            let plan = file::parse(&text).unwrap();
            let mut deciders = [Decider::new(plan.clone()), Decider::new(plan)];
            for _ in 0..20 {
                let [one, other] = deciders.each_mut().map(|decider| decider.decide(&asked("PutObject", "k"), Duration::ZERO));
                prop_assert_eq!(&one, &other);
                let (least, most) = (Duration::from_millis(least), Duration::from_millis(least + more));
                prop_assert!(one.hits.is_empty() || (least..=most).contains(&one.delay), "{:?}", one.delay);
            }
        }
    }
}
