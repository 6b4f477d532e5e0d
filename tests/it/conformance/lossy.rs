//! A line that loses every few requests: some before they arrive, some answers on their way back.

use async_trait::async_trait;
use brigade::http::Error;
use brigade::http::ErrorKind;
use brigade::http::Method;
use brigade::http::Request;
use brigade::http::Response;
use brigade::http::Result;
use brigade::http::Transport;
use brigade::http::client::Client;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// Loses one of `every` requests.
pub(super) struct Lossy {
    line: Client,
    every: u64,
    sent: AtomicU64,
    lost: AtomicU64,
}

impl Lossy {
    pub fn new(line: Client, every: u64) -> Self {
        Self { line, every, sent: AtomicU64::new(0), lost: AtomicU64::new(0) }
    }

    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Transport for Lossy {
    async fn send(&self, request: Request) -> Result<Response> {
        let nth = self.sent.fetch_add(1, Ordering::Relaxed);
        // A create whose answer is lost leaves an upload behind by nature, which would be counted as a failure.
        let is_create = request.method == Method::POST && request.query == "uploads";
        if !nth.is_multiple_of(self.every) || is_create {
            return self.line.send(request).await;
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
        if (nth / self.every).is_multiple_of(2) {
            return Err(Error::new(ErrorKind::Broken, "the request is lost"));
        }
        let response = self.line.send(request).await?;
        // Taken to its end, so that the work is surely done.
        response.bytes(usize::MAX).await?;
        Err(Error::new(ErrorKind::Broken, "the answer is lost"))
    }
}
