//! Watches whether the other side of a connection takes what it is sent, and how the connection ends. No HTTP here.

use rustix::net::Shutdown;
use rustix::net::connect_unspec;
use rustix::net::shutdown;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// A connection that fails when the other side takes no bytes for too long; otherwise a dead reader holds its
/// connection, and the object it reads, for ever.
pub struct WriteWatch {
    stream: TcpStream,
    idle_timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    // Set by whoever wants the connection to end by a reset.
    resets: Arc<AtomicBool>,
}

impl WriteWatch {
    /// Watches a connection; when it is dropped while `resets` is set, it ends by a reset.
    pub fn new(stream: TcpStream, idle_timeout: Duration, resets: Arc<AtomicBool>) -> Self {
        Self { stream, idle_timeout, deadline: None, resets }
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let timeout = self.idle_timeout;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl Drop for WriteWatch {
    fn drop(&mut self) {
        // Not by closing the descriptor: a child that another thread has just made may hold a copy of it. That it has ended
        // already is no harm.
        let _ = if self.resets.load(Ordering::Relaxed) {
            connect_unspec(&self.stream)
        } else {
            shutdown(&self.stream, Shutdown::Both)
        };
    }
}

impl AsyncRead for WriteWatch {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for WriteWatch {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_connection_ends_though_somebody_has_a_copy_of_its_descriptor() {
        for resets in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (served, _) = listener.accept().await.unwrap();
            let copy = served.as_fd().try_clone_to_owned().unwrap();
            drop(WriteWatch::new(served, Duration::from_secs(1), Arc::new(AtomicBool::new(resets))));
            let read = client.read(&mut [0]).await.map_err(|error| error.kind());
            assert_eq!(read, if resets { Err(io::ErrorKind::ConnectionReset) } else { Ok(0) });
            drop(copy);
        }
    }
}
