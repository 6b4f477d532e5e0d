//! From runs to figures, and from figures to the table in the documentation.

use crate::jobs::Done;
use crate::jobs::Job;
use crate::jobs::Unit;
use crate::machine;
use crate::process;
use crate::process::Serving;
use brigade::base::clock;
use brigade::wire::date;
use std::io::Write;

/// Where the table stands.
const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/performance.md");
const BEGIN: &str = "<!-- bench:serve:begin -->\n";
const END: &str = "<!-- bench:serve:end -->\n";

/// What one run took.
pub struct Sample {
    done: Done,
    server_seconds: f64,
    client_seconds: f64,
    peak_bytes: u64,
}

/// Runs something and looks at what the two processes used meanwhile.
pub fn measure(serving: &Serving, run: impl FnOnce() -> Done) -> Sample {
    let pid = serving.pid();
    process::forget_peak(&pid);
    let (server, client) = (process::cpu_seconds(&pid), process::cpu_seconds("self"));
    let done = run();
    Sample {
        done,
        server_seconds: process::cpu_seconds(&pid) - server,
        client_seconds: process::cpu_seconds("self") - client,
        peak_bytes: process::peak_bytes(&pid),
    }
}

fn median(samples: &[Sample], figure: impl Fn(&Sample) -> f64) -> f64 {
    let mut all: Vec<f64> = samples.iter().map(figure).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn units(unit: Unit, done: &Done) -> f64 {
    match unit {
        Unit::Bytes => done.bytes as f64 / f64::from(1 << 30),
        Unit::Requests | Unit::Latency => done.requests as f64,
    }
}

/// The row of a job, from the medians of its runs.
pub fn line(job: &Job, samples: &[Sample]) -> String {
    let seconds = median(samples, |sample| sample.done.time.as_secs_f64() / units(job.unit, &sample.done));
    let server = median(samples, |sample| sample.server_seconds / units(job.unit, &sample.done));
    let client = median(samples, |sample| sample.client_seconds / units(job.unit, &sample.done));
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let peak = median(samples, |sample| sample.peak_bytes as f64 / f64::from(1 << 20));
    let (rate, server, client) = match job.unit {
        Unit::Bytes => {
            (format!("{:.2} GiB/s", 1.0 / seconds), format!("{server:.2} s/GiB"), format!("{client:.2} s/GiB"))
        }
        Unit::Requests => {
            (format!("{:.0}/s", 1.0 / seconds), format!("{:.0} µs", server * 1e6), format!("{:.0} µs", client * 1e6))
        }
        Unit::Latency => {
            (format!("{:.1} ms", seconds * 1e3), format!("{:.0} µs", server * 1e6), format!("{:.0} µs", client * 1e6))
        }
    };
    format!("| {} | {rate} | {server} | {client} | {peak:.0} MiB |", job.title)
}

/// All of it, as the documentation has it.
pub fn table(jobs: &[Job], samples: &[Vec<Sample>], rounds: usize) -> String {
    let day = &date::iso8601(clock::now())[..10];
    let mut out = format!("{day}: {}; medians of {rounds} rounds.\n\n", machine::described());
    out.push_str(
        "| job | rate | CPU of the server | CPU of the client | peak memory of the server |\n|--|--|--|--|--|\n",
    );
    for (job, samples) in jobs.iter().zip(samples) {
        out.push_str(&line(job, samples));
        out.push('\n');
    }
    out
}

/// Puts the table between its marks.
pub fn place(table: &str) {
    let document = std::fs::read_to_string(DOCUMENT).expect("the documentation is there");
    let (before, rest) = document.split_once(BEGIN).expect("the table has its place");
    let (_, after) = rest.split_once(END).expect("which ends");
    std::fs::write(DOCUMENT, format!("{before}{BEGIN}\n{table}\n{END}{after}")).expect("it can be written");
}

/// Says a line.
pub fn tell(line: &str) {
    // Whoever does not listen any more has heard enough.
    let _ = writeln!(std::io::stdout(), "{line}");
}
