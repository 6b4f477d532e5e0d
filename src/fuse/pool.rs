//! Where requests go that may take long: session threads never wait.
//!
//! A request is first tried on the session's own thread, since most are answered from memory and waking another thread
//! costs more than the answer (measured: 20 to 25 µs). What has to wait goes on in the background with its reply.
//!
//! The library answers INTERRUPT with ENOSYS, so a program cannot be killed out of a request that is under way: every
//! request must end by itself. Below, every wait on the store has a deadline; here is the rest, such as waiting for a lock
//! whose holder waits for the store. What only asks is dropped, which is safe at any point where it waits. What changes
//! something is not, unless the mount is being ended by force.

use crate::fuse::gate::Gate;
use crate::fuse::gate::Pass;
use crate::fuse::observe::Asked;
use crate::fuse::observe::Observer;
use crate::fuse::observe::Told;
use crate::store::line::Line;
use crate::vfs::Result;
use crate::vfs::io::Answer;
use fuser::Errno;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// Answers slower than this are worth a line in the log.
const SLOW: Duration = Duration::from_secs(10);

/// Once the line is closed, what changes something has this long to end by itself.
const LAST_MOMENT: Duration = Duration::from_secs(5);

/// When requests end that nobody answers.
#[derive(Clone, Debug)]
pub struct Deadline {
    /// The way to the store.
    pub line: Arc<Line>,
    /// What only asks ends when it has waited for so long and the store has been gone for as long.
    pub timeout: Duration,
}

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
    deadline: Deadline,
    observer: Arc<Observer>,
}

impl Pool {
    /// A pool whose waiting requests live on `runtime`, and pass `gate` before anything is done for them. `observer` is
    /// told of each.
    pub fn new(runtime: Handle, gate: Arc<Gate>, deadline: Deadline, observer: Observer) -> Self {
        Self { runtime, gate, deadline, observer: Arc::new(observer) }
    }

    /// Does `work`, which changes nothing, and answers with `done`, now if it needs not wait. It is dropped at its deadline.
    pub fn ask<R: Reply, T: Send + 'static>(
        &self,
        asked: Asked,
        reply: R,
        work: impl Future<Output = Result<T>> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        let (pass, told) = self.enter(asked);
        self.begin((pass, told, reply), work, finish(done, |_| 0), self.at_deadline());
    }

    /// As [`ask`](Self::ask), for work that fills the reply itself and brings it back.
    pub fn fill<R: Reply>(
        &self,
        asked: Asked,
        work: impl Future<Output = (R, Result<()>)> + Send + 'static,
        done: impl FnOnce(R) + Send + 'static,
    ) {
        let (pass, told) = self.enter(asked);
        let finish = finish(|reply, ()| done(reply), |()| 0);
        let answer = |_, (reply, filled), told| finish(reply, filled, told);
        self.begin((pass, told, Filling), work, answer, self.at_deadline());
    }

    /// As [`ask`](Self::ask), for what is mostly answered at once. `bytes` says how many bytes of contents were moved.
    pub fn ask_now<R: Reply, T: Send + 'static>(
        &self,
        asked: Asked,
        reply: R,
        work: impl FnOnce() -> Result<Answer<T>>,
        done: impl FnOnce(R, T) + Send + 'static,
        bytes: impl FnOnce(&T) -> u64 + Send + 'static,
    ) {
        self.begin_now(asked, reply, work, finish(done, bytes), || self.at_deadline());
    }

    /// Does `work` and answers with `done`, now if it needs not wait. It goes on until it is done, or the mount is ended by
    /// force.
    pub fn run<R: Reply, T: Send + 'static>(
        &self,
        asked: Asked,
        reply: R,
        work: impl Future<Output = Result<T>> + Send + 'static,
        done: impl FnOnce(R, T) + Send + 'static,
    ) {
        let (pass, told) = self.enter(asked);
        self.begin((pass, told, reply), work, finish(done, |_| 0), self.when_closed());
    }

    /// As [`run`](Self::run), for what is mostly done at once. `bytes` says how many bytes of contents were moved.
    pub fn run_now<R: Reply, T: Send + 'static>(
        &self,
        asked: Asked,
        reply: R,
        work: impl FnOnce() -> Result<Answer<T>>,
        done: impl FnOnce(R, T) + Send + 'static,
        bytes: impl FnOnce(&T) -> u64 + Send + 'static,
    ) {
        self.begin_now(asked, reply, work, finish(done, bytes), || self.when_closed());
    }

    /// Refuses what is never done.
    pub fn refuse<R: Reply>(&self, asked: Asked, reply: R, errno: Errno) {
        reply.refuse(self.observer.begin(asked).refused(errno));
    }

    fn enter(&self, asked: Asked) -> (Pass, Told) {
        let pass = self.gate.enter();
        // Behind the gate: who waits at it is asked for by another process in the end.
        (pass, self.observer.begin(asked))
    }

    fn at_deadline(&self) -> impl FnOnce(Instant) -> BoxFuture<'static, ()> + use<> {
        let Deadline { line, timeout } = self.deadline.clone();
        move |begun| async move { line.hopeless(begun, timeout).await }.boxed()
    }

    fn when_closed(&self) -> impl FnOnce(Instant) -> BoxFuture<'static, ()> + use<> {
        let line = Arc::clone(&self.deadline.line);
        |_| {
            async move {
                line.closed().await;
                tokio::time::sleep(LAST_MOMENT).await;
            }
            .boxed()
        }
    }

    fn begin<R: Reply, T: Send + 'static>(
        &self,
        (pass, mut told, reply): (Pass, Told, R),
        work: impl Future<Output = T> + Send + 'static,
        answer: impl FnOnce(R, T, Told) + Send + 'static,
        end: impl FnOnce(Instant) -> BoxFuture<'static, ()>,
    ) {
        let _context = self.runtime.enter();
        let begun = Instant::now();
        let mut work = Box::pin(AssertUnwindSafe(work).catch_unwind());
        // The pass is held until it is answered.
        let answer = move |reply, outcome: std::thread::Result<T>, told: Told| {
            match outcome {
                Ok(outcome) => answer(reply, outcome, told),
                Err(_) => told.broke(),
            }
            drop(pass);
        };
        match work.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => answer(reply, outcome, told),
            Poll::Pending => {
                told.waits();
                let end = end(begun);
                drop(self.runtime.spawn(async move {
                    let outcome = tokio::select! {
                        outcome = &mut work => Some(outcome),
                        () = end => None,
                    };
                    let Some(outcome) = outcome else {
                        drop(work);
                        return reply.refuse(told.given_up());
                    };
                    if begun.elapsed() >= SLOW {
                        told.is_slow();
                    }
                    answer(reply, outcome, told);
                }));
            }
        }
    }

    fn begin_now<R: Reply, T: Send + 'static, E: FnOnce(Instant) -> BoxFuture<'static, ()>>(
        &self,
        asked: Asked,
        reply: R,
        work: impl FnOnce() -> Result<Answer<T>>,
        answer: impl FnOnce(R, Result<T>, Told) + Send + 'static,
        end: impl FnOnce() -> E,
    ) {
        let (pass, told) = self.enter(asked);
        let _context = self.runtime.enter();
        // A panic costs this request and not the session.
        match std::panic::catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(Answer::Now(value))) => {
                told.at_once(true);
                answer(reply, Ok(value), told);
            }
            Ok(Ok(Answer::Later(work))) => {
                told.at_once(false);
                self.begin((pass, told, reply), work, answer, end());
            }
            Ok(Err(error)) => answer(reply, Err(error), told),
            Err(_) => told.broke(),
        }
    }
}

/// The reply of a directory is filled by the work itself, which brings it back.
struct Filling;

impl Reply for Filling {
    fn refuse(self, _errno: Errno) {}
}

/// Tells how a request ended, then answers it: who hears the answer and asks finds it counted.
fn finish<R: Reply, T>(done: impl FnOnce(R, T), bytes: impl FnOnce(&T) -> u64) -> impl FnOnce(R, Result<T>, Told) {
    |reply, outcome, told| match outcome {
        Ok(value) => {
            told.done(bytes(&value));
            done(reply, value);
        }
        Err(error) => reply.refuse(told.failed(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::observe::Counters;
    use crate::fuse::observe::Operation;
    use tokio::sync::oneshot;

    const MINUTE: Duration = Duration::from_secs(60);

    /// Hears what the kernel would be told: a number, or that the reply was dropped, which the library makes EIO.
    struct Told(oneshot::Sender<Option<i32>>);

    impl Reply for Told {
        fn refuse(self, errno: Errno) {
            let _ = self.0.send(Some(errno.code()));
        }
    }

    fn pool(line: &Arc<Line>) -> Pool {
        let observer = Observer::new(Arc::new(Counters::new(Arc::default())), Box::new(|_| None));
        let deadline = Deadline { line: Arc::clone(line), timeout: MINUTE };
        Pool::new(Handle::current(), Arc::default(), deadline, observer)
    }

    /// A line behind which nothing has answered for long.
    async fn broken() -> Arc<Line> {
        let line = Arc::new(Line::default());
        line.failed(Instant::now());
        tokio::time::advance(MINUTE).await;
        let patience = crate::store::line::Patience::Endless;
        assert_eq!(line.admit(patience).await, Ok(crate::store::line::Admitted::Probe));
        line.probed(false, Instant::now());
        line
    }

    fn done(reply: Told, (): ()) {
        let _ = reply.0.send(None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_asks_ends_when_the_store_is_gone_and_what_changes_when_the_line_is_closed() {
        let line = broken().await;
        let (pool, begun) = (pool(&line), Instant::now());
        let (asks, told_asking) = oneshot::channel();
        let (changes, told_changing) = oneshot::channel();
        pool.ask(Asked::mount(Operation::Lookup), Told(asks), std::future::pending(), done);
        pool.run(Asked::mount(Operation::Rename), Told(changes), std::future::pending(), done);
        assert_eq!(told_asking.await, Ok(Some(Errno::EIO.code())));
        assert_eq!(begun.elapsed(), MINUTE);
        tokio::time::sleep(60 * MINUTE).await;
        let closed = Instant::now();
        line.close();
        assert_eq!(told_changing.await, Ok(Some(Errno::EIO.code())));
        assert_eq!(closed.elapsed(), LAST_MOMENT);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_store_answers_a_request_may_take_its_time() {
        let (asks, told) = oneshot::channel();
        let work = async {
            tokio::time::sleep(60 * MINUTE).await;
            Ok(())
        };
        pool(&Arc::default()).ask(Asked::mount(Operation::Read), Told(asks), work, done);
        assert_eq!(told.await, Ok(None));
    }

    #[tokio::test]
    async fn a_handler_that_breaks_drops_its_reply_and_nothing_else() {
        let pool = pool(&Arc::default());
        for waits in [false, true] {
            let (reply, told) = oneshot::channel();
            let work = async move {
                if waits {
                    tokio::task::yield_now().await;
                }
                panic!("on purpose")
            };
            pool.run(Asked::mount(Operation::Write), Told(reply), work, done);
            assert!(told.await.is_err(), "the library answers EIO for a reply that is dropped");
        }
        let (reply, told) = oneshot::channel();
        pool.run_now(Asked::mount(Operation::Write), Told(reply), || panic!("on purpose"), done, |()| 0);
        assert!(told.await.is_err());
        let (reply, told) = oneshot::channel();
        pool.run(Asked::mount(Operation::Write), Told(reply), std::future::ready(Ok(())), done);
        assert_eq!(told.await, Ok(None));
    }
}
