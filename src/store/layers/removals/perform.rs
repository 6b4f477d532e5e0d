//! Carrying removals out: what is asked of the store, and what its answers mean for each key.

use super::queue::Doomed;
use crate::store::Error;
use crate::store::Kind;
use crate::store::Store;
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::HashMap;
use std::time::Duration;

/// Requests at the same time, where each key has one of its own.
const AT_ONCE: usize = 32;
/// How far a store's clock may be ahead of this machine's. Requests are refused at 15 minutes of skew; NTP keeps machines
/// within far less than this.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// What became of a removal.
#[derive(Debug)]
pub enum Outcome {
    /// The object is not there, or it is one that somebody else has put there since.
    Gone,
    /// The store will not remove it.
    Refused(Error),
    /// It is to be tried again.
    Failed(Error),
}

impl Outcome {
    fn of(done: Result<(), Error>) -> Self {
        match done {
            Ok(()) => Self::Gone,
            Err(error) if error.kind == Kind::NotFound => Self::Gone,
            Err(error) if error.is_transient() => Self::Failed(error),
            Err(error) => Self::Refused(error),
        }
    }
}

/// Carries removals out, many by one request where the store has that.
pub async fn carry_out<N>(store: &dyn Store, batch: Vec<Doomed<N>>) -> Vec<(Doomed<N>, Outcome)> {
    let (left, plain): (Vec<_>, Vec<_>) = batch.into_iter().partition(|doomed| doomed.left_at.is_some());
    let mut over = Vec::new();
    let mut surely = plain;
    let asked = stream::iter(left).map(|doomed| async move {
        let settled = is_settled(store, &doomed).await;
        (doomed, settled)
    });
    for (doomed, settled) in asked.buffer_unordered(AT_ONCE).collect::<Vec<_>>().await {
        match settled {
            Ok(false) => surely.push(doomed),
            Ok(true) => over.push((doomed, Outcome::Gone)),
            Err(error) => over.push((doomed, Outcome::of(Err(error)))),
        }
    }
    let keys: Vec<String> = surely.iter().map(|doomed| doomed.key.clone()).collect();
    let mut outcomes = remove(store, &keys).await;
    over.extend(surely.into_iter().map(|doomed| {
        let outcome = outcomes.remove(&doomed.key).unwrap_or(Outcome::Gone);
        (doomed, outcome)
    }));
    over
}

/// Whether nothing is to be done about a removal that another process has acknowledged: what is there is not what it
/// was about.
async fn is_settled<N>(store: &dyn Store, doomed: &Doomed<N>) -> Result<bool, Error> {
    match store.head_object(&doomed.key).await {
        Ok(there) => {
            // The same bytes once more have the same tag.
            let later = doomed.left_at.is_some_and(|at| there.last_modified > at + SKEW_MAX);
            Ok(there.etag != doomed.etag || later)
        }
        Err(error) if error.kind == Kind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// What became of each key; of those that are not named, the object is gone.
async fn remove(store: &dyn Store, keys: &[String]) -> HashMap<String, Outcome> {
    if keys.len() < 2 || !store.facts().multi_delete {
        return remove_singly(store, keys).await;
    }
    match store.delete_objects(keys).await {
        Ok(failed) => failed.into_iter().map(|error| (error.key.clone(), Outcome::of(Err(error)))).collect(),
        Err(error) if error.is_transient() => keys.iter().map(|key| (key.clone(), failed(&error, key))).collect(),
        // What it does not do for many it may do for each.
        Err(error) => {
            tracing::debug!(%error, "objects are removed one by one");
            remove_singly(store, keys).await
        }
    }
}

async fn remove_singly(store: &dyn Store, keys: &[String]) -> HashMap<String, Outcome> {
    let each = stream::iter(keys.to_vec()).map(|key| async move {
        let outcome = Outcome::of(remove_one(store, &key).await);
        (key, outcome)
    });
    each.buffer_unordered(AT_ONCE).collect().await
}

/// When an answer is lost the store is asked.
async fn remove_one(store: &dyn Store, key: &str) -> Result<(), Error> {
    let Err(error) = store.delete_object(key).await else { return Ok(()) };
    let gone = error.is_transient() && store.head_object(key).await.is_err_and(|error| error.kind == Kind::NotFound);
    if gone { Ok(()) } else { Err(error) }
}

fn failed(error: &Error, key: &str) -> Outcome {
    Outcome::Failed(error.of_key(key))
}
