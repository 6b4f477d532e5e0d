//! What the process that keeps a mount (`supervisor.rs`) and the one that serves it (`daemon.rs`) tell each other: one JSON
//! value per packet, with descriptors beside it.

use rustix::net::AddressFamily;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::net::SendAncillaryBuffer;
use rustix::net::SendAncillaryMessage;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// Set in the environment of a process that is to serve; its standard input is its end of the link.
pub const VARIABLE: &str = "BRIGADE_WORKER";

/// No packet is longer: a path and some words, or one line of an error.
const PACKET_BYTES_MAX: usize = 32 << 10;
/// Longer errors are cut.
const WORDS_BYTES_MAX: usize = 8 << 10;

/// What the one who keeps the mount says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Get ready; the file of notes comes with it.
    Prepare {
        /// The mount point, absolute.
        dir: PathBuf,
        /// Whether another process served this mount before.
        taken_over: bool,
    },
    /// Serve; the device comes with it.
    Serve {
        /// Whether another process can take over.
        can_be_taken_over: bool,
    },
    /// End in favour of another process.
    HandOver,
}

/// What the one who serves says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum News {
    /// It can serve.
    Prepared,
    /// It serves.
    Serving,
    /// The mount has ended.
    Ended {
        /// Whether everything that was written is in the bucket.
        clean: bool,
    },
    /// It ends in favour of another process, which is to be of this program.
    HandedOver(Option<PathBuf>),
    /// It ends, for this reason.
    Failed(String),
}

impl News {
    /// The reason, as one line of bearable length.
    #[must_use]
    pub fn failed(why: &str) -> Self {
        let cut = (0..=WORDS_BYTES_MAX.min(why.len())).rev().find(|at| why.is_char_boundary(*at)).unwrap_or(0);
        Self::Failed(why[..cut].replace('\n', " "))
    }
}

/// One end.
#[derive(Debug)]
pub struct Link {
    socket: OwnedFd,
}

impl Link {
    /// Both ends.
    ///
    /// # Errors
    /// When the system has no descriptors left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let made = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self { socket: made.0 }, Self { socket: made.1 }))
    }

    /// The end that this process was started with. Its standard input is empty afterwards.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn inherited() -> io::Result<Self> {
        let socket = io::stdin().as_fd().try_clone_to_owned()?;
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self { socket })
    }

    /// The end, to start a process with.
    #[must_use]
    pub fn into_socket(self) -> OwnedFd {
        self.socket
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the other one is gone.
    pub fn send(&self, message: &impl Serialize, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        let descriptors: Vec<_> = descriptor.into_iter().collect();
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(&descriptors)) {
            return Err(io::Error::from(io::ErrorKind::OutOfMemory));
        }
        rustix::net::sendmsg(&self.socket, &[IoSlice::new(&text)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for a message; `None` when the other one is gone.
    ///
    /// # Errors
    /// When the message is not understood.
    pub fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Option<OwnedFd>)>> {
        let mut bytes = vec![0; PACKET_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let into = &mut [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, into, &mut beside, RecvFlags::CMSG_CLOEXEC) {
                Ok(received) => break received.bytes,
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => break 0,
                Err(error) => return Err(error.into()),
            }
        };
        if received == 0 {
            return Ok(None);
        }
        let descriptor = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok(Some((serde_json::from_slice(&bytes[..received])?, descriptor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::io::Write;

    #[test]
    fn messages_arrive_whole_with_their_descriptors() {
        let (keeper, server) = Link::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        let order = Order::Prepare { dir: "/mnt/a b".into(), taken_over: true };
        keeper.send(&order, Some(reader.as_fd())).unwrap();
        keeper.send(&Order::HandOver, None).unwrap();
        let (got, descriptor) = server.receive::<Order>().unwrap().unwrap();
        assert_eq!(got, order);
        reader = io::PipeReader::from(descriptor.unwrap());
        writer.write_all(b"x").unwrap();
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
        let (got, descriptor) = server.receive::<Order>().unwrap().unwrap();
        assert_eq!((got, descriptor.is_none()), (Order::HandOver, true));
        drop(keeper);
        assert!(server.receive::<Order>().unwrap().is_none(), "the other one is gone");
        assert!(server.send(&News::Prepared, None).is_err());
    }

    #[test]
    fn a_reason_is_one_line_that_fits() {
        let News::Failed(why) = News::failed(&format!("a\nb{}", "ü".repeat(WORDS_BYTES_MAX))) else { panic!() };
        assert!(why.starts_with("a bü") && why.len() <= WORDS_BYTES_MAX);
        let (keeper, server) = Link::pair().unwrap();
        server.send(&News::Failed(why.clone()), None).unwrap();
        assert_eq!(keeper.receive::<News>().unwrap().unwrap().0, News::Failed(why));
    }
}
