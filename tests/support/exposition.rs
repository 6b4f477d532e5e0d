//! A strict reader of Prometheus' text format: what a monitor would shrug at fails the test.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Labels, by name.
pub type Labels = BTreeMap<String, String>;

/// A family of samples.
#[derive(Debug, Default)]
pub struct Family {
    pub kind: String,
    /// The name of each sample with its suffix, its labels, its value.
    pub samples: Vec<(String, Labels, f64)>,
}

/// Reads a page; panics at the first thing that is not as it should be.
#[track_caller]
pub fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'), "the last line is not ended");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
            assert!(is_name(name) && !help.is_empty(), "{line}");
            assert!(families.insert(name.to_owned(), Family::default()).is_none(), "{name} comes twice");
            name.clone_into(&mut current);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert_eq!(name, current, "the type belongs behind the help: {line}");
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "counters, and no others, end so: {line}");
            kind.clone_into(&mut families.get_mut(name).unwrap().kind);
        } else {
            let sample = sample(line);
            let family = families.get_mut(&current).unwrap_or_else(|| panic!("no family: {line}"));
            let suffix = sample.0.strip_prefix(&current).unwrap_or_else(|| panic!("not of {current}: {line}"));
            let allowed: &[&str] = if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(seen.insert((sample.0.clone(), sample.1.clone())), "twice: {line}");
            assert!(sample.2.is_finite() && (family.kind == "gauge" || sample.2 >= 0.0), "{line}");
            family.samples.push(sample);
        }
    }
    families.iter().filter(|(_, family)| family.kind == "histogram").for_each(|(name, family)| check(name, family));
    families
}

/// `name{label="value",..} 1.5`
fn sample(line: &str) -> (String, Labels, f64) {
    let (head, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line:?}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let Some((name, inner)) = head.split_once('{') else {
        assert!(is_name(head), "{line}");
        return (head.to_owned(), Labels::new(), value);
    };
    assert!(is_name(name), "{line}");
    let mut rest = inner.strip_suffix('}').unwrap_or_else(|| panic!("the labels are not closed: {line}"));
    let mut labels = Labels::new();
    while !rest.is_empty() {
        let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        assert!(is_name(label) && !label.contains(':'), "{line}");
        let (value, after) = unquoted(after).unwrap_or_else(|| panic!("a value is not closed: {line}"));
        assert!(labels.insert(label.to_owned(), value).is_none(), "{label} comes twice: {line}");
        rest = after.strip_prefix(',').unwrap_or(after);
        assert!(!after.starts_with(',') || !rest.is_empty(), "a comma too many: {line}");
    }
    (name.to_owned(), labels, value)
}

fn unquoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut letters) = (String::new(), text.char_indices());
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => match letters.next()?.1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => panic!("\\{other} is no escape"),
            },
            other => value.push(other),
        }
    }
    None
}

fn is_name(text: &str) -> bool {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
    text.chars().all(fits) && text.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Buckets grow, the last is for all, and their count is the count.
fn check(name: &str, family: &Family) {
    let mut buckets: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        if sample.ends_with("_bucket") {
            let mut rest = labels.clone();
            let bound = rest.remove("le").unwrap_or_else(|| panic!("{name}: a bucket without a bound"));
            buckets.entry(rest).or_default().push((bound.parse().unwrap(), *value));
        }
    }
    for (labels, buckets) in buckets {
        let grows = buckets.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1);
        assert!(grows, "{name}{labels:?}: {buckets:?}");
        let (bound, all) = buckets.last().unwrap();
        let of = |suffix: &str| {
            family.samples.iter().find(|(sample, at, _)| *sample == format!("{name}{suffix}") && *at == labels)
        };
        assert!(bound.is_infinite() && of("_sum").is_some(), "{name}{labels:?}");
        assert!(of("_count").is_some_and(|(_, _, count)| count == all), "{name}{labels:?}");
    }
}

#[test]
fn the_reader_is_strict() {
    let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\\\"d\"} 1\na_total{b=\"e\"} 2.5\n";
    let families = parse(good);
    assert_eq!(families["a_total"].samples[0].1["b"], "c\"d");
    let bad = [
        "a_total 1\n",
        "# HELP a x\n# TYPE a counter\na 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c} 1\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total 1\na_total 2\n",
        "# HELP a_total x\n# TYPE a_total counter\na_total 1",
        "# HELP a x\n# TYPE a gauge\na{b=\"c\",} 1\n",
        "# HELP a_s x\n# TYPE a_s histogram\na_s_bucket{le=\"1\"} 2\na_s_bucket{le=\"+Inf\"} 1\na_s_sum 1\na_s_count 1\n",
        "# HELP a_s x\n# TYPE a_s histogram\na_s_bucket{le=\"+Inf\"} 1\na_s_sum 1\na_s_count 2\n",
    ];
    for text in bad {
        assert!(std::panic::catch_unwind(|| parse(text)).is_err(), "{text}");
    }
}
