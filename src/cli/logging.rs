//! The log: its level from BRIGADE_LOG or from who changes it later, its form and place from the options.

use crate::cli::Failure;
use crate::cli::args::LogArgs;
use crate::cli::args::LogFormat;
use crate::cli::journald;
use crate::cli::journald::Journald;
use crate::cli::resolve::Environment;
use crate::mount::observatory::Logging;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::fmt::format::Format;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;

/// How much is told where the environment does not say.
const LEVEL: &str = "info";

/// Where every request of a program is a line.
const ACCESS: &str = "brigade::access";

// A level alone is about this program. The libraries below tell a lot at any level, and with `warn` of each place
// where there were no credentials. The log of accesses is no matter of the level.
fn directives(level: &str, access: bool) -> String {
    let is_level = !level.contains(['=', ',']) && level != "off";
    let all = if is_level { format!("error,brigade={level}") } else { level.to_owned() };
    format!("{all},{ACCESS}={}", if access { "trace" } else { "off" })
}

fn filter(level: &str, access: bool) -> Result<EnvFilter, String> {
    EnvFilter::try_new(directives(level, access))
        .map_err(|cause| format!("{level:?} is no level ({cause}); use error, warn, info, debug or trace"))
}

/// A log that was started.
pub struct Log {
    /// The file that it goes to, if it does.
    pub file: Option<Arc<File>>,
    /// What changes it.
    pub control: Arc<Control>,
}

/// What changes the log while the program runs.
pub struct Control {
    reload: Reload,
    /// The level, and whether accesses are logged.
    now: Mutex<(String, bool)>,
}

type Reload = Box<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>;

impl Logging for Control {
    fn change(&self, level: Option<&str>, access: Option<bool>) -> Result<(String, bool), String> {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = (level.unwrap_or(&now.0).to_owned(), access.unwrap_or(now.1));
        if wanted != *now {
            (self.reload)(filter(&wanted.0, wanted.1)?)?;
            now.clone_from(&wanted);
        }
        Ok(wanted)
    }
}

fn reloading<S: 'static>(handle: Handle<EnvFilter, S>) -> Reload {
    Box::new(move |filter| handle.reload(filter).map_err(|cause| cause.to_string()))
}

fn lines(
    filter: EnvFilter,
    writer: BoxMakeWriter,
    colours: bool,
) -> SubscriberBuilder<DefaultFields, Format, EnvFilter, BoxMakeWriter> {
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours)
}

fn to_journal(filter: EnvFilter, args: &LogArgs) -> Result<Reload, Failure> {
    if let Some(file) = &args.log_file {
        return Err(Failure::Usage(format!(
            "--log journald writes to the journal, and --log-file {} to a file; give one of them",
            file.display()
        )));
    }
    let journal = Journald::connect(Path::new(journald::SOCKET)).map_err(|cause| {
        Failure::Failed(format!("cannot log to the journal at {}: {cause}; use --log text", journald::SOCKET))
    })?;
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(filter).with(journal).init();
    Ok(reloading(handle))
}

/// Starts logging.
pub fn start(args: &LogArgs, environment: &Environment) -> Result<Log, Failure> {
    let level = environment.log.as_deref().unwrap_or(LEVEL);
    let filter = filter(level, false).map_err(|why| Failure::Usage(format!("BRIGADE_LOG: {why}")))?;
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
    let reload = match args.log {
        LogFormat::Text => {
            let builder = lines(filter, writer, colours).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            reloading(handle)
        }
        LogFormat::Json => {
            let builder = lines(filter, writer, colours).json().with_filter_reloading();
            let handle = builder.reload_handle();
            builder.init();
            reloading(handle)
        }
        LogFormat::Journald => to_journal(filter, args)?,
    };
    // A panic in the background would otherwise go nowhere.
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a bug in Brigade; please report it")));
    let control = Arc::new(Control { reload, now: Mutex::new((level.to_owned(), false)) });
    Ok(Log { file, control })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_about_this_program_and_a_filter_about_all() {
        for (typed, want) in [
            ("debug", "error,brigade=debug,brigade::access=off"),
            ("off", "off,brigade::access=off"),
            ("trace,hyper=off", "trace,hyper=off,brigade::access=off"),
            ("brigade::vfs=debug", "brigade::vfs=debug,brigade::access=off"),
        ] {
            assert_eq!(directives(typed, false), want);
            assert!(filter(typed, true).is_ok(), "{typed}");
        }
        assert!(filter("loud", false).is_err());
    }

    #[test]
    fn a_change_is_made_whole_or_not_at_all() {
        let (sender, receiver) = std::sync::mpsc::channel();
        let sender = Mutex::new(sender);
        let reload =
            move |filter: EnvFilter| sender.lock().unwrap().send(filter.to_string()).map_err(|e| e.to_string());
        let control = Control { reload: Box::new(reload), now: Mutex::new(("info".to_owned(), false)) };
        assert_eq!(control.change(None, None), Ok(("info".to_owned(), false)));
        assert!(receiver.try_recv().is_err(), "nothing was asked for");
        assert_eq!(control.change(None, Some(true)), Ok(("info".to_owned(), true)));
        assert!(receiver.try_recv().unwrap().contains("brigade::access=trace"));
        assert!(control.change(Some("loud"), Some(false)).unwrap_err().contains("no level"));
        assert_eq!(control.change(Some("debug"), None), Ok(("debug".to_owned(), true)));
        let told = receiver.try_recv().unwrap();
        assert!(told.contains("brigade=debug") && told.contains("brigade::access=trace"), "{told}");
    }
}
