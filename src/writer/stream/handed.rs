//! A stream that another process goes on with: what that one must know, and how it begins with it.

use crate::writer::stream::Base;
use crate::writer::stream::Context;
use crate::writer::stream::Destination;
use crate::writer::stream::State;
use crate::writer::stream::Stream;
use crate::writer::stream::fill_waiting;
use crate::writer::tail::Tail;
use crate::writer::upload::Rest;
use crate::writer::upload::Upload;
use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;
use std::sync::Arc;

/// A stream at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handed {
    /// The object that its bytes follow.
    base: Option<Base>,
    /// Bytes of the file so far.
    size: u64,
    /// The key, once a request has fixed it.
    key: Option<String>,
    /// How far its upload is.
    rest: Rest,
    /// Bytes that are in no part yet.
    tail: Bytes,
}

impl Handed {
    /// The upload that was begun for it: its key, and its id.
    #[must_use]
    pub fn upload(&self) -> Option<(&str, &crate::store::UploadId)> {
        match (&self.key, &self.rest) {
            (Some(key), Rest::Begun { id, .. }) => Some((key, id)),
            (_, Rest::NotBegun) | (None, Rest::Begun { .. }) => None,
        }
    }
}

impl Stream {
    /// What another process must know to go on with it; `None` while parts are being sent, and when it has failed. Nothing
    /// may be written to it afterwards.
    #[must_use]
    pub fn hand_over(self: &Arc<Self>) -> Option<Handed> {
        let mut state = self.lock();
        state.check().ok()?;
        if state.retained.changed_bytes() > 0 {
            // Only here are they what the file has.
            state.send_changed();
            self.drive(&mut state);
            return None;
        }
        let rest = state.upload.rest()?;
        let tail = state.tail.copy_out(0, usize::try_from(state.tail.len()).ok()?);
        Some(Handed { base: self.base.clone(), size: state.size, key: state.key.clone(), rest, tail })
    }

    /// Whether it has failed, so that nothing is left to be handed over.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().check().is_err()
    }

    /// Goes on with what another process has handed over. Waits for memory.
    pub async fn handed(context: Arc<Context>, destination: Arc<dyn Destination>, handed: Handed) -> Arc<Self> {
        let Handed { base, size, key, rest, tail: bytes } = handed;
        let mut tail = Tail::new(&context.pool);
        fill_waiting(&mut tail, &bytes, &context.pool).await;
        let copied = base.as_ref().map_or(0, |_| size - tail.len());
        let upload = Upload::resumed(context.schedule.clone(), context.in_flight_max, copied, rest);
        let state = State { key, ..State::new(tail, upload, size, &context) };
        let stream = Self::with_state(context, destination, base, state);
        {
            let mut state = stream.lock();
            if state.upload.has_begun() {
                // Its parts are under way, as those are that this process sends.
                stream.drive(&mut state);
            }
        }
        stream
    }
}
