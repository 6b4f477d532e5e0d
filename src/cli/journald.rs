//! The log as entries of systemd's journal, in its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram each, with
//! the fields of a line as fields of the entry.

use std::fmt;
use std::fmt::Write;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use tracing::Event;
use tracing::Level;
use tracing::Subscriber;
use tracing::field::Field;
use tracing::field::Visit;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where the journal listens.
pub const SOCKET: &str = "/run/systemd/journal/socket";

/// Sends lines to the journal.
pub struct Journald {
    socket: UnixDatagram,
}

impl Journald {
    /// Of the journal that listens there.
    ///
    /// # Errors
    /// When none does.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(path)?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber> Layer<S> for Journald {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        // There is nowhere to tell of a journal that takes nothing.
        let _ = self.socket.send(&line.entry(*metadata.level(), metadata.target()));
    }
}

/// What a line says.
#[derive(Default)]
struct Line {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Line {
    fn entry(&self, level: Level, target: &str) -> Vec<u8> {
        let mut message = self.message.clone();
        for (name, value) in &self.fields {
            write!(message, " {name}={value}").expect("a string takes everything");
        }
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", &message);
        put(&mut entry, "PRIORITY", priority(level));
        put(&mut entry, "SYSLOG_IDENTIFIER", "brigade");
        put(&mut entry, "BRIGADE_TARGET", target);
        for (name, value) in &self.fields {
            put(&mut entry, &field_name(name), value);
        }
        entry
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        if field.name() == "message" { self.message = text } else { self.fields.push((field.name(), text)) }
    }
}

/// As syslog counts them.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        _ => "7",
    }
}

/// Names of the journal have capitals, digits and underscores.
fn field_name(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    format!("BRIGADE_{}", name.chars().map(letter).collect::<String>())
}

/// One field: in a line, or with its length where it has several.
fn put(entry: &mut Vec<u8>, name: &str, value: &str) {
    entry.extend(name.as_bytes());
    if value.contains('\n') {
        entry.push(b'\n');
        entry.extend((value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(value.as_bytes());
    entry.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn a_line_is_an_entry_with_its_fields() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert!(Journald::connect(&path).is_err(), "nobody listens");
        let journal = UnixDatagram::bind(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journald::connect(&path).unwrap());
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(target: "brigade::fuse", path = "a b", errno = "EIO", code = None::<&str>, us = 7, "refused");
        });
        let mut bytes = [0; 4096];
        let count = journal.recv(&mut bytes).unwrap();
        let want = "MESSAGE=refused path=a b errno=EIO us=7\nPRIORITY=4\nSYSLOG_IDENTIFIER=brigade\n\
                    BRIGADE_TARGET=brigade::fuse\nBRIGADE_PATH=a b\nBRIGADE_ERRNO=EIO\nBRIGADE_US=7\n";
        assert_eq!(String::from_utf8_lossy(&bytes[..count]), want);
    }

    #[test]
    fn a_text_of_several_lines_is_sent_with_its_length() {
        let mut entry = Vec::new();
        put(&mut entry, "MESSAGE", "a\nb");
        assert_eq!(entry, b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n");
        assert_eq!((field_name("request-id").as_str(), priority(Level::TRACE)), ("BRIGADE_REQUEST_ID", "7"));
    }
}
