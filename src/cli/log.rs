//! `brigade log`: what a mount logs, shown and changed while it runs.

use crate::cli::Failure;
use crate::cli::args::LogCommandArgs;
use crate::cli::args::Switch;
use crate::cli::line;
use crate::cli::resolve::Environment;
use crate::mount::control::Question;
use crate::mount::control::Reply;
use crate::mount::inquiry;

/// Changes what was asked for, and shows what is the case then.
pub fn run(args: &LogCommandArgs, environment: &Environment) -> Result<(), Failure> {
    let mount = inquiry::find(&args.dir).map_err(|why| Failure::Failed(why.to_string()))?;
    let access = args.access.map(|switch| switch == Switch::On);
    let question = Question::Log { level: args.level.clone(), access };
    let answered = inquiry::ask(vec![mount], &environment.control_dir(), &question);
    let failed = |why: &str| Failure::Failed(format!("the log of {} is as it was: {why}", args.dir.display()));
    match answered.into_iter().next().map(|answered| answered.reply) {
        Some(Ok(Reply::Log { level, access })) => {
            line(&format!("level {level}, access log {}", if access { "on" } else { "off" }));
            Ok(())
        }
        Some(Err(why)) => Err(failed(&why)),
        Some(Ok(_)) | None => Err(failed("its process answered something else; it may be of another version")),
    }
}
