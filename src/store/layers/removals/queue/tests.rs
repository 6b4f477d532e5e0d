//! What may be put off, when it goes out, and that nothing is lost on the way.

use super::*;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::prop_oneof;
use proptest::proptest;
use std::collections::BTreeSet;

fn doomed(key: &str) -> Doomed<()> {
    Doomed { key: key.to_owned(), etag: ETag::new("e"), left_at: None, note: () }
}

fn keys(next: Next<()>) -> Vec<String> {
    match next {
        Next::Go(batch) => batch.into_iter().map(|doomed| doomed.key).collect(),
        other => panic!("{other:?}"),
    }
}

fn start() -> Instant {
    Instant::from_std(crate::base::clock::monotonic())
}

#[test]
fn one_removal_stands_for_others_in_its_directory_and_below_for_a_while() {
    let rows = [
        // removed   asked     seconds  later  why
        ("d/a", "d/b", 9, true, "beside it"),
        ("d/a", "d/e/f/b", 9, true, "below"),
        ("d/e/", "d/b", 9, true, "a directory is in the one above it"),
        ("d/e/", "d/f/b", 9, true, "in another directory beside it"),
        ("a", "d/e", 0, true, "all of the bucket"),
        ("d/e/a", "d/b", 0, false, "above"),
        ("d/a", "dd/b", 0, false, "a name that begins alike"),
        ("d/a", "d/b", 10, false, "too long ago"),
    ];
    for (removed, asked, seconds, later, why) in rows {
        let (mut queue, now) = (Queue::<()>::new(When::Always), start());
        assert_eq!(queue.verdict(asked, now), Verdict::AtOnce, "nothing is known yet");
        queue.allowed(removed, now);
        let verdict = queue.verdict(asked, now + Duration::from_secs(seconds));
        assert_eq!(verdict == Verdict::Later, later, "{removed:?} {asked:?}: {why}");
    }
}

#[test]
fn of_a_series_only_what_follows_quickly_on_many_is_put_off() {
    let rows = [
        // before      pause        later  why
        (SERIES_MIN, SERIES_GAP, true, "it is long and quick"),
        (SERIES_MIN - 1, SERIES_GAP, false, "it is short"),
        (SERIES_MIN, SERIES_GAP * 2, false, "somebody may have looked meanwhile"),
        (SERIES_MIN, SERIES_PAUSE_MAX * 2, false, "it begins anew"),
    ];
    for (before, pause, later, why) in rows {
        let (mut queue, mut now) = (Queue::<()>::new(When::InSeries), start());
        for nth in 0..before {
            assert_eq!(queue.verdict("a", now), Verdict::AtOnce, "{nth} before");
            // The store takes its time.
            now += Duration::from_secs(1);
            queue.allowed("a", now);
        }
        assert_eq!(queue.verdict("b", now + pause) == Verdict::Later, later, "{why}");
    }
}

#[test]
fn a_pause_sends_a_series_out_and_costs_one_removal_by_itself() {
    let (mut queue, mut now) = (Queue::new(When::InSeries), start());
    for _ in 0..SERIES_MIN {
        let _ = queue.verdict("a", now);
        queue.allowed("a", now);
    }
    for key in ["b", "c"] {
        now += SERIES_GAP;
        assert_eq!(queue.verdict(key, now), Verdict::Later);
        let _ = queue.add(doomed(key), now);
    }
    assert!(matches!(queue.next(now + SERIES_GAP), Next::Wait(until) if until == now + SERIES_GATHER));
    now += SERIES_GATHER;
    assert_eq!(keys(queue.next(now)), ["b", "c"]);
    assert_eq!(queue.verdict("d", now), Verdict::AtOnce);
    queue.allowed("d", now);
    assert_eq!(queue.verdict("e", now), Verdict::Later);
}

#[test]
fn what_waits_goes_out_together_after_a_moment() {
    let (mut queue, now) = (Queue::new(When::Always), start());
    assert!(queue.add(doomed("a"), now), "somebody must begin");
    assert!(!queue.add(doomed("b"), now + GATHER / 2), "somebody has begun");
    assert!(matches!(queue.next(now), Next::Wait(until) if until == now + GATHER));
    assert_eq!(keys(queue.next(now + GATHER)), ["a", "b"]);
    assert_eq!(queue.count(), 2, "until it is over");
    queue.over(&["a".into(), "b".into()], &[], vec![], now + GATHER);
    assert!(matches!(queue.next(now + GATHER), Next::Nothing));
    assert_eq!(queue.count(), 0);
    assert!(queue.add(doomed("c"), now + GATHER), "somebody must begin again");
}

#[test]
fn a_whole_batch_and_what_somebody_waits_for_goes_out_at_once() {
    let (mut queue, now) = (Queue::new(When::Always), start());
    for i in 0..=BATCH_KEYS_MAX {
        let _ = queue.add(doomed(&format!("k{i:05}")), now);
    }
    assert_eq!(keys(queue.next(now)).len(), BATCH_KEYS_MAX);
    queue.over(&[], &[], vec![], now);
    assert!(matches!(queue.next(now), Next::Wait(_)));
    assert!(!queue.hurry(Reach::Below("x"), now), "there is no such key");
    assert!(matches!(queue.next(now), Next::Wait(_)));
    assert!(queue.hurry(Reach::Key("k01000"), now));
    assert_eq!(keys(queue.next(now)), ["k01000"]);
    assert!(queue.hurry(Reach::Below("k"), now), "it is under way");
}

#[test]
fn after_a_refusal_nothing_is_put_off_for_a_while() {
    let (mut queue, now) = (Queue::new(When::Always), start());
    queue.allowed("a", now);
    let _ = queue.add(doomed("b"), now);
    assert_eq!(keys(queue.next(now + GATHER)), ["b"]);
    queue.over(&[], &["b".into()], vec![], now);
    queue.allowed("c", now);
    assert_eq!(queue.verdict("d", now), Verdict::AtOnce);
    let later = now + DISTRUST_LASTS;
    queue.allowed("c", later);
    assert_eq!(queue.verdict("d", later), Verdict::Later);
}

#[test]
fn what_failed_is_tried_again_later_or_when_somebody_waits() {
    let (mut queue, now) = (Queue::new(When::Always), start());
    let _ = queue.add(doomed("a"), now);
    let Next::Go(batch) = queue.next(now + GATHER) else { panic!("it is due") };
    queue.over(&[], &[], batch, now + GATHER);
    assert!(matches!(queue.next(now + GATHER), Next::Wait(until) if until == now + GATHER + PAUSE));
    assert_eq!(queue.shown("a"), Shown::Gone);
    for i in 0..BATCH_KEYS_MAX {
        let _ = queue.add(doomed(&format!("k{i}")), now + GATHER);
    }
    let paused = |next| matches!(next, Next::Wait(until) if until == now + GATHER + PAUSE);
    assert!(paused(queue.next(now + GATHER)), "also if there are many");
    let Next::Go(mut batch) = queue.next(now + GATHER + PAUSE) else { panic!("it is due") };
    assert_eq!(batch[0].key, "a");
    batch.truncate(1);
    queue.over(&[], &[], batch, now + GATHER);
    assert_eq!(queue.keys(), ["a", &format!("k{}", BATCH_KEYS_MAX - 1)]);
    assert!(queue.hurry(Reach::Key("a"), now + GATHER));
    assert_eq!(keys(queue.next(now + GATHER)), [&format!("k{}", BATCH_KEYS_MAX - 1), "a"], "behind the others");
}

#[test]
fn a_key_stands_for_nothing_while_it_goes_and_of_anothers_removal_nobody_knows() {
    let (mut queue, now) = (Queue::new(When::Always), start());
    let _ = queue.add(doomed("a"), now);
    let _ = queue.add(Doomed { left_at: Some(SystemTime::UNIX_EPOCH), ..doomed("b") }, now);
    for _ in 0..2 {
        let shown = ["a", "b", "c"].map(|key| queue.shown(key));
        assert_eq!(shown, [Shown::Gone, Shown::Undecided, Shown::Stored]);
        let _ = queue.next(now + GATHER);
    }
    queue.allowed("a", now);
    assert_eq!(queue.verdict("a", now), Verdict::AtOnce, "it is under way already");
    assert_eq!(queue.verdict("c", now), Verdict::Later);
}

#[test]
fn there_is_room_for_two_batches() {
    let (mut queue, now) = (Queue::new(When::Always), start());
    queue.allowed("a", now);
    for i in 0..KEYS_MAX {
        assert_eq!(queue.verdict("a", now), Verdict::Later);
        let _ = queue.add(doomed(&format!("k{i}")), now);
    }
    assert_eq!(queue.verdict("a", now), Verdict::Full);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u8),
    Pass(u64),
    Hurry,
    /// What the store says of each key of the batch.
    Over(Vec<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20u8).prop_map(Step::Add),
        (0..10_000u64).prop_map(Step::Pass),
        any::<bool>().prop_map(|_| Step::Hurry),
        vec(0..3u8, 1..5).prop_map(Step::Over),
    ]
}

proptest! {
    #[test]
    fn every_removal_is_carried_out_once_or_refused_or_still_there(steps in vec(step(), 1..80)) {
        let (mut queue, mut now) = (Queue::new(When::Always), start());
        let (mut open, mut out) = (BTreeSet::new(), Vec::new());
        for step in steps {
            match step {
                Step::Add(key) => {
                    queue.allowed("a", now);
                    let key = format!("k{key}");
                    if queue.verdict(&key, now) == Verdict::Later {
                        let _ = queue.add(doomed(&key), now);
                        prop_assert!(open.insert(key), "nothing is taken in twice");
                    }
                }
                Step::Pass(ms) => now += Duration::from_millis(ms),
                Step::Hurry => prop_assert_eq!(queue.hurry(Reach::Below("k"), now), !open.is_empty()),
                Step::Over(answers) if out.is_empty() => {
                    if let Next::Go(batch) = queue.next(now) {
                        out = batch.into_iter().zip(answers.into_iter().cycle()).collect();
                    }
                }
                Step::Over(_) => {
                    let (mut gone, mut refused, mut again) = (vec![], vec![], vec![]);
                    for (doomed, answer) in out.drain(..) {
                        match answer {
                            0 => gone.push(doomed.key),
                            1 => refused.push(doomed.key),
                            _ => again.push(doomed),
                        }
                    }
                    open.retain(|key| !gone.contains(key) && !refused.contains(key));
                    queue.over(&gone, &refused, again, now);
                }
            }
            prop_assert_eq!(queue.keys().into_iter().collect::<BTreeSet<_>>(), open.clone());
            prop_assert!(open.iter().all(|key| queue.shown(key) == Shown::Gone));
        }
    }
}
