//! Where requests pass on their way in, and on their way out when they are answered. It is closed for the end of a process
//! in favour of another: those that come then wait, unanswered, and the kernel gives them to the other one.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use tokio::sync::Notify;

/// A gate, open at first.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    opened: Condvar,
    emptied: Notify,
}

#[derive(Debug, Default)]
struct State {
    closed: bool,
    inside: usize,
}

/// One that is inside; dropped when it is answered.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
}

impl Gate {
    /// Lets a request in; waits while the gate is closed, on a thread that has nothing else to do then.
    pub fn enter(self: &Arc<Self>) -> Pass {
        let mut state = self.lock();
        while state.closed {
            state = self.opened.wait(state).expect("no panic happens while a gate is locked");
        }
        state.inside += 1;
        Pass { gate: Arc::clone(self) }
    }

    /// Lets nobody in from now on, and returns when nobody is inside.
    pub async fn close(&self) {
        self.lock().closed = true;
        loop {
            let mut emptied = std::pin::pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.lock().inside == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// Lets everybody in again.
    pub fn open(&self) {
        self.lock().closed = false;
        self.opened.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic happens while a gate is locked")
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.inside -= 1;
        if state.inside == 0 {
            self.gate.emptied.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_is_empty_and_lets_nobody_in() {
        let gate = Arc::new(Gate::default());
        let (first, second) = (gate.enter(), gate.enter());
        let closing = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.close().await }
        });
        while !gate.lock().closed {
            tokio::task::yield_now().await;
        }
        drop(first);
        assert!(!closing.is_finished(), "somebody is still inside");
        drop(second);
        closing.await.unwrap();
        let late = std::thread::spawn({
            let gate = Arc::clone(&gate);
            move || drop(gate.enter())
        });
        assert_eq!(gate.lock().inside, 0);
        gate.open();
        late.join().unwrap();
    }
}
