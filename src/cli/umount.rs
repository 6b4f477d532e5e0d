//! `brigade umount`: asks the mount's own process to store everything and unmount, and shows how far it is.

use crate::base::bytesize::ByteSize;
use crate::base::clock;
use crate::cli::Failure;
use crate::cli::args::UmountArgs;
use crate::cli::error_line;
use crate::cli::line;
use crate::cli::resolve::Environment;
use crate::mount::control;
use crate::mount::control::Client;
use crate::mount::control::Reply;
use crate::mount::control::Request;
use crate::mount::holders;
use crate::mount::mountpoint;
use crate::mount::mountpoint::Health;
use crate::mount::signals::Signals;
use crate::mount::table::Mount;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use std::collections::BTreeSet;
use std::io;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

const HOLDERS_NAMED: usize = 5;
/// Looking at all processes of a busy machine takes some tens of milliseconds.
const HOLDERS_SOUGHT_MAX: Duration = Duration::from_secs(2);
/// How often a line tells what is left, where there is no terminal for a bar.
const LINE_EVERY: Duration = Duration::from_secs(1);
/// The same while the store is gone.
const OUTAGE_LINE_EVERY: Duration = Duration::from_secs(10);

/// Unmounts.
pub fn run(args: &UmountArgs, environment: &Environment) -> Result<(), Failure> {
    let deadline = args.timeout.map(|timeout| clock::monotonic() + timeout);
    let mount = mountpoint::find(&args.dir).map_err(|why| Failure::Failed(why.to_string()))?;
    // Standing in the mount would hold it.
    std::env::set_current_dir("/").map_err(|cause| Failure::Failed(format!("cannot leave this directory: {cause}")))?;
    let request = Request::Umount { dir: mount.dir.clone(), force: args.force };
    let sockets = control::candidates(&environment.control_dir(), mount.owner, mount.device);
    match Client::ask(&sockets, &request) {
        Ok(client) => Conversation::new(args, &mount, deadline).hold(client),
        // Between two processes that serve it nobody listens: its health is told when the next one does.
        Err(_) if mountpoint::health(&mount) == Health::Alive => match Client::ask(&sockets, &request) {
            Ok(client) => Conversation::new(args, &mount, deadline).hold(client),
            Err(cause) => Err(unreachable(&args.dir, &cause)),
        },
        Err(_) => detach_stale(&args.dir, &mount),
    }
}

fn unreachable(dir: &Path, cause: &io::Error) -> Failure {
    let dir = dir.display();
    Failure::Failed(format!(
        "cannot reach the process that serves {dir}: {cause}; ask as the user who mounted it or as root, or use `umount {dir}`"
    ))
}

fn detach_stale(dir: &Path, mount: &Mount) -> Result<(), Failure> {
    let detached = mountpoint::detach(&mount.dir);
    detached.map_err(|why| Failure::Failed(mountpoint::system("detach the stale mount on", dir, why).to_string()))?;
    line(&format!("{}: its process was gone; the stale mount of {} is detached", dir.display(), mount.source));
    Ok(())
}

/// Hangs up when the user has enough of waiting.
fn when_interrupted(told: Arc<AtomicBool>, hang_up: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _entered = runtime.enter();
        Signals::new()?
    };
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(signals.next());
        told.store(true, Ordering::Release);
        hang_up();
    })?;
    Ok(())
}

struct Conversation<'a> {
    args: &'a UmountArgs,
    mount: &'a Mount,
    deadline: Option<Instant>,
    progress: Progress,
    not_stored: BTreeSet<String>,
    unmounted: bool,
    interrupted: Arc<AtomicBool>,
}

impl<'a> Conversation<'a> {
    fn new(args: &'a UmountArgs, mount: &'a Mount, deadline: Option<Instant>) -> Self {
        Self {
            args,
            mount,
            deadline,
            progress: Progress::new(),
            not_stored: BTreeSet::new(),
            unmounted: false,
            interrupted: Arc::default(),
        }
    }

    fn hold(mut self, mut client: Client) -> Result<(), Failure> {
        let told = Arc::clone(&self.interrupted);
        client.hanger_up().and_then(|hang_up| when_interrupted(told, hang_up)).map_err(|cause| {
            Failure::Failed(format!("cannot wait for signals: {cause}; end what uses the machine up, and try again"))
        })?;
        loop {
            match client.receive(self.patience()?) {
                Ok(Some(reply)) => self.hear(reply)?,
                // The process has ended, and with it everything it held is free.
                Ok(None) => return self.end(),
                Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(self.out_of_time());
                }
                Err(cause) => {
                    return Err(self.failed(&format!("its process stopped answering: {cause}; see its log")));
                }
            }
        }
    }

    fn hear(&mut self, reply: Reply) -> Result<(), Failure> {
        match reply {
            Reply::Pending { files, bytes, outage_s } => self.progress.show(files, bytes, outage_s),
            Reply::NotStored(what) => {
                if self.not_stored.insert(what.clone()) {
                    self.progress.clear();
                    error_line(&format!("not stored: {what}"));
                }
            }
            Reply::Busy => return Err(self.busy()),
            Reply::Refused(why) => {
                return Err(self.failed(&format!("{why}; it stays mounted, and --force gives up what is not stored")));
            }
            // Said to one who asked for something else.
            Reply::HandedOver | Reply::Status(_) | Reply::Log { .. } => {}
            Reply::Unmounted => self.unmounted = true,
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Failure> {
        self.progress.clear();
        match (self.unmounted, self.not_stored.len()) {
            (true, 0) => Ok(()),
            (true, lost) => Err(Failure::Failed(format!(
                "{} is unmounted, but {lost} of its files are not stored as they were written",
                self.args.dir.display()
            ))),
            (false, _) if self.interrupted.load(Ordering::Acquire) => {
                Err(self.failed(&format!("interrupted; it stays mounted{}", self.progress.left())))
            }
            (false, _) => Err(self.failed("its process ended before it had unmounted; see its log")),
        }
    }

    fn patience(&self) -> Result<Option<Duration>, Failure> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        match deadline.saturating_duration_since(clock::monotonic()) {
            Duration::ZERO => Err(self.out_of_time()),
            left => Ok(Some(left)),
        }
    }

    fn out_of_time(&self) -> Failure {
        let left = self.progress.left();
        self.failed(&format!("it is not done within the time of --timeout; it stays mounted{left}"))
    }

    fn busy(&self) -> Failure {
        let holders = holders::scan(Path::new("/proc"), self.mount, HOLDERS_NAMED, HOLDERS_SOUGHT_MAX);
        let names: Vec<_> = holders.iter().map(ToString::to_string).collect();
        self.failed(&match names.as_slice() {
            [] => "it is in use, by a process that cannot be seen or by a mount below it; it stays mounted".to_owned(),
            names => format!("it is in use by {}; it stays mounted, end them and try again", names.join(", ")),
        })
    }

    fn failed(&self, why: &str) -> Failure {
        self.progress.clear();
        Failure::Failed(format!("cannot unmount {}: {why}", self.args.dir.display()))
    }
}

/// What is left to be stored: a bar on a terminal, else a line now and then.
struct Progress {
    bar: Option<ProgressBar>,
    most: u64,
    /// Files and bytes.
    left: (usize, u64),
    last: Option<(Instant, u64)>,
    last_outage: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes} stored, {msg} {bytes_per_sec}");
            ProgressBar::new(0).with_style(style.expect("the template is right"))
        });
        Self { bar, most: 0, left: (0, 0), last: None, last_outage: None }
    }

    /// What goes on when nobody waits for it any more, as the rest of a sentence.
    fn left(&self) -> String {
        match self.left {
            (0, _) => String::new(),
            (files, bytes) => format!(", and {files} files go on being stored, {} of them left", ByteSize(bytes)),
        }
    }

    fn show(&mut self, files: usize, bytes: u64, outage_s: Option<u64>) {
        self.left = (files, bytes);
        if files == 0 && bytes == 0 {
            return;
        }
        let outage = outage_s.map(|seconds| format!("the store has not answered for {seconds} s"));
        self.most = self.most.max(bytes);
        if let Some(bar) = &self.bar {
            bar.set_length(self.most);
            bar.set_position(self.most - bytes);
            bar.set_message(outage.unwrap_or_else(|| format!("{files} files left")));
            return;
        }
        let now = clock::monotonic();
        if let Some(outage) = outage
            && self.last_outage.is_none_or(|at| now.duration_since(at) >= OUTAGE_LINE_EVERY)
        {
            self.last_outage = Some(now);
            line(&format!("{outage}; {files} files wait for it, and --force gives them up"));
        }
        if self.last.is_none_or(|(at, shown)| shown != bytes && now.duration_since(at) >= LINE_EVERY) {
            self.last = Some((now, bytes));
            line(&format!("storing {files} files, {} left", ByteSize(bytes)));
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
