//! Where requests go that may take long: session threads never wait.
//!
//! A request is first tried on the session's own thread, since most are answered from memory and waking another thread
//! costs more than the answer (measured: 20 to 25 µs). What has to wait goes on in the background with its reply.

use crate::base::clock;
use crate::fuse::errno::errno;
use crate::fuse::errno::is_remarkable;
use crate::fuse::gate::Gate;
use crate::fuse::gate::Pass;
use crate::vfs::Error;
use crate::vfs::Result;
use fuser::Errno;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use tokio::runtime::Handle;

/// Answers slower than this are worth a line in the log.
const SLOW: Duration = Duration::from_secs(10);

/// A reply that can refuse a request. One that is dropped unanswered, by a panic, answers EIO by itself.
pub trait Reply: Send + 'static {
    /// Tells the kernel that the request failed.
    fn refuse(self, errno: Errno);
}

macro_rules! replies {
    ($($reply:ty),+ $(,)?) => { $(impl Reply for $reply { fn refuse(self, errno: Errno) { self.error(errno); } })+ };
}
replies!(
    fuser::ReplyAttr,
    fuser::ReplyCreate,
    fuser::ReplyData,
    fuser::ReplyDirectory,
    fuser::ReplyDirectoryPlus,
    fuser::ReplyEmpty,
    fuser::ReplyEntry,
    fuser::ReplyOpen,
    fuser::ReplyStatfs,
    fuser::ReplyWrite,
    fuser::ReplyXattr,
);

/// Runs the work of requests.
pub struct Pool {
    runtime: Handle,
    gate: Arc<Gate>,
}

impl Pool {
    /// A pool whose waiting requests live on `runtime`, and pass `gate` before anything is done for them.
    pub fn new(runtime: Handle, gate: Arc<Gate>) -> Self {
        Self { runtime, gate }
    }

    /// Does `work` and answers with `done`, now if it needs not wait.
    pub fn run<R: Reply, T: Send + 'static>(
        &self,
        request: &'static str,
        reply: R,
        work: impl Future<Output = Result<T>> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        self.run_inside(self.gate.enter(), request, reply, work, done);
    }

    /// As [`run`](Self::run), for what [`run_now`](Self::run_now) could not do at once.
    pub fn run_later<R: Reply, T: Send + 'static>(
        &self,
        request: &'static str,
        reply: R,
        work: impl Future<Output = Result<T>> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        self.run_inside(self.gate.again(), request, reply, work, done);
    }

    fn run_inside<R: Reply, T: Send + 'static>(
        &self,
        pass: Pass,
        request: &'static str,
        reply: R,
        work: impl Future<Output = Result<T>> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        let _context = self.runtime.enter();
        let begun = clock::monotonic();
        let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
        let answer = move |reply, outcome: std::thread::Result<Result<T>>| match outcome {
            Ok(Ok(value)) => done(reply, value),
            Ok(Err(error)) => refuse(request, reply, &error),
            Err(_) => tracing::error!(request, "a handler broke; the program that asked gets EIO"),
        };
        // Held until it is answered.
        let answer = move |reply, outcome| {
            answer(reply, outcome);
            drop(pass);
        };
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => answer(reply, outcome),
            Poll::Pending => drop(self.runtime.spawn(async move {
                let outcome = work.await;
                let took = begun.elapsed();
                if took > SLOW {
                    tracing::warn!(request, seconds = took.as_secs(), "slow answer");
                }
                answer(reply, outcome);
            })),
        }
    }

    /// Does what never waits; a panic in it costs this request and not the session.
    pub fn run_now<R: Reply, T>(
        &self,
        request: &'static str,
        reply: R,
        work: impl FnOnce() -> Result<T>,
        done: impl FnOnce(R, T),
    ) {
        let _pass = self.gate.enter();
        let _context = self.runtime.enter();
        match std::panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => done(reply, value),
            Ok(Err(error)) => refuse(request, reply, &error),
            Err(_) => tracing::error!(request, "a handler broke; the program that asked gets EIO"),
        }
    }
}

/// Tells the kernel that a request failed, and the log where it matters.
pub fn refuse<R: Reply>(request: &'static str, reply: R, error: &Error) {
    let number = errno(error);
    if is_remarkable(error) {
        tracing::warn!(request, %error, errno = number.code(), "refused");
    } else {
        tracing::debug!(request, %error, errno = number.code(), "refused");
    }
    reply.refuse(number);
}
