//! One action of the machine, done: the requests that publish a file. Decides nothing but how a condition is kept where
//! the store has none.

use crate::store::Condition;
use crate::store::CopySource;
use crate::store::Error;
use crate::store::Headers;
use crate::store::Kind;
use crate::store::Op;
use crate::store::Store;
use crate::store::UploadId;
use crate::writer::stream::Base;
use crate::writer::upload::Action;
use crate::writer::upload::Event;
use std::sync::Arc;

/// Performs one action for the key, and says how many bytes it has sent and what became of it.
pub async fn perform(
    store: Arc<dyn Store>,
    key: String,
    headers: Headers,
    condition: Condition,
    base: Option<Base>,
    action: Action,
) -> (u64, Event) {
    let event = match action {
        Action::PutWhole(payload) => {
            let bytes = payload.len();
            let stored = match sendable(store.as_ref(), Op::PutObject, &key, condition).await {
                Ok(condition) => store.put_object(&key, payload, &headers, &condition).await.map(Event::Stored),
                Err(error) => Err(error),
            };
            return (bytes, stored.unwrap_or_else(Event::Failed));
        }
        Action::Create => store.create_upload(&key, &headers).await.map(Event::Created),
        Action::PutPart(id, number, payload) => {
            let bytes = payload.len();
            let stored = store.put_part(&key, &id, number, payload).await.map(Event::PartStored);
            return (bytes, stored.unwrap_or_else(Event::Failed));
        }
        Action::CopyPart(id, number, range) => {
            let base = base.expect("only a stream with a base copies from it");
            let source = CopySource { key: base.key, if_match: Some(base.etag) };
            store.copy_part(&key, &id, number, &source, range).await.map(Event::PartStored)
        }
        Action::Complete(id, parts) => match sendable(store.as_ref(), Op::CompleteUpload, &key, condition).await {
            Ok(condition) => store.complete_upload(&key, &id, &parts, &condition).await.map(Event::Stored),
            Err(error) => Err(error),
        },
        Action::Abort(id) => {
            abort(store.as_ref(), &key, &id).await;
            Ok(Event::Aborted)
        }
    };
    (0, event.unwrap_or_else(Event::Failed))
}

/// An upload that cannot be aborted now stays behind; all that can be done is to say so.
pub(super) async fn abort(store: &dyn Store, key: &str, id: &UploadId) {
    if let Err(error) = store.abort_upload(key, id).await {
        tracing::warn!(key, upload = id.0, %error, "an unfinished upload stays in the bucket");
    }
}

/// The condition to send. A store without conditional writes is asked just before, which leaves a moment in which somebody
/// else can write; better than not to look at all.
pub(super) async fn sendable(store: &dyn Store, op: Op, key: &str, condition: Condition) -> Result<Condition, Error> {
    if store.facts().conditional_writes || condition == Condition::None {
        return Ok(condition);
    }
    let there = match store.head_object(key).await {
        Ok(object) => Some(object.etag),
        Err(error) if error.kind == Kind::NotFound => None,
        Err(error) => return Err(error),
    };
    let holds = match &condition {
        Condition::None => true,
        Condition::Absent => there.is_none(),
        Condition::Matches(etag) => there.as_ref() == Some(etag),
    };
    if holds {
        return Ok(Condition::None);
    }
    Err(Error::new(op, key, Kind::PreconditionFailed, "somebody else has written it meanwhile"))
}
