//! What is aborted after a crash, and what is left alone.

use super::*;
use crate::store::Headers;
use crate::store::Op;
use crate::store::PartNumber;
use crate::store::Payload;
use crate::store::layers::noted::Noted;
use crate::store::memory::Lost;
use crate::store::memory::Memory;
use bytes::Bytes;
use tempfile::TempDir;

struct Bed {
    home: TempDir,
    memory: Arc<Memory>,
}

impl Bed {
    fn new() -> Self {
        Self { home: TempDir::new().unwrap(), memory: Arc::new(Memory::new()) }
    }

    fn open(&self) -> (Noted, Arc<Uploads>, Leftovers) {
        let (uploads, leftovers) = Uploads::open(&place(self.home.path(), "s3://b at e")).unwrap();
        (Noted::new(self.memory.clone(), uploads.clone()), uploads, leftovers)
    }

    async fn begin(&self, store: &dyn Store, key: &str) -> store::Result<UploadId> {
        store.create_upload(key, &Headers::default()).await
    }

    async fn left(&self) -> Vec<String> {
        self.memory.list_uploads("").await.unwrap().into_iter().map(|upload| upload.key).collect()
    }
}

#[tokio::test]
async fn a_crash_leaves_what_the_next_mount_aborts_and_others_uploads_stay() {
    let bed = Bed::new();
    let (store, uploads, nothing) = bed.open();
    assert_eq!(nothing.abort(&*bed.memory, &BTreeSet::new()).await, 0);
    bed.begin(&store, "ours").await.unwrap();
    bed.begin(&*bed.memory, "others").await.unwrap();
    let ended = bed.begin(&store, "ended").await.unwrap();
    store.abort_upload("ended", &ended).await.unwrap();
    drop((store, uploads));
    let (_store, _uploads, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 1);
    assert_eq!(bed.left().await, ["others"]);
}

#[tokio::test]
async fn a_mount_that_runs_keeps_its_uploads() {
    let bed = Bed::new();
    let (store, _uploads, _) = bed.open();
    let id = bed.begin(&store, "k").await.unwrap();
    let (_other, _second, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 0);
    assert_eq!(bed.left().await, ["k"]);
    let known = Known::read(&place(bed.home.path(), "s3://b at e")).unwrap();
    assert_eq!(known.uploads.into_iter().collect::<Vec<_>>(), [(("k".to_owned(), id), true)]);
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_found_by_its_key_and_time() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    bed.memory.lose(Op::CreateUpload, 1, Lost::Answer);
    bed.begin(&store, "k").await.unwrap_err();
    let busy = bed.begin(&*bed.memory, "k").await.unwrap();
    let payload = Payload::from(Bytes::from_static(b"x"));
    bed.memory.put_part("k", &busy, PartNumber(1), payload).await.unwrap();
    bed.begin(&*bed.memory, "k2").await.unwrap();
    drop((store, uploads));
    let (_store, _uploads, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 1);
    assert_eq!(bed.left().await, ["k", "k2"], "what has parts or another key is somebody's");
}

#[tokio::test]
async fn what_a_mount_begins_under_the_key_of_a_lost_answer_is_not_taken_for_it() {
    for here in [true, false] {
        let bed = Bed::new();
        let (store, uploads, _) = bed.open();
        bed.memory.lose(Op::CreateUpload, 1, Lost::Request);
        bed.begin(&store, "k").await.unwrap_err();
        drop((store, uploads));
        let (store, _uploads, leftovers) = bed.open();
        let (second, _others, nothing) = bed.open();
        assert_eq!(nothing.abort(&*bed.memory, &BTreeSet::new()).await, 0);
        let running = if here { store } else { second };
        let id = bed.begin(&running, "k").await.unwrap();
        assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 0);
        assert_eq!(bed.left().await, ["k"], "by the mount that cleans up: {here}");
        let payload = Payload::from(Bytes::from_static(b"x"));
        running.put_part("k", &id, PartNumber(1), payload).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn while_an_upload_of_the_key_is_being_asked_for_all_are_left() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    bed.memory.lose(Op::CreateUpload, 1, Lost::Request);
    bed.begin(&store, "k").await.unwrap_err();
    drop((store, uploads));
    let (store, uploads, leftovers) = bed.open();
    // The store has it, and the answer is on its way.
    let attempt = uploads.intend("k", bed.memory.now()).await;
    let id = bed.begin(&*bed.memory, "k").await.unwrap();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 0);
    uploads.begun(attempt, "k", &id).await;
    assert_eq!(bed.left().await, ["k"]);
    drop((store, uploads));
    let (_store, _uploads, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 1, "and both are settled when it is gone");
    assert_eq!(bed.left().await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn what_was_lost_is_found_once_another_upload_of_the_key_has_its_answer() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    bed.memory.lose(Op::CreateUpload, 1, Lost::Answer);
    bed.begin(&store, "k").await.unwrap_err();
    drop((store, uploads));
    let (_store, uploads, leftovers) = bed.open();
    let attempt = uploads.intend("k", bed.memory.now()).await;
    let id = bed.begin(&*bed.memory, "k").await.unwrap();
    let answered = async {
        tokio::time::sleep(LOOK_PAUSE * 3).await;
        uploads.begun(attempt, "k", &id).await;
    };
    let nothing = BTreeSet::new();
    let (aborted, ()) = tokio::join!(leftovers.abort(&*bed.memory, &nothing), answered);
    assert_eq!(aborted, 1);
    let left: Vec<_> = bed.memory.list_uploads("").await.unwrap().into_iter().map(|upload| upload.id).collect();
    assert_eq!(left, [id]);
}

#[tokio::test]
async fn what_begins_after_the_next_mount_has_looked_is_found_by_the_one_after() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    bed.memory.lose(Op::CreateUpload, 1, Lost::Request);
    bed.begin(&store, "k").await.unwrap_err();
    drop((store, uploads));
    let (store, uploads, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 0);
    // The request was on its way all the time.
    bed.begin(&*bed.memory, "k").await.unwrap();
    drop((store, uploads));
    let (_store, _uploads, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 1);
    assert_eq!(bed.left().await, [""; 0]);
}

#[tokio::test]
async fn when_somebody_elses_may_be_among_them_all_are_left() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    bed.memory.lose(Op::CreateUpload, 1, Lost::Answer);
    bed.begin(&store, "k").await.unwrap_err();
    bed.begin(&*bed.memory, "k").await.unwrap();
    drop((store, uploads));
    let (_store, _uploads, leftovers) = bed.open();
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 0);
    assert_eq!(bed.left().await.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_aborted_is_tried_again_at_the_next_start() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    bed.begin(&store, "k").await.unwrap();
    drop((store, uploads));
    for (lost, want) in [(true, 0), (false, 1), (false, 0)] {
        if lost {
            bed.memory.lose(Op::AbortUpload, 1, Lost::Request);
        }
        let (_store, _uploads, leftovers) = bed.open();
        assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, want);
    }
}

#[tokio::test]
async fn an_upload_that_goes_on_is_not_left_over_and_can_end() {
    let bed = Bed::new();
    let (store, uploads, _) = bed.open();
    let goes_on = bed.begin(&store, "goes on").await.unwrap();
    bed.begin(&store, "left").await.unwrap();
    drop((store, uploads));
    let (store, uploads, mut leftovers) = bed.open();
    leftovers.adopt("goes on", &goes_on);
    leftovers.adopt("nobody's", &goes_on);
    assert_eq!(leftovers.abort(&*bed.memory, &BTreeSet::new()).await, 1);
    assert_eq!(bed.left().await, ["goes on"]);
    drop((store, uploads));
    // A crash then leaves it to the next.
    let (store, uploads, mut leftovers) = bed.open();
    leftovers.adopt("goes on", &goes_on);
    drop(leftovers);
    store.abort_upload("goes on", &goes_on).await.unwrap();
    drop((store, uploads));
    let (_store, _uploads, nothing) = bed.open();
    assert_eq!(nothing.abort(&*bed.memory, &BTreeSet::new()).await, 0);
}
