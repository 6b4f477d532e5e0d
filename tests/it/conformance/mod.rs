//! What every store must do, whoever it is: the fake, the fake under its decorators, the client against the bundled
//! backend in each dialect, and a live endpoint if the environment names one.
//!
//! A live endpoint is named by `BRIGADE_TEST_ENDPOINT` (a URL), `BRIGADE_TEST_BUCKET` (an existing bucket, in which
//! only keys below `brigade-test-…/` are touched), and, where needed, `BRIGADE_TEST_PROVIDER` and
//! `BRIGADE_TEST_REGION`; keys come from where AWS tools look. Without these variables it is not part of the run.

mod conditions;
mod copies;
mod deletes;
mod dialects;
mod keys;
mod listings;
mod lossy;
mod objects;
mod refusals;
mod stores;
mod uploads;

use brigade::base::random;
use brigade::store::Condition;
use brigade::store::Headers;
use brigade::store::Kind;
use brigade::store::ListObjects;
use brigade::store::Payload;
use brigade::store::Result;
use brigade::store::Store;
use brigade::wire::etag::ETag;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use std::ops::Range;
use std::sync::Arc;

/// A check with its name.
type Check = (&'static str, fn(Bench) -> BoxFuture<'static, ()>);

/// Makes the list of a module's checks out of their names.
macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        pub(super) const CHECKS: &[super::Check] = &[$((stringify!($name), |bench| Box::pin($name(bench)))),*];
    };
}
use checks;

/// A store, and a place in its bucket that is nobody else's.
#[derive(Clone)]
struct Bench {
    store: Arc<dyn Store>,
    prefix: String,
}

/// Runs every check and tells all that failed.
async fn suite(name: &str, store: Arc<dyn Store>) {
    let all = [
        objects::CHECKS,
        conditions::CHECKS,
        deletes::CHECKS,
        keys::CHECKS,
        listings::CHECKS,
        copies::CHECKS,
        uploads::CHECKS,
    ];
    let root = format!("brigade-test-{}/", random::hex::<8>());
    let mut failed = Vec::new();
    for (check, run) in all.into_iter().flatten() {
        let bench = Bench { store: Arc::clone(&store), prefix: format!("{root}{check}/") };
        // In a task of its own, so that a panic ends this check only; its message is printed as it happens.
        if tokio::spawn(run(bench)).await.is_err() {
            failed.push(*check);
        }
    }
    clean(&store, &root).await;
    assert!(failed.is_empty(), "{name} fails: {failed:?}");
}

async fn clean(store: &Arc<dyn Store>, root: &str) {
    for upload in store.list_uploads(root).await.unwrap() {
        store.abort_upload(&upload.key, &upload.id).await.unwrap();
    }
    let mut request = ListObjects { prefix: root.to_owned(), ..ListObjects::default() };
    loop {
        let page = store.list_objects(&request).await.unwrap();
        let keys: Vec<String> = page.objects.into_iter().map(|object| object.key).collect();
        let failed = store.delete_objects(&keys).await.unwrap();
        assert!(failed.is_empty(), "{failed:?}");
        request.continuation = page.next;
        if request.continuation.is_none() {
            return;
        }
    }
}

impl Bench {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn put(&self, name: &str, bytes: impl Into<Bytes>) -> ETag {
        self.put_with(name, bytes, &Headers::default()).await
    }

    async fn put_with(&self, name: &str, bytes: impl Into<Bytes>, headers: &Headers) -> ETag {
        let payload = Payload::from(bytes.into());
        self.store.put_object(&self.key(name), payload, headers, &Condition::None).await.unwrap()
    }

    async fn put_if(&self, name: &str, bytes: &'static [u8], condition: &Condition) -> Result<ETag> {
        let payload = Payload::from(Bytes::from_static(bytes));
        self.store.put_object(&self.key(name), payload, &Headers::default(), condition).await
    }

    async fn get(&self, name: &str) -> Vec<u8> {
        self.read(name, None).await.unwrap()
    }

    async fn read(&self, name: &str, range: Option<Range<u64>>) -> Result<Vec<u8>> {
        let mut body = self.store.get_object(&self.key(name), range, None).await?.body;
        let mut all = Vec::new();
        while let Some(piece) = body.next().await {
            all.extend_from_slice(&piece?);
        }
        Ok(all)
    }

    async fn exists(&self, name: &str) -> bool {
        match self.store.head_object(&self.key(name)).await {
            Ok(_) => true,
            Err(error) if error.kind == Kind::NotFound => false,
            Err(error) => panic!("{error}"),
        }
    }
}

/// The kind of failure of a call that must fail.
fn kind<T>(result: Result<T>) -> Kind {
    match result {
        Ok(_) => panic!("the call must fail"),
        Err(error) => error.kind,
    }
}

/// Headers with user metadata.
fn metadata(pairs: &[(&str, &str)]) -> Headers {
    let metadata = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Headers { metadata, ..Headers::default() }
}

/// Bytes that tell where they are.
fn pattern(length: u64) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ length;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| step()).collect();
    bytes.truncate(usize::try_from(length).unwrap());
    bytes.into()
}
