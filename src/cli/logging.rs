//! The log: its level from BRIGADE_LOG, its form and place from the options.

use crate::cli::Failure;
use crate::cli::args::LogArgs;
use crate::cli::args::LogFormat;
use crate::cli::resolve::Environment;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How much is told where the environment does not say.
const LEVEL: &str = "info";

// A level alone is about this program. The libraries below tell a lot at any level, and with `warn` of each place
// where there were no credentials.
fn directives(level: &str) -> String {
    let is_level = !level.contains(['=', ',']) && level != "off";
    if is_level { format!("error,brigade={level}") } else { level.to_owned() }
}

/// Starts logging and answers the log file, if there is one.
pub fn start(args: &LogArgs, environment: &Environment) -> Result<Option<Arc<File>>, Failure> {
    let level = environment.log.as_deref().unwrap_or(LEVEL);
    let filter = EnvFilter::try_new(directives(level)).map_err(|cause| {
        Failure::Usage(format!(
            "BRIGADE_LOG is {level:?}, which is no level ({cause}); use error, warn, info, debug or trace"
        ))
    })?;
    let file = match &args.log_file {
        None => None,
        Some(path) => {
            let opened = File::options().append(true).create(true).mode(0o600).open(path);
            Some(Arc::new(opened.map_err(|cause| {
                Failure::Failed(format!(
                    "cannot write the log file {}: {cause}; name another with --log-file",
                    path.display()
                ))
            })?))
        }
    };
    let (writer, colours) = match &file {
        Some(file) => (BoxMakeWriter::new(Arc::clone(file)), false),
        None => (BoxMakeWriter::new(io::stderr), io::stderr().is_terminal()),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match args.log {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
    // A panic in the background would otherwise go nowhere.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a bug in Brigade; please report it")));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_about_this_program_and_a_filter_about_all() {
        for (typed, want) in [
            ("debug", "error,brigade=debug"),
            ("off", "off"),
            ("trace,hyper=off", "trace,hyper=off"),
            ("brigade::vfs=debug", "brigade::vfs=debug"),
        ] {
            assert_eq!(directives(typed), want);
            assert!(EnvFilter::try_new(directives(typed)).is_ok(), "{typed}");
        }
        assert!(EnvFilter::try_new(directives("loud")).is_err());
    }
}
