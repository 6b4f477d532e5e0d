//! Changes of parts, with segments of eight bytes.

use super::*;

/// What has been handed over: the bytes are on their way as long as the payload lives.
fn handed_over(pool: &Arc<Pool>, bytes: &[u8]) -> (Vec<Arc<Segment>>, Payload) {
    let mut tail = crate::writer::tail::Tail::new(pool);
    assert_eq!(tail.fill(bytes, u64::MAX), bytes.len());
    tail.cut_shared()
}

fn add(retained: &mut Retained, pool: &Arc<Pool>, number: u32, bytes: &[u8]) -> Option<Changed> {
    let start = u64::from(number - 1) * bytes.len() as u64;
    retained.add(PartNumber(number), start, handed_over(pool, bytes).0)
}

fn read(retained: &Retained, at: u64, end: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    assert_eq!(retained.copy_out(at, end, &mut out)?, out.len() as u64);
    Some(out)
}

fn bytes(changed: &[Changed]) -> Vec<(u32, Vec<u8>)> {
    changed.iter().map(|(number, payload)| (number.0, payload.pieces.concat())).collect()
}

#[test]
fn the_first_part_and_the_latest_one_can_be_changed() {
    let pool = Pool::with_segments(64, 8);
    let mut retained = Retained::new(Arc::clone(&pool));
    for number in 1..=4 {
        assert!(add(&mut retained, &pool, number, b"0123456789").is_none());
    }
    let held: Vec<_> = [0, 9, 10, 29, 30, 39, 40].into_iter().map(|at| retained.holds(at)).collect();
    assert_eq!(held, [true, true, false, false, true, true, false]);
    assert_eq!(pool.used_bytes(), 32, "two parts of two segments");
    assert_eq!(retained.overwrite(6, b"over the end"), Some(4), "up to the end of the part");
    assert_eq!((retained.overwrite(10, b"x"), retained.overwrite(32, b"AB")), (None, Some(2)));
    assert_eq!((read(&retained, 4, 100), read(&retained, 15, 16)), (Some(b"45over".to_vec()), None));
    assert_eq!(retained.changed_bytes(), 20);
    let changed = add(&mut retained, &pool, 5, b"abcdefghij").unwrap();
    assert_eq!(bytes(&[changed]), [(4, b"01AB456789".to_vec())], "it cannot be changed any more");
    assert_eq!(bytes(&retained.take_changed()), [(1, b"012345over".to_vec())]);
    assert!(retained.take_changed().is_empty() && retained.changed_bytes() == 0);
    retained.clear();
    assert_eq!(pool.used_bytes(), 0);
}

#[test]
fn what_is_being_sent_stays_as_it_is() {
    let pool = Pool::with_segments(32, 8);
    let mut retained = Retained::new(Arc::clone(&pool));
    let (segments, sent) = handed_over(&pool, b"0123456789");
    assert!(retained.add(PartNumber(1), 0, segments).is_none());
    assert_eq!(retained.overwrite(7, b"AB"), Some(2));
    assert_eq!(sent.pieces.concat(), b"0123456789");
    assert_eq!(pool.used_bytes(), 32, "both segments are copies");
    drop(sent);
    assert_eq!(pool.used_bytes(), 16);
    assert_eq!(retained.overwrite(0, b"x"), Some(1));
    assert_eq!((read(&retained, 0, 10), pool.used_bytes()), (Some(b"x123456AB9".to_vec()), 16));
}

#[test]
fn a_change_that_finds_no_memory_goes_on_with_what_it_is_given() {
    let pool = Pool::with_segments(16, 8);
    let mut retained = Retained::new(Arc::clone(&pool));
    retained.add_spare(pool.overdraw());
    assert_eq!(pool.used_bytes(), 0, "nobody waits for it");
    let (segments, _sent) = handed_over(&pool, b"0123456789");
    assert!(retained.add(PartNumber(1), 0, segments).is_none());
    assert_eq!(retained.overwrite(0, b"x"), Some(0));
    retained.add_spare(pool.overdraw());
    assert_eq!(retained.overwrite(0, b"xyz"), Some(3));
    assert_eq!(read(&retained, 0, 10).unwrap(), b"xyz3456789");
}

#[test]
fn what_others_need_can_be_changed_no_more_unless_it_has_been() {
    let pool = Pool::with_segments(32, 8);
    let mut retained = Retained::new(Arc::clone(&pool));
    assert!(add(&mut retained, &pool, 1, b"0123456789").is_none());
    assert!(add(&mut retained, &pool, 2, b"0123456789").is_none());
    assert_eq!(retained.overwrite(0, b"x"), Some(1));
    let _others: Vec<_> = std::iter::from_fn(|| pool.try_take()).collect();
    assert_eq!((retained.holds(0), retained.holds(10)), (true, false));
    assert_eq!((retained.overwrite(10, b"x"), read(&retained, 10, 11)), (None, None));
    assert!(add(&mut retained, &pool, 3, b"").is_none(), "what was given up was sent as it was");
    assert_eq!(bytes(&retained.take_changed()), [(1, b"x123456789".to_vec())]);
}
