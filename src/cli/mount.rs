//! `brigade mount`: in the foreground, or started again in the background and waited for.

use crate::cli::Failure;
use crate::cli::args::MountArgs;
use crate::cli::line;
use crate::cli::logging;
use crate::cli::resolve;
use crate::cli::resolve::Environment;
use crate::mount::background;
use crate::mount::background::Start;
use crate::mount::daemon;
use crate::mount::plan::Plan;
use std::ffi::OsString;

/// Mounts. `arguments` are those of this command, to start it again with.
pub fn run(args: &MountArgs, arguments: &[OsString], environment: &Environment) -> Result<(), Failure> {
    let plan = resolve::mount(args, environment)?;
    if environment.in_background {
        return in_background(args, &plan, environment);
    }
    let told = format!("mounted {} on {}", plan.source, plan.dir.display());
    if args.foreground {
        logging::start(&args.log, environment)?;
        let ready = || {
            line(&told);
            Ok(())
        };
        return daemon::run(&plan, ready).map_err(|why| Failure::Failed(why.to_string()));
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

fn in_background(args: &MountArgs, plan: &Plan, environment: &Environment) -> Result<(), Failure> {
    let mut waited_for = true;
    let result = logging::start(&args.log, environment).and_then(|log| {
        let ready = || {
            waited_for = false;
            background::report_ready(log.as_deref())
        };
        daemon::run(plan, ready).map_err(|why| Failure::Failed(why.to_string()))
    });
    match result {
        Err(Failure::Usage(why) | Failure::Failed(why)) if waited_for => {
            background::report_failure(&why);
            Err(Failure::Told)
        }
        other => other,
    }
}
