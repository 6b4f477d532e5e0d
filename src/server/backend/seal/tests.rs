//! Sealing against what it promises: the same bytes back for any range, and nothing at all from a file that was changed.

use super::*;
use proptest::prelude::*;
use proptest::sample::Index;

const ID: BlobId = BlobId(7);

/// Bytes in which every chunk is another, whatever their number.
fn content(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from((at * 31 + at / CHUNK_LEN * 7) % 251).unwrap()).collect()
}

/// Sizes of content around the ends of chunks.
fn size() -> impl Strategy<Value = usize> {
    (0usize..4, -2isize..3).prop_map(|(chunks, off)| (chunks * CHUNK_LEN).saturating_add_signed(off).max(1))
}

fn range(of: usize, cuts: (Index, Index)) -> Range<u64> {
    let (a, b) = (cuts.0.index(of) as u64, cuts.1.index(of) as u64);
    a.min(b)..a.max(b) + 1
}

fn sealed(content: &[u8], write_bytes: usize) -> (DataKey, Vec<u8>) {
    let (key, wrapped) = MasterKey::new(&[1; KEY_BYTES]).make(ID);
    let mut sealer = Sealer::new(key);
    let mut file = Vec::new();
    for bytes in content.chunks(write_bytes) {
        sealer.write(bytes, &mut file).unwrap();
    }
    sealer.finish(&mut file).unwrap();
    (MasterKey::new(&[1; KEY_BYTES]).open(ID, &wrapped).unwrap(), file)
}

fn open(key: &DataKey, file: &[u8], range: &Range<u64>) -> Result<Vec<u8>, Broken> {
    let run = Run::locate(range, file.len() as u64)?;
    run.open(key, file[index(run.file.start)..index(run.file.end)].to_vec())
}

fn index(at: u64) -> usize {
    usize::try_from(at).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_range_opens_to_its_bytes(
        bytes in size(), write_bytes in 1000usize..200_000, cuts in any::<(Index, Index)>(),
    ) {
        let content = content(bytes);
        let (key, file) = sealed(&content, write_bytes);
        prop_assert_eq!(file.len(), bytes + 16 * bytes.div_ceil(CHUNK_LEN));
        let range = range(bytes, cuts);
        prop_assert_eq!(open(&key, &file, &range).unwrap(), &content[index(range.start)..index(range.end)]);
        let run = Run::locate(&range, file.len() as u64).unwrap();
        prop_assert!(run.file.end - run.file.start <= (range.end - range.start).div_ceil(CHUNK_BYTES) * SEALED_BYTES + SEALED_BYTES, "only its own chunks are read");
        prop_assert_eq!(open(&key, &file, &(0..bytes as u64)).unwrap(), content);
    }

    #[test]
    fn a_changed_file_gives_an_error_and_never_other_bytes(
        bytes in size(), cuts in any::<(Index, Index)>(), damage in damage(),
    ) {
        let content = content(bytes);
        let (key, before) = sealed(&content, 100_000);
        let mut file = before.clone();
        damage.apply(&mut file);
        prop_assume!(file != before);
        if let Damage::Flip(..) = damage {
            prop_assert!(open(&key, &file, &(0..bytes as u64)).is_err());
        }
        if file.len() < before.len() {
            prop_assert!(open(&key, &file, &(0..bytes as u64)).is_err());
        }
        let range = range(bytes, cuts);
        if let Ok(opened) = open(&key, &file, &range) {
            prop_assert_eq!(opened, &content[index(range.start)..index(range.end)], "a chunk that was not touched");
        }
    }
}

/// What may happen to a file.
#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Cut(Index),
    CutChunks(Index),
    Append(Vec<u8>),
    Swap(Index, Index),
    Repeat(Index),
    Remove(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => any::<Index>().prop_map(Damage::CutChunks),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(Damage::Append),
        1 => any::<(Index, Index)>().prop_map(|(a, b)| Damage::Swap(a, b)),
        1 => any::<Index>().prop_map(Damage::Repeat),
        1 => any::<Index>().prop_map(Damage::Remove),
    ]
}

impl Damage {
    fn apply(&self, file: &mut Vec<u8>) {
        let mut chunks: Vec<Vec<u8>> = file.chunks(index(SEALED_BYTES)).map(<[u8]>::to_vec).collect();
        let count = chunks.len();
        match self {
            Self::Flip(at, bit) => {
                let at = at.index(file.len());
                file[at] ^= 1 << bit;
                return;
            }
            Self::Cut(at) => return file.truncate(at.index(file.len())),
            Self::Append(more) => return file.extend_from_slice(more),
            Self::CutChunks(at) => chunks.truncate(at.index(count)),
            Self::Swap(a, b) => chunks.swap(a.index(count), b.index(count)),
            Self::Repeat(at) => chunks.insert(at.index(count), chunks[at.index(count)].clone()),
            Self::Remove(at) => drop(chunks.remove(at.index(count))),
        }
        *file = chunks.concat();
    }
}

#[test]
fn the_file_shows_nothing_of_the_content() {
    let content = [b"the same line again and again\n".repeat(5000), vec![0; 3 * CHUNK_LEN]].concat();
    let (_, file) = sealed(&content, content.len());
    let windows: std::collections::BTreeSet<&[u8]> = content.windows(16).collect();
    assert!(!file.windows(16).any(|window| windows.contains(window)));
    let pieces: std::collections::BTreeSet<&[u8]> = file.chunks_exact(16).collect();
    assert_eq!(pieces.len(), file.len() / 16, "what is the same twice is not the same sealed");
}

#[test]
fn a_key_opens_for_its_blob_and_its_master_only() {
    let master = MasterKey::new(&[1; KEY_BYTES]);
    let (_, wrapped) = master.make(ID);
    assert!(master.open(ID, &wrapped).is_ok());
    assert_eq!(master.open(BlobId(8), &wrapped).unwrap_err(), Broken::Key, "another blob");
    assert_eq!(MasterKey::new(&[2; KEY_BYTES]).open(ID, &wrapped).unwrap_err(), Broken::Key, "another master");
    for at in 0..WRAPPED_BYTES {
        let mut bytes = wrapped.as_bytes().to_vec();
        bytes[at] ^= 1;
        let changed = WrappedKey::from_bytes(&bytes).unwrap();
        assert_eq!(master.open(ID, &changed).unwrap_err(), Broken::Key, "byte {at}");
    }
    assert_eq!(WrappedKey::from_bytes(&wrapped.as_bytes()[1..]), None);
    assert_ne!(master.make(ID).1, wrapped, "each key is another");
    assert!(!format!("{master:?}").contains('1'));
}

#[test]
fn a_blob_of_another_key_does_not_open() {
    let (_, file) = sealed(&content(10), 10);
    let (other, _) = sealed(&content(10), 10);
    assert_eq!(open(&other, &file, &(0..10)), Err(Broken::Chunk(0)));
    assert_eq!(Run::locate(&(0..1), 0), Err(Broken::Short));
    assert_eq!(
        Run::locate(&(u64::MAX - 1..u64::MAX), u64::MAX),
        Err(Broken::Short),
        "more chunks than there are numbers"
    );
}
