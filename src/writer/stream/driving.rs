//! The task of a stream: performs the actions of its machine until the end.

use crate::base::clock;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::writer::perform;
use crate::writer::stream::State;
use crate::writer::stream::Stream;
use crate::writer::stream::Written;
use crate::writer::stream::handler_broke;
use crate::writer::upload::Action;
use crate::writer::upload::Event;
use crate::writer::upload::Outcome;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::task::JoinSet;

impl Stream {
    /// How it ended, once it has.
    pub(super) async fn outcome(&self) -> Outcome {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if let Some(outcome) = self.lock().upload.outcome() {
                return outcome.clone();
            }
            ended.await;
        }
    }

    /// Sees to it that a task performs the actions of the machine.
    pub(super) fn drive(self: &Arc<Self>, state: &mut State) {
        if state.driven {
            self.work.notify_one();
        } else {
            state.driven = true;
            let stream = Arc::clone(self);
            self.context.runtime.spawn(async move {
                if AssertUnwindSafe(Arc::clone(&stream).perform_all()).catch_unwind().await.is_err() {
                    stream.lock().upload.collapse(Arc::new(handler_broke()));
                    stream.ended.notify_waiters();
                }
            });
        }
    }

    async fn perform_all(self: Arc<Self>) {
        let mut tasks: JoinSet<(u64, Event)> = JoinSet::new();
        loop {
            let (actions, ended) = {
                let mut state = self.lock();
                let actions: Vec<_> = std::iter::from_fn(|| state.upload.poll()).collect();
                if !actions.is_empty() {
                    state.meter.start(clock::monotonic());
                }
                (actions, state.upload.outcome().is_some())
            };
            for action in actions {
                tasks.spawn(self.prepare(action));
            }
            if ended {
                self.lock().retained.clear();
                break;
            }
            tokio::select! {
                Some(done) = tasks.join_next() => {
                    let (sent, event) = done.unwrap_or_else(|panic| (0, Event::Failed(broken(&panic))));
                    let mut state = self.lock();
                    state.unsent = state.unsent.saturating_sub(sent);
                    if !matches!(event, Event::Failed(_)) {
                        state.meter.note(clock::monotonic(), sent);
                    }
                    state.upload.on_event(event);
                }
                () = self.work.notified() => {}
            }
        }
        self.ended.notify_waiters();
    }

    /// The future that performs an action. The destination is asked without the lock: it has locks of its own.
    fn prepare(&self, action: Action) -> impl Future<Output = (u64, Event)> + use<> {
        let described = match &action {
            Action::PutWhole(_) => self.destination.describe(Written::All),
            Action::Create => self.destination.describe(Written::Begun),
            Action::PutPart(..) | Action::CopyPart(..) | Action::Complete(..) | Action::Abort(_) => {
                self.key().map(|key| (key, Headers::default()))
            }
        };
        let condition = {
            let mut state = self.lock();
            state.key = described.as_ref().map(|(key, _)| key.clone());
            state.condition.clone()
        };
        let (store, base) = (Arc::clone(&self.context.store), self.base.clone());
        async move {
            match described {
                Some((key, headers)) => perform::perform(store, key, headers, condition, base, action).await,
                None => (0, Event::Failed(Error::new(Op::PutObject, "", Kind::NotFound, "its name is gone"))),
            }
        }
    }
}

fn broken(panic: &tokio::task::JoinError) -> Error {
    Error::new(Op::PutPart, "", Kind::Network, format!("the task that sent it broke: {panic}"))
}
