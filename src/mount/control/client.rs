//! The asker's side of a control socket: one request on a blocking connection, and its answers.

use crate::mount::control::Reply;
use serde::Serialize;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// A connection to a mount that was asked something.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    lines: io::Lines<io::BufReader<UnixStream>>,
}

impl Client {
    /// Connects to the first of the sockets that answers and sends the [`Request`](super::Request) or the [`Question`](super::Question).
    ///
    /// # Errors
    /// When nobody listens on any of them.
    pub fn ask(sockets: &[PathBuf], request: &impl Serialize) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for path in sockets {
            match UnixStream::connect(path) {
                Ok(stream) => return Self::send(stream, request),
                Err(cause) => last = cause,
            }
        }
        Err(last)
    }

    fn send(mut stream: UnixStream, request: &impl Serialize) -> io::Result<Self> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        io::Write::write_all(&mut stream, &line)?;
        Ok(Self { lines: io::BufRead::lines(io::BufReader::new(stream.try_clone()?)), stream })
    }

    /// Ends the connection from another thread: who waits for an answer gets `None`.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn hanger_up(&self) -> io::Result<impl FnOnce() + use<>> {
        let stream = self.stream.try_clone()?;
        Ok(move || {
            // It fails when the other end was faster.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        })
    }

    /// Waits for the next answer; `None` when the process has ended.
    ///
    /// # Errors
    /// When the connection breaks or carries something else; `WouldBlock` when `patience` has run out.
    pub fn receive(&mut self, patience: Option<Duration>) -> io::Result<Option<Reply>> {
        self.stream.set_read_timeout(patience)?;
        let Some(line) = self.lines.next().transpose()? else { return Ok(None) };
        serde_json::from_str(&line).map(Some).map_err(io::Error::from)
    }
}
