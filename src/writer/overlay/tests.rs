//! The runs against a plain vector of bytes.

use super::*;
use crate::store::ETag;
use proptest::collection::vec;
use proptest::prelude::*;

const LONGEST: u64 = 48;

#[derive(Clone, Debug)]
enum Step {
    Write(u64, Vec<u8>),
    Truncate(u64),
    Zero(u64, u64),
    /// Which object, where to, from where, how much.
    Copy(usize, u64, u64, u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..LONGEST, vec(1u8.., 1..10)).prop_map(|(at, bytes)| Step::Write(at, bytes)),
        1 => (0..LONGEST).prop_map(Step::Truncate),
        1 => (0..LONGEST, 0..10u64).prop_map(|(at, len)| Step::Zero(at, len)),
        1 => (0..2usize, 0..LONGEST, 0..8u64, 0..8u64).prop_map(|(which, at, from, len)| Step::Copy(which, at, from, len)),
    ]
}

pub fn object(which: usize, size: u64) -> (Base, Vec<u8>) {
    let bytes = (0..size).map(|i| u8::try_from((i * 7 + 100 * which as u64) % 251).unwrap()).collect();
    (Base { key: format!("o{which}"), etag: ETag::new("t"), size }, bytes)
}

fn replace(model: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let at = usize::try_from(at).unwrap();
    if !bytes.is_empty() {
        model.resize(model.len().max(at + bytes.len()), 0);
        model[at..at + bytes.len()].copy_from_slice(bytes);
    }
}

pub fn bytes_of(pieces: &[Piece], objects: &[(Base, Vec<u8>)]) -> Vec<u8> {
    let mut whole = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => whole.extend_from_slice(bytes),
            Piece::Zeros(len) => whole.resize(whole.len() + usize::try_from(*len).unwrap(), 0),
            Piece::Disk(..) => unreachable!("nothing here spills"),
            Piece::Object(base, range) => {
                let object = objects.iter().find(|(known, _)| known == base).unwrap();
                whole.extend_from_slice(
                    &object.1[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()],
                );
            }
        }
    }
    whole
}

proptest! {
    #[test]
    fn an_overlay_is_the_bytes_that_were_put_into_it(
        base in 0..LONGEST,
        steps in vec(step(), 0..25),
        read in (0..2 * LONGEST, 0..2 * LONGEST),
    ) {
        let pool = Pool::with_segments(1 << 20, 8);
        let objects = [object(0, base), object(1, 16)];
        let mut overlay = Overlay::over(Arc::clone(&pool), objects[0].0.clone());
        let mut model = objects[0].1.clone();
        for step in steps {
            match step {
                Step::Write(at, bytes) => {
                    prop_assert_eq!(overlay.write(at, &bytes, u64::MAX), bytes.len());
                    replace(&mut model, at, &bytes);
                }
                Step::Truncate(size) => {
                    overlay.truncate(size);
                    model.resize(usize::try_from(size).unwrap(), 0);
                }
                Step::Zero(at, len) => {
                    overlay.zero(at..at + len);
                    replace(&mut model, at, &vec![0; usize::try_from(len).unwrap()]);
                }
                Step::Copy(which, at, from, len) => {
                    let (base, bytes) = &objects[which];
                    let end = (from + len).min(base.size);
                    let from = from.min(end);
                    overlay.put_object(at, base.clone(), from..end);
                    replace(&mut model, at, &bytes[usize::try_from(from).unwrap()..usize::try_from(end).unwrap()]);
                }
            }
            let mut at = 0;
            for (range, _) in overlay.runs() {
                prop_assert!(range.start == at && range.end > at, "runs cover the file");
                at = range.end;
            }
            prop_assert_eq!((at, overlay.size()), (model.len() as u64, model.len() as u64));
        }
        let expected = |range: Range<u64>| {
            let end = usize::try_from(range.end).unwrap().min(model.len());
            model[usize::try_from(range.start).unwrap().min(end)..end].to_vec()
        };
        let range = read.0..read.0 + read.1;
        prop_assert_eq!(bytes_of(&overlay.pieces(range.clone()), &objects), expected(range.clone()));
        overlay.freeze();
        prop_assert_eq!(bytes_of(&overlay.pieces(range.clone()), &objects), expected(range));
        prop_assert_eq!(bytes_of(&overlay.pieces(0..u64::MAX), &objects), model);
        drop(overlay);
        prop_assert_eq!(pool.used_bytes(), 0);
    }
}

#[test]
fn a_page_written_again_and_again_is_held_once() {
    let pool = Pool::with_segments(64, 8);
    let mut overlay = Overlay::over(Arc::clone(&pool), object(0, 100).0);
    for round in 0..100 {
        assert_eq!(overlay.write(50, &[round; 6], 64), 6);
    }
    assert_eq!((overlay.memory_bytes(), overlay.dirty_bytes()), (8, 6));
}

#[test]
fn no_more_memory_is_taken_than_may_be() {
    let pool = Pool::with_segments(64, 8);
    let mut overlay = Overlay::new(Arc::clone(&pool));
    assert_eq!(overlay.write(100, &[1; 40], 16), 16, "its share");
    assert_eq!(overlay.size(), 116);
    assert_eq!(overlay.write(200, &[1; 40], 16), 0);
    assert_eq!(overlay.size(), 116, "what was not taken changes nothing");
    let mut other = Overlay::new(Arc::clone(&pool));
    assert_eq!(other.write(0, &[1; 64], 64), 48, "what is free");
    overlay.truncate(0);
    assert_eq!(overlay.memory_bytes(), 0, "an empty file holds nothing");
}

#[test]
fn what_is_written_while_bytes_are_brought_elsewhere_stays_in_memory() {
    let pool = Pool::with_segments(64, 8);
    let mut overlay = Overlay::new(Arc::clone(&pool));
    overlay.write(0, b"aaaa", 64);
    overlay.write(20, b"bbbb", 64);
    let taken = overlay.take_dirty();
    // To the beginning of other memory, where what was taken last was not at the beginning of its own.
    overlay.write(40, b"cccc", 64);
    overlay.write(21, b"d", 64);
    overlay.staged(&taken, object(1, taken.bytes).0);
    let objects = [(object(1, taken.bytes).0, taken.pieces.concat())];
    let mut want = vec![0; 44];
    for (at, bytes) in [(0, &b"aaaa"[..]), (20, b"bdbb"), (40, b"cccc")] {
        want[at..at + 4].copy_from_slice(bytes);
    }
    assert_eq!(bytes_of(&overlay.pieces(0..u64::MAX), &objects), want);
    assert_eq!(overlay.dirty_bytes(), 5);
}
