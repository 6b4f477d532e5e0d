//! `brigade status --watch`: the page again and again. On a terminal it is a screen of its own, which follows the window and
//! leaves everything as it was; elsewhere it is page after page.

use crate::cli::Failure;
use crate::cli::args::StatusArgs;
use crate::cli::resolve::Environment;
use crate::cli::status::Look;
use crate::cli::status::look;
use crate::cli::status::text;
use crate::cli::status::to_json;
use crate::mount::signals::Signals;
use rustix::termios::LocalModes;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use std::io;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

/// The pause between looks.
const EVERY: Duration = Duration::from_secs(1);

/// Another screen, without a cursor, and lines that end at the edge instead of going on below.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// As it was.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The height of a window that does not tell it.
const ROWS: u16 = 24;

const CTRL_C: u8 = 3;

/// Shows until the user has seen enough.
pub fn watch(args: StatusArgs, environment: &Environment) -> Result<(), Failure> {
    let failed = |cause: io::Error| Failure::Failed(format!("cannot watch: {cause}"));
    // A mount that is not there is told of before anything is shown.
    let first = look(&args, environment)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let shown = runtime.block_on(async {
        let watching = Watching { args, environment: environment.clone(), latest: first, before: None };
        if watching.args.json || !io::stdout().is_terminal() {
            watching.line_by_line().await
        } else {
            watching.on_screen().await
        }
    });
    // A look under way is left to itself.
    runtime.shutdown_background();
    shown.map_err(failed)
}

struct Watching {
    args: StatusArgs,
    environment: Environment,
    latest: Look,
    before: Option<Look>,
}

impl Watching {
    /// Waits, and looks again. Why it cannot is shown in the place of the page.
    async fn next(&mut self) -> Result<(), String> {
        tokio::time::sleep(EVERY).await;
        let (args, environment) = (self.args.clone(), self.environment.clone());
        let looked = tokio::task::spawn_blocking(move || look(&args, &environment)).await;
        match looked.map_err(|broken| broken.to_string())? {
            Ok(look) => {
                self.before = Some(std::mem::replace(&mut self.latest, look));
                Ok(())
            }
            Err(Failure::Usage(why) | Failure::Failed(why)) => Err(why),
            Err(Failure::Told) => Ok(()),
        }
    }

    fn page(&self) -> Vec<String> {
        text::page(&self.latest, self.before.as_ref())
    }

    async fn line_by_line(mut self) -> io::Result<()> {
        let mut signals = Signals::new()?;
        let mut failed = None;
        loop {
            let text = match &failed {
                Some(why) => format!("{why}\n"),
                None if self.args.json => format!("{}\n", to_json(&self.latest)),
                None => format!("{}\n\n", self.page().join("\n")),
            };
            // A reader that has gone away has seen enough.
            if io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()).is_err() {
                return Ok(());
            }
            tokio::select! {
                looked = self.next() => failed = looked.err(),
                _ = signals.next() => return Ok(()),
            }
        }
    }

    async fn on_screen(mut self) -> io::Result<()> {
        let mut signals = Signals::new()?;
        let mut resized = unix::signal(SignalKind::window_change())?;
        let screen = Screen::enter()?;
        let mut keys = keys();
        let mut page = self.page();
        loop {
            screen.draw(&page)?;
            // What is drawn anew in between must not put the next look off.
            let looked = {
                let mut looked = pin!(self.next());
                loop {
                    tokio::select! {
                        looked = &mut looked => break looked,
                        _ = signals.next() => return Ok(()),
                        Some(key) = keys.recv() => if matches!(key, b'q' | b'Q' | CTRL_C) { return Ok(()) },
                        _ = resized.recv() => screen.draw(&page)?,
                    }
                }
            };
            page = match looked {
                Ok(()) => self.page(),
                Err(why) => vec![why],
            };
        }
    }
}

/// Keys as they are pressed. The thread that reads them ends with the program.
fn keys() -> mpsc::Receiver<u8> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut key = [0];
        while matches!(io::stdin().read(&mut key), Ok(1)) {
            if sender.blocking_send(key[0]).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A terminal whose keys come one by one, unseen, and whose screen is ours. As it was before, once this is dropped.
struct Screen {
    before: Option<Termios>,
}

impl Screen {
    fn enter() -> io::Result<Self> {
        // Without keys, if they do not come from a terminal: signals end it then.
        let before = rustix::termios::tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut modes = before.clone();
            modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
            rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, &modes)?;
        }
        let screen = Self { before };
        put(ENTER)?;
        Ok(screen)
    }

    fn draw(&self, page: &[String]) -> io::Result<()> {
        let rows = rustix::termios::tcgetwinsize(io::stdout()).map_or(ROWS, |size| size.ws_row);
        put(&frame(page, if rows == 0 { ROWS } else { rows }))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing more.
        let _ = put(LEAVE);
        if let Some(before) = &self.before {
            let _ = rustix::termios::tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

fn put(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// What draws a page over the one before, with the last line for help. What does not fit is left out.
fn frame(page: &[String], rows: u16) -> String {
    let room = usize::from(rows.saturating_sub(1));
    let mut text = "\x1b[H".to_owned();
    for line in page.iter().take(room) {
        text.push_str(line);
        text.push_str("\x1b[K\r\n");
    }
    let hidden = page.len().saturating_sub(room);
    text.push_str("\x1b[J\x1b[7m q leaves ");
    if hidden > 0 {
        text.push_str(&format!("| {hidden} lines are below the window "));
    }
    text.push_str("\x1b[0m");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_as_many_lines_as_the_window() {
        let page: Vec<_> = ["one", "two", "three"].map(str::to_owned).into();
        let whole = frame(&page, 24);
        assert!(whole.starts_with("\x1b[Hone\x1b[K\r\ntwo\x1b[K\r\nthree\x1b[K\r\n\x1b[J"), "{whole:?}");
        assert!(whole.ends_with("q leaves \x1b[0m"), "{whole:?}");
        let cut = frame(&page, 2);
        assert!(cut.contains("one") && !cut.contains("two") && cut.contains("2 lines are below"), "{cut:?}");
        assert_eq!(frame(&page, 1).matches("\r\n").count(), 0);
    }
}
