//! `brigade check`: examines a store and shows what was found, for people or for programs.

use crate::cli::Failure;
use crate::cli::args::CheckArgs;
use crate::cli::line;
use crate::cli::resolve;
use crate::cli::resolve::Environment;
use crate::mount::examine;
use crate::mount::examine::Finding;
use crate::mount::examine::Level;
use crate::mount::examine::Report;
use crate::store::probe::Capability;
use serde_json::Value;
use serde_json::json;

/// Examines, prints, and fails if the bucket cannot be mounted.
pub fn run(args: &CheckArgs, environment: &Environment) -> Result<(), Failure> {
    let check = resolve::check(args, environment)?;
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|cause| Failure::Failed(format!("cannot start: {cause}")))?;
    let report = runtime.block_on(examine::examine(&check.source, &check.prefix, &check.endpoint));
    let source = check.source.to_string();
    if args.json {
        line(&to_json(&source, &report).to_string());
    } else {
        report.findings.iter().for_each(|finding| line(&to_line(finding)));
        line(&verdict(&source, &report));
    }
    if report.is_mountable() { Ok(()) } else { Err(Failure::Told) }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Error => "error",
    }
}

fn to_line(finding: &Finding) -> String {
    let Finding { level, what, finding, remedy } = finding;
    let remedy = remedy.as_deref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
    one_line(&format!("{:7} {what}: {finding}{remedy}", word(*level)))
}

fn verdict(source: &str, report: &Report) -> String {
    let count = |level| report.findings.iter().filter(|finding| finding.level == level).count();
    match (count(Level::Error), count(Level::Warning)) {
        (0, 0) => format!("{source} can be mounted"),
        (0, 1) => format!("{source} can be mounted, with 1 warning"),
        (0, warnings) => format!("{source} can be mounted, with {warnings} warnings"),
        (_, _) => format!("{source} cannot be mounted"),
    }
}

/// The names are a promise; `docs/configuration.md` has them.
fn to_json(source: &str, report: &Report) -> Value {
    let findings = report.findings.iter().map(|finding| {
        json!({
            "level": word(finding.level),
            "what": finding.what,
            "finding": finding.finding,
            "remedy": finding.remedy,
        })
    });
    let capabilities = report.facts.as_ref().map(|facts| {
        let named = |capability: Capability| (capability.name().replace([' ', '-'], "_"), capability.is_in(facts));
        let mut all: serde_json::Map<String, Value> =
            Capability::ALL.into_iter().map(named).map(|(name, has)| (name, has.into())).collect();
        all.insert("equal_parts".to_owned(), facts.equal_parts.into());
        all
    });
    json!({
        "source": source,
        "mountable": report.is_mountable(),
        "findings": findings.collect::<Vec<_>>(),
        "capabilities": capabilities,
        "round_trip_ms": report.round_trip.map(|time| time.as_secs_f64() * 1000.0),
    })
}

// What a store says may have lines of its own.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim_end).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Facts;
    use std::time::Duration;

    fn finding(level: Level, finding: &str, remedy: Option<&str>) -> Finding {
        Finding { level, what: "write", finding: finding.to_owned(), remedy: remedy.map(str::to_owned) }
    }

    #[test]
    fn each_finding_is_one_line() {
        let rows = [
            (finding(Level::Ok, "possible", None), "ok      write: possible"),
            (finding(Level::Warning, "denied", Some("grant it")), "warning write: denied; grant it"),
            (finding(Level::Error, "a\r\n b\nc", Some("d")), "error   write: a  b c; d"),
        ];
        for (finding, want) in rows {
            assert_eq!(to_line(&finding), want);
        }
    }

    #[test]
    fn the_last_line_counts() {
        let report = |levels: &[Level]| Report {
            findings: levels.iter().map(|level| finding(*level, "", None)).collect(),
            ..Report::default()
        };
        use Level::Error;
        use Level::Ok;
        use Level::Warning;
        let rows: &[(&[Level], &str)] = &[
            (&[Ok, Ok], "s3://b can be mounted"),
            (&[Ok, Warning], "s3://b can be mounted, with 1 warning"),
            (&[Warning, Ok, Warning], "s3://b can be mounted, with 2 warnings"),
            (&[Warning, Error], "s3://b cannot be mounted"),
        ];
        for (levels, want) in rows {
            assert_eq!(verdict("s3://b", &report(levels)), *want);
        }
    }

    #[test]
    fn programs_get_every_name_that_is_promised() {
        let report = Report {
            findings: vec![finding(Level::Warning, "denied", None)],
            facts: Some(Facts { conditional_writes: false, ..Facts::S3 }),
            round_trip: Some(Duration::from_micros(1500)),
        };
        let want = json!({
            "source": "s3://b", "mountable": true, "round_trip_ms": 1.5,
            "findings": [{"level": "warning", "what": "write", "finding": "denied", "remedy": null}],
            "capabilities": {
                "conditional_writes": false, "user_metadata": true, "metadata_in_listings": false, "part_copy": true,
                "copy_conditions": true, "move": false, "multi_delete": true, "equal_parts": false,
            },
        });
        assert_eq!(to_json("s3://b", &report), want);
        let nothing = to_json("s3://b", &Report::default());
        assert!(nothing["capabilities"].is_null() && nothing["round_trip_ms"].is_null(), "{nothing}");
    }
}
