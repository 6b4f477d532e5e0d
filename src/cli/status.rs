//! `brigade status`: how mounts are, once or again and again, for people or for programs. How it is laid out is `text.rs`, the
//! live screen is `screen.rs`.

mod screen;
mod text;

use crate::base::clock;
use crate::cli::Failure;
use crate::cli::args::StatusArgs;
use crate::cli::line;
use crate::cli::resolve::Environment;
use crate::mount::control::Question;
use crate::mount::control::Reply;
use crate::mount::inquiry;
use crate::mount::inquiry::Answered;
use crate::mount::status::Status;
use crate::mount::status::VERSION;
use crate::mount::table::Mount;
use serde_json::Value;
use serde_json::json;
use std::time::Instant;

/// How one mount is, or why that cannot be told: the rest of a sentence.
pub(super) struct Seen {
    pub mount: Mount,
    pub status: Result<Box<Status>, String>,
}

/// All that was asked for, at some moment.
pub(super) struct Look {
    pub at: Instant,
    pub mounts: Vec<Seen>,
}

/// Asks and shows. Fails if a mount does not answer.
pub fn run(args: &StatusArgs, environment: &Environment) -> Result<(), Failure> {
    if args.watch {
        return screen::watch(args.clone(), environment);
    }
    let look = look(args, environment)?;
    let silent = look.mounts.iter().any(|seen| seen.status.is_err());
    if args.json {
        line(&to_json(&look).to_string());
    } else {
        text::page(&look, None).iter().for_each(|text| line(text));
    }
    if silent { Err(Failure::Told) } else { Ok(()) }
}

fn look(args: &StatusArgs, environment: &Environment) -> Result<Look, Failure> {
    let mounts = match &args.dir {
        Some(dir) => vec![inquiry::find(dir).map_err(|why| Failure::Failed(why.to_string()))?],
        None => {
            let mounts = inquiry::mounts(rustix::process::geteuid().as_raw());
            mounts.map_err(|cause| Failure::Failed(format!("cannot see what is mounted: {cause}")))?
        }
    };
    let answered = inquiry::ask(mounts, &environment.control_dir(), &Question::Status);
    Ok(Look { at: clock::monotonic(), mounts: answered.into_iter().map(seen).collect() })
}

fn seen(Answered { mount, reply }: Answered) -> Seen {
    let status = match reply {
        Ok(Reply::Status(status)) => Ok(status),
        Ok(_) => Err("its process answered something else; it may be of another version".to_owned()),
        Err(why) => Err(why),
    };
    Seen { mount, status }
}

/// The names are a promise; `docs/status.md` has them.
fn to_json(look: &Look) -> Value {
    let mounts = look.mounts.iter().map(|seen| match &seen.status {
        Ok(status) => serde_json::to_value(status).expect("it is plain data"),
        Err(why) => json!({ "version": VERSION, "source": seen.mount.source, "dir": seen.mount.dir, "error": why }),
    });
    json!({ "version": VERSION, "mounts": mounts.collect::<Vec<_>>() })
}
