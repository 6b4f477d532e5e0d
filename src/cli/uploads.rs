//! `brigade uploads`: shows, aborts and resumes unfinished multipart uploads.

use crate::base::bytesize::ByteSize;
use crate::cli::Failure;
use crate::cli::args::UploadsAbortArgs;
use crate::cli::args::UploadsArgs;
use crate::cli::args::UploadsCommand;
use crate::cli::line;
use crate::cli::resolve;
use crate::cli::resolve::Environment;
use crate::mount::uploads::Bucket;
use crate::mount::uploads::Error;
use crate::mount::uploads::Owner;
use crate::mount::uploads::Row;
use crate::mount::uploads::Which;
use crate::store::UploadId;
use serde_json::Value;
use serde_json::json;
use std::time::Duration;

/// Does what was asked, and prints what it did.
pub fn run(args: &UploadsArgs, environment: &Environment) -> Result<(), Failure> {
    let place = match &args.command {
        UploadsCommand::List(args) => &args.place,
        UploadsCommand::Abort(args) => &args.place,
        UploadsCommand::Resume(args) => &args.place,
    };
    let plan = resolve::uploads(place, environment)?;
    if let UploadsCommand::Abort(args) = &args.command {
        which(args)?;
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|cause| Failure::Failed(format!("cannot start: {cause}")))?;
    let done = runtime.block_on(async {
        let bucket = Bucket::open(&plan).await.map_err(failed)?;
        let done = perform(&args.command, &bucket, &plan.source.to_string()).await;
        bucket.close().await;
        done
    });
    drop(runtime);
    done
}

async fn perform(command: &UploadsCommand, bucket: &Bucket, source: &str) -> Result<(), Failure> {
    match command {
        UploadsCommand::List(args) => {
            let rows = bucket.list().await.map_err(failed)?;
            if args.json {
                line(&to_json(source, &rows).to_string());
            } else {
                to_table(&rows).iter().for_each(|text| line(text));
            }
            Ok(())
        }
        UploadsCommand::Abort(args) => {
            let mut aborted = 0u64;
            let told = |row: &Row| {
                aborted += 1;
                line(&format!("aborted {} of {:?}, {}", row.id.0, row.key, bytes(row)));
            };
            bucket.abort(&which(args)?, told).await.map_err(failed)?;
            if aborted == 0 {
                line("nothing to abort");
            }
            Ok(())
        }
        UploadsCommand::Resume(args) => {
            let mut tenths = 0;
            let told = |done: u64, all: u64| {
                let now = (done.saturating_mul(10)).checked_div(all).unwrap_or(10);
                if now > tenths {
                    tenths = now;
                    line(&format!("{} of {}", ByteSize(done), ByteSize(all)));
                }
            };
            let resumed = bucket.resume(&UploadId(args.upload.clone()), &args.file, told).await.map_err(failed)?;
            line(&format!("stored {:?}: {} parts were there, {} sent", resumed.key, resumed.kept, resumed.sent));
            Ok(())
        }
    }
}

fn failed(error: Error) -> Failure {
    Failure::Failed(error.to_string().replace(['\n', '\r'], " "))
}

fn which(args: &UploadsAbortArgs) -> Result<Which, Failure> {
    match (args.uploads.as_slice(), args.older_than, args.all) {
        ([], Some(age), false) => Ok(Which::OlderThan(age)),
        ([], None, true) => Ok(Which::OlderThan(Duration::ZERO)),
        ([], None, false) => {
            Err(Failure::Usage("nothing says which uploads; name their ids, or use --older-than or --all".to_owned()))
        }
        (ids, None, false) => Ok(Which::Named(ids.iter().cloned().map(UploadId).collect())),
        (_, _, _) => Err(Failure::Usage("ids, --older-than and --all exclude each other; use one".to_owned())),
    }
}

fn owner(row: &Row) -> &'static str {
    match row.owner {
        Owner::Running => "running",
        Owner::Gone => "gone",
        Owner::Unknown => "unknown",
    }
}

fn bytes(row: &Row) -> String {
    row.bytes.map_or_else(|| "?".to_owned(), |bytes| ByteSize(bytes).to_string())
}

/// The largest unit, and the next.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds}s"),
        (0, 0, minutes, seconds) => format!("{minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("{hours}h {minutes}m"),
        (days, hours, _, _) => format!("{days}d {hours}h"),
    }
}

fn to_table(rows: &[Row]) -> Vec<String> {
    if rows.is_empty() {
        return vec!["no unfinished uploads".to_owned()];
    }
    let head = ["AGE", "SIZE", "MOUNT", "KEY", "UPLOAD"].map(str::to_owned);
    let cells = |row: &Row| {
        // A key may have lines of its own; shown so that it cannot pass for another row.
        [age(row.age), bytes(row), owner(row).to_owned(), row.key.escape_debug().to_string(), row.id.0.clone()]
    };
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(rows.iter().map(cells)).collect();
    let width = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let text = |[age, size, owner, key, id]: &[String; 5]| {
        let [a, s, o, k] = widths;
        format!("{age:a$}  {size:>s$}  {owner:o$}  {key:k$}  {id}")
    };
    lines.iter().map(text).collect()
}

/// The names are a promise; `docs/configuration.md` has them.
fn to_json(source: &str, rows: &[Row]) -> Value {
    let uploads = rows.iter().map(|row| {
        json!({
            "key": row.key, "upload": row.id.0, "age_s": row.age.as_secs(), "parts": row.parts, "bytes": row.bytes,
            "mount": owner(row),
        })
    });
    json!({ "source": source, "uploads": uploads.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_up_and_a_key_cannot_break_it() {
        let row = |key: &str, seconds: u64, bytes: Option<u64>, owner: Owner| Row {
            key: key.to_owned(),
            id: UploadId("id".to_owned()),
            age: Duration::from_secs(seconds),
            parts: Some(1),
            bytes,
            owner,
        };
        let rows = [row("a\nb", 90_061, Some(5 << 20), Owner::Gone), row("c", 61, None, Owner::Unknown)];
        let want = [
            "AGE     SIZE   MOUNT    KEY   UPLOAD",
            "1d 1h   5 MiB  gone     a\\nb  id",
            "1m 1s       ?  unknown  c     id",
        ];
        assert_eq!(
            to_table(&rows).iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>(),
            want.iter().map(|line| line.split_whitespace().collect::<Vec<_>>()).collect::<Vec<_>>()
        );
        assert!(to_table(&rows).windows(2).all(|pair| pair[0].find("  ").is_some() && pair[1].len() >= 20));
        assert_eq!(to_table(&[]), ["no unfinished uploads"]);
    }
}
