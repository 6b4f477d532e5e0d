//! Figures as text for Prometheus (exposition format 0.0.4): families of samples with labels, histograms with their sums.
//! Pure.

use crate::base::metrics::BOUNDS_US;
use crate::base::metrics::Times;
use std::fmt::Display;
use std::fmt::Write;

/// The type of such a text, for HTTP.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a family counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, until the process ends.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Times in buckets.
    Histogram,
}

/// The text so far.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// Samples of one name.
pub struct Family<'a> {
    page: &'a mut Page,
    name: &'static str,
}

/// Names and values of labels.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Page {
    /// Begins a family. Each name is begun once.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.line(format_args!("# HELP {name} {}", help.replace('\\', "\\\\").replace('\n', "\\n")));
        self.line(format_args!("# TYPE {name} {word}"));
        Family { page: self, name }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help).sample(&[], value);
    }

    /// The whole text.
    #[must_use]
    pub fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("a string takes everything");
    }
}

impl Family<'_> {
    /// One sample.
    pub fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.put("", labels, None, value);
    }

    /// The samples of one histogram, in seconds.
    pub fn histogram(&mut self, labels: Labels<'_>, times: &Times) {
        let mut below = 0;
        for (count, bound) in times.buckets.iter().zip(BOUNDS_US) {
            below += count;
            self.put("_bucket", labels, Some(&seconds(bound)), below);
        }
        self.put("_bucket", labels, Some("+Inf"), times.count());
        self.put("_sum", labels, None, seconds(times.sum_us));
        self.put("_count", labels, None, times.count());
    }

    fn put(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: impl Display) {
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let all: Vec<_> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let all = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
        let name = self.name;
        self.page.line(format_args!("{name}{suffix}{all} {value}"));
    }
}

/// Microseconds as seconds, without zeros at the end.
#[must_use]
pub fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::metrics::Histogram;
    use std::time::Duration;

    #[test]
    fn samples_have_their_family_and_escaped_labels() {
        let mut page = Page::default();
        let mut family = page.family("requests_total", Kind::Counter, "How\nmany \\");
        family.sample(&[("operation", "a\"b\\c\nd"), ("result", "ok")], 3);
        family.sample(&[], 1);
        page.single("memory_bytes", Kind::Gauge, "Memory", 7);
        let want = "\
# HELP requests_total How\\nmany \\\\
# TYPE requests_total counter
requests_total{operation=\"a\\\"b\\\\c\\nd\",result=\"ok\"} 3
requests_total 1
# HELP memory_bytes Memory
# TYPE memory_bytes gauge
memory_bytes 7
";
        assert_eq!(page.finish(), want);
    }

    #[test]
    fn buckets_of_a_histogram_count_those_below_them_too() {
        let histogram = Histogram::default();
        [50, 700, 2_000, 70_000_000].into_iter().for_each(|us| histogram.record(Duration::from_micros(us)));
        let mut page = Page::default();
        page.family("t_seconds", Kind::Histogram, "Times").histogram(&[("a", "b")], &histogram.read());
        let text = page.finish();
        for line in [
            "t_seconds_bucket{a=\"b\",le=\"0.0001\"} 1",
            "t_seconds_bucket{a=\"b\",le=\"0.001\"} 2",
            "t_seconds_bucket{a=\"b\",le=\"60\"} 3",
            "t_seconds_bucket{a=\"b\",le=\"+Inf\"} 4",
            "t_seconds_sum{a=\"b\"} 70.00275",
            "t_seconds_count{a=\"b\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
