//! The decisions by tables, the waiting on paused time.

use super::*;
use proptest::prelude::*;
use std::sync::Arc;

const SECOND: Duration = Duration::from_secs(1);

/// A line that broke just now, after the shortest time that can break it.
fn broken() -> Line {
    let line = Line::default();
    line.state.send_modify(|state| {
        let now = Instant::now();
        for _ in 0..FAILURES_MIN {
            state.failed(now - FAILING_MIN);
        }
        assert_eq!(state.gate(now), Gate::Probe);
        assert!(state.probe_failed(now));
    });
    line
}

#[tokio::test(start_paused = true)]
async fn a_few_failures_do_not_break_it() {
    let now = Instant::now();
    let rows: &[(u32, Duration, Gate, &str)] = &[
        (0, Duration::ZERO, Gate::Go, "nothing has failed"),
        (100, SECOND, Gate::Go, "many at once: a restart"),
        (2, 2 * SECOND, Gate::Go, "two"),
        (3, 2 * SECOND, Gate::Probe, "worth asking"),
        (1, 10 * SECOND, Gate::Probe, "one that had no answer for long"),
    ];
    for (failures, ago, want, why) in rows {
        let mut state = State::default();
        for _ in 0..*failures {
            state.failed(now - *ago);
        }
        assert_eq!(state.gate(now), *want, "{why}");
        assert_eq!(state.broken_since(), None, "{why}: only a probe that fails breaks it");
    }
    let mut state = State::default();
    state.answered(now);
    state.failed(now - 30 * SECOND);
    assert_eq!(state.gate(now), Gate::Go, "there was an answer since it was sent");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_request_outruns_a_probe() {
    let now = Instant::now();
    let mut state = State::default();
    for _ in 0..FAILURES_MIN {
        state.failed(now - FAILING_MIN);
    }
    assert_eq!(state.gate(now), Gate::Probe);
    assert_eq!(state.gate(now), Gate::Go, "one probe is enough");
    assert_eq!(state.answered(now), None);
    assert!(!state.probe_failed(now), "it was sent before the answer");
    assert_eq!(state.gate(now), Gate::Go);
}

#[tokio::test(start_paused = true)]
async fn who_waits_probes_in_turn_and_all_go_on_together() {
    let line = Arc::new(broken());
    let begun = Instant::now();
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let line = Arc::clone(&line);
            tokio::spawn(async move {
                let mut probes = 0;
                while line.admit(Patience::Endless).await == Ok(Admitted::Probe) {
                    probes += 1;
                    line.probed(begun.elapsed() >= 60 * SECOND, Instant::now());
                }
                probes
            })
        })
        .collect();
    let mut probes = 0;
    for one in waiting {
        probes += one.await.unwrap();
    }
    assert!((12..=17).contains(&probes), "every five seconds at most, by all together: {probes}");
    assert!(begun.elapsed() <= 60 * SECOND + PAUSE_LONGEST, "nobody waits long once it is back");
    assert_eq!(line.outage(), None);
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let line = broken();
    let begun = Instant::now();
    let until = |seconds: u32| Patience::Until { deadline: begun + seconds * SECOND, outage_max: 60 * SECOND };
    let mut refused = None;
    while refused.is_none() {
        match line.admit(until(30)).await {
            Ok(Admitted::Probe) => line.probed(false, Instant::now()),
            Ok(Admitted::Go) => panic!("it is broken"),
            Err(why) => refused = Some(why),
        }
    }
    assert_eq!(begun.elapsed(), 30 * SECOND);
    assert_eq!(refused, Some(Refused::Broken(30 * SECOND + FAILING_MIN)));
    // What has been broken for longer than anybody waits is not waited for, but for a probe that is due.
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(line.admit(until(1000)).await, Ok(Admitted::Probe));
    line.probed(false, Instant::now());
    assert!(matches!(line.admit(until(1000)).await, Err(Refused::Broken(_))));
    assert_eq!(begun.elapsed(), 90 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_closed_line_ends_every_wait() {
    let line = Arc::new(broken());
    let ours = Arc::clone(&line);
    let waiting = tokio::spawn(async move {
        while ours.admit(Patience::Endless).await == Ok(Admitted::Probe) {
            ours.probed(false, Instant::now());
        }
    });
    let begun = Instant::now();
    let hopeless = line.hopeless(begun, 3600 * SECOND);
    let (_, (), ()) = tokio::join!(waiting, hopeless, async {
        tokio::time::sleep(SECOND).await;
        line.close();
    });
    line.closed().await;
    assert_eq!(begun.elapsed(), SECOND);
    assert_eq!(line.admit(Patience::Endless).await, Err(Refused::Closed));
}

#[tokio::test(start_paused = true)]
async fn it_is_hopeless_once_the_outage_and_the_wait_are_long() {
    let line = broken();
    tokio::time::advance(30 * SECOND).await;
    let begun = Instant::now();
    line.hopeless(begun, 10 * SECOND).await;
    assert_eq!(begun.elapsed(), 10 * SECOND);
    line.answered();
    assert!(tokio::time::timeout(1000 * SECOND, line.hopeless(begun, SECOND)).await.is_err(), "it is back");
}

proptest! {
    /// Whatever happens in whatever order: an answer opens the line, and while it is open nobody waits.
    #[test]
    fn nobody_waits_at_a_line_that_answers(steps in proptest::collection::vec((0u8..4, 0u64..5000), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _entered = runtime.enter();
        let (mut state, mut now) = (State::default(), Instant::now());
        for (what, ms) in steps {
            now += Duration::from_millis(ms);
            match what {
                0 => state.failed(now),
                1 => drop(state.answered(now)),
                2 => drop(state.probe_failed(now)),
                _ => {
                    let gate = state.gate(now);
                    let waits = matches!(gate, Gate::Wait { .. });
                    prop_assert!(!waits || state.broken_since().is_some());
                    if let Gate::Wait { until, .. } = gate {
                        prop_assert!(until > now && until <= now + PAUSE_LONGEST);
                    }
                }
            }
        }
        state.answered(now);
        prop_assert_eq!(state.gate(now), Gate::Go);
    }
}
