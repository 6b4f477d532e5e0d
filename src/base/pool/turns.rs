//! Who gets memory beyond the limit: one client at a time, so that it comes to its end and gives back what it has, instead of
//! all of them growing together.

use crate::base::pool::Pool;
use crate::base::pool::Segment;
use crate::base::pool::Waiter;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long whoever waits lets the one whose turn it is do nothing: its program may write elsewhere first, or not at all. Long
/// beside what a program that copies waits for a processor when a hundred of them do, short for who waits.
const STANDSTILL: Duration = Duration::from_millis(100);

/// Somebody who collects memory until it is enough for a request, and gives it back all at once.
pub struct Client {
    pool: Arc<Pool>,
    id: ClientId,
}

/// Names a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientId(u64);

/// Whose turn it is. More than one only when others did not use theirs.
#[derive(Default)]
pub(super) struct Turns {
    ids: u64,
    clients: Vec<ClientId>,
    /// Counts what was granted to who had to ask, to tell a standstill.
    pub granted: u64,
}

impl Turns {
    pub fn add(&mut self) -> ClientId {
        self.ids += 1;
        ClientId(self.ids)
    }

    /// Whether it may go beyond the limit.
    pub fn is_turn_of(&self, client: ClientId) -> bool {
        self.clients.is_empty() || self.clients.contains(&client)
    }

    pub fn begin(&mut self, client: ClientId) {
        if !self.clients.contains(&client) {
            self.clients.push(client);
        }
    }

    pub fn end(&mut self, client: ClientId) {
        self.clients.retain(|other| *other != client);
    }

    /// Nobody has to go beyond the limit any more.
    pub fn end_all(&mut self) {
        self.clients.clear();
    }
}

impl Pool {
    /// Somebody who will ask for memory.
    #[must_use]
    pub fn client(self: &Arc<Self>) -> Client {
        Client { pool: Arc::clone(self), id: self.lock().turns.add() }
    }

    /// A segment for `client`, waiting for one in the order of asking.
    ///
    /// Waits only while bytes are on their way out and will come back, or while it is another's turn to go beyond the limit
    /// who makes use of it. When every segment sits in a half-filled part, nobody could ever return one, so they are granted
    /// beyond the limit: the bound gives way before progress does.
    pub async fn take(self: &Arc<Self>, client: ClientId) -> Segment {
        let mut receiver = match self.ask(client) {
            Ok(segment) => return segment,
            Err(receiver) => receiver,
        };
        loop {
            let granted = self.lock().turns.granted;
            tokio::select! {
                biased;
                segment = &mut receiver => return segment.expect("a waiting sender is answered before it is dropped"),
                () = tokio::time::sleep(STANDSTILL) => {}
            }
            let mut state = self.lock();
            if state.turns.granted != granted || state.comes_back() {
                continue;
            }
            receiver.close();
            if let Ok(segment) = receiver.try_recv() {
                return segment;
            }
            state.waiting.retain(|waiter| waiter.client != client);
            return self.grant_asked(&mut state, client);
        }
    }

    fn ask(self: &Arc<Self>, client: ClientId) -> Result<Segment, oneshot::Receiver<Segment>> {
        loop {
            let given_up = {
                let mut state = self.lock();
                if state.used < self.segments_max && state.waiting.is_empty() {
                    return Ok(self.grant_asked(&mut state, client));
                }
                match self.give_up(&mut state) {
                    Some(given_up) => given_up,
                    None if !state.comes_back() && state.turns.is_turn_of(client) => {
                        return Ok(self.grant_asked(&mut state, client));
                    }
                    None => {
                        let (sender, receiver) = oneshot::channel();
                        state.waiting.push_back(Waiter { client, sender });
                        return Err(receiver);
                    }
                }
            };
            self.let_go(given_up);
        }
    }
}

impl Client {
    /// Names it to the pool.
    #[must_use]
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// Where its memory comes from.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// It has collected enough, and begins anew: it is another's turn.
    pub fn begin_anew(&self) {
        let mut state = self.pool.lock();
        state.turns.end(self.id);
        self.pool.answer_waiting(state);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.begin_anew();
    }
}
