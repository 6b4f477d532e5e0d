//! Hidden objects that hold bytes of a file which is not committed yet, because memory cannot hold them. They are there
//! for one version of one file, and go with it; what a crash leaves behind a later mount removes.

use crate::store::Condition;
use crate::store::Error;
use crate::store::Payload;
use crate::store::Store;
use crate::writer::stream::Base;
use crate::writer::stream::Destination;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;

/// Hidden objects of one version, one change at a time.
#[derive(Default)]
pub struct Staging {
    keys: Mutex<Vec<String>>,
}

/// The hidden objects, for who may change them now.
pub struct Staged<'a> {
    keys: MutexGuard<'a, Vec<String>>,
}

impl Staging {
    /// Waits until nobody else changes them.
    pub async fn lock(&self) -> Staged<'_> {
        Staged { keys: self.keys.lock().await }
    }
}

impl Staged<'_> {
    /// Puts bytes into a new one.
    ///
    /// # Errors
    /// What the store answers.
    pub async fn put(
        &mut self,
        store: &dyn Store,
        destination: &dyn Destination,
        payload: Payload,
    ) -> Result<Base, Error> {
        let (key, headers) = destination.stage();
        let size = payload.len();
        // Noted before: without an answer it may be there all the same.
        self.keys.push(key.clone());
        let etag = store.put_object(&key, payload, &headers, &Condition::None).await?;
        Ok(Base { key, etag, size })
    }

    /// Removes all of them.
    pub async fn discard(&mut self, store: &dyn Store) {
        let keys = std::mem::take(&mut *self.keys);
        let failed = match &keys[..] {
            [] => Ok(Vec::new()),
            [key] => store.delete_object(key).await.map(|()| Vec::new()),
            keys => store.delete_objects(keys).await,
        };
        let failed = failed.unwrap_or_else(|error| vec![error]);
        for error in failed {
            let key = &error.key;
            tracing::warn!(key, %error, "bytes that are not needed any more stay in the bucket; a later mount removes them");
        }
    }
}
