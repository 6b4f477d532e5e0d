//! What the bundled backend can do by itself: `cargo bench --bench serve` drives one `brigade serve --no-sync` over
//! loopback, `-- get` some of the jobs, `-- --write` puts the table into `docs/performance.md`.
//!
//! The client is as cheap as it can be: requests are signed before the clock starts, bodies are one buffer sent again
//! and again, answers are thrown away. What it costs all the same stands beside what the server costs.

mod client;
mod jobs;
mod machine;
mod process;
mod report;

use client::Signer;
use jobs::Job;
use process::Serving;
use report::Sample;
use std::path::PathBuf;

/// What was asked for on the command line.
struct Asked {
    rounds: usize,
    scratch: PathBuf,
    writes: bool,
    words: Vec<String>,
}

impl Asked {
    fn parse(mut given: impl Iterator<Item = String>) -> Self {
        let scratch = PathBuf::from("/dev/shm");
        let scratch = if scratch.is_dir() { scratch } else { std::env::temp_dir() };
        let mut asked = Self { rounds: 5, scratch, writes: false, words: Vec::new() };
        while let Some(word) = given.next() {
            let mut value = || given.next().unwrap_or_else(|| panic!("{word} needs a value"));
            match word.as_str() {
                // Cargo says so to all benches.
                "--bench" => {}
                "--write" => asked.writes = true,
                "--rounds" => asked.rounds = value().parse().expect("--rounds takes a number"),
                "--scratch" => asked.scratch = value().into(),
                option if option.starts_with('-') => {
                    panic!("{option} is unknown; there are --rounds, --scratch, --write")
                }
                _ => asked.words.push(word),
            }
        }
        asked
    }

    fn wants(&self, job: &Job) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| job.name.contains(word.as_str()))
    }
}

fn main() {
    let asked = Asked::parse(std::env::args().skip(1));
    let home =
        tempfile::Builder::new().prefix("brigade-serve-").tempdir_in(&asked.scratch).expect("a scratch directory");
    let serving = Serving::start(home.path());
    let signer = Signer::new(serving.addr);
    jobs::prepare(&signer);
    let jobs: Vec<Job> = jobs::all().into_iter().filter(|job| asked.wants(job)).collect();
    let mut samples: Vec<Vec<Sample>> = jobs.iter().map(|_| Vec::new()).collect();
    for round in 0..asked.rounds {
        for (job, samples) in jobs.iter().zip(&mut samples) {
            let sample = report::measure(&serving, || (job.run)(&signer, round));
            report::tell(&format!("{} {}", round + 1, report::line(job, std::slice::from_ref(&sample))));
            samples.push(sample);
        }
    }
    let table = report::table(&jobs, &samples, asked.rounds);
    report::tell(&format!("\n{table}"));
    if asked.writes {
        report::place(&table);
    }
}
