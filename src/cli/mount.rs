//! `brigade mount`: in the foreground, or started again in the background and waited for; and once more for the process that
//! serves the mount.

use crate::cli::Failure;
use crate::cli::args::MountArgs;
use crate::cli::line;
use crate::cli::logging;
use crate::cli::resolve;
use crate::cli::resolve::Environment;
use crate::mount::background;
use crate::mount::background::Start;
use crate::mount::daemon;
use crate::mount::link::Link;
use crate::mount::link::News;
use crate::mount::plan::Plan;
use crate::mount::source::Source;
use crate::mount::supervisor;
use crate::mount::worker::Paths;
use crate::mount::worker::Typed;
use rustix::process::Signal;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Mounts. `arguments` are those of this command, to start it again with.
pub fn run(args: &MountArgs, arguments: &[OsString], environment: &Environment) -> Result<(), Failure> {
    let plan = resolve::mount(args, environment)?;
    if environment.is_worker {
        return serve(args, &plan, environment);
    }
    let typed = Typed { arguments, paths: paths(args, &plan) };
    if environment.in_background {
        return in_background(args, &plan, typed, environment);
    }
    let told = format!("mounted {} on {}", plan.source, plan.dir.display());
    if args.foreground {
        logging::start(&args.log, environment)?;
        let ready = || {
            line(&told);
            Ok(())
        };
        return supervisor::run(&plan, typed, ready).map_err(|why| Failure::Failed(why.to_string()));
    }
    match background::start(arguments) {
        Ok(Start::Ready) => {
            line(&told);
            Ok(())
        }
        Ok(Start::Failed(why)) => Err(Failure::Failed(why)),
        Err(cause) => Err(Failure::Failed(format!("cannot start the mount process: {cause}"))),
    }
}

fn in_background(args: &MountArgs, plan: &Plan, typed: Typed<'_>, environment: &Environment) -> Result<(), Failure> {
    let mut waited_for = true;
    let result = logging::start(&args.log, environment).and_then(|log| {
        let ready = || {
            waited_for = false;
            background::report_ready(log.file.as_deref())
        };
        supervisor::run(plan, typed, ready).map_err(|why| Failure::Failed(why.to_string()))
    });
    match result {
        Err(Failure::Usage(why) | Failure::Failed(why)) if waited_for => {
            background::report_failure(&why);
            Err(Failure::Told)
        }
        other => other,
    }
}

// The process that keeps the mount tells why it has failed, if it must be told: this one only reports.
fn serve(args: &MountArgs, plan: &Plan, environment: &Environment) -> Result<(), Failure> {
    let link = attach().map(Arc::new).map_err(|cause| Failure::Failed(format!("cannot serve a mount: {cause}")))?;
    let result = logging::start(&args.log, environment).and_then(|log| {
        let ready = || if environment.in_background { background::silence(log.file.as_deref()) } else { Ok(()) };
        daemon::run(plan, &link, log.control, ready).map_err(|why| Failure::Failed(why.to_string()))
    });
    result.map_err(|failure| {
        if let Failure::Usage(why) | Failure::Failed(why) = failure {
            // Whoever cannot be told is gone.
            let _ = link.send(&News::failed(&why), None);
        }
        Failure::Told
    })
}

/// Whether what was typed means the same from anywhere. The mount point does not count: it is handed on.
fn paths(args: &MountArgs, plan: &Plan) -> Paths {
    let (log, uploads) = (&args.log.log_file, &args.uploads);
    let named = [log, &uploads.journal_dir, &uploads.state_dir, &uploads.cache_dir, &args.store.faults];
    let source = match &plan.source {
        Source::Local { .. } => args.source.split_once(':').map(|(_, path)| Path::new(path)),
        Source::Bucket { .. } => None,
    };
    let mut all = named.into_iter().flatten().map(PathBuf::as_path).chain(source);
    if all.any(Path::is_relative) { Paths::Relative } else { Paths::Absolute }
}

/// Ties this process to the one that keeps the mount: it ends with it, and hears from it alone of Ctrl-C.
fn attach() -> io::Result<Link> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    rustix::process::setsid()?;
    Link::inherited()
}
