//! A version of a file at one moment, as a journal keeps it: what of it is where, and the way back after a crash. Who brings
//! bytes to the disk is [`patch`](crate::writer::patch).

use crate::base::pool::Pool;
use crate::journal::data::DataFile;
use crate::journal::limit::Limit;
use crate::journal::record::Place;
use crate::journal::record::Run;
use crate::writer::disk::Extent;
use crate::writer::overlay::Content;
use crate::writer::overlay::Overlay;
use crate::writer::overlay::Taken;
use crate::writer::stream::Base;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// A file at one moment, of which the bytes that only memory had are on their way to the disk.
pub struct Snapshot {
    runs: Vec<(Range<u64>, Source)>,
}

enum Source {
    Zeros,
    Object {
        base: Base,
        at: u64,
        staged: bool,
    },
    Disk {
        extent: Arc<Extent>,
        at: u64,
    },
    /// Among what was taken.
    Taken(u64),
}

impl Snapshot {
    /// The runs, and the extents that they need; what was taken is in these, which begin so far into it.
    #[must_use]
    pub fn on_disk(self, extents: &[(u64, Arc<Extent>)]) -> (Vec<Run>, Vec<Arc<Extent>>) {
        let mut needed: BTreeMap<u64, Arc<Extent>> = BTreeMap::new();
        let mut runs: Vec<Run> = Vec::with_capacity(self.runs.len());
        for (range, source) in self.runs {
            let at = match source {
                Source::Zeros => Place::Zeros,
                Source::Object { base: Base { key, etag, size }, at, staged } => {
                    Place::Object { key, etag, at, size, staged }
                }
                Source::Disk { extent, at } => {
                    let place = extent.begin() + at;
                    needed.insert(extent.begin(), extent);
                    Place::Data(place)
                }
                Source::Taken(at) => {
                    let (begin, extent) = &extents[extents.partition_point(|(begin, _)| *begin <= at) - 1];
                    needed.insert(extent.begin(), Arc::clone(extent));
                    Place::Data(extent.begin() + (at - begin))
                }
            };
            runs.push(Run { offset: range.start, len: range.end - range.start, at });
        }
        (runs, needed.into_values().collect())
    }
}

impl Overlay {
    /// The file now, just after all that only memory has was taken from it.
    #[must_use]
    pub fn snapshot(&self, taken: &Taken) -> Snapshot {
        let source = |content| match content {
            Content::Zeros => Source::Zeros,
            Content::Object { source, at } => {
                Source::Object { base: self.sources[source].clone(), at, staged: self.staged.contains(&source) }
            }
            Content::Disk { extent, at } => {
                let extent = self.extents[extent].as_ref().expect("no run refers to an extent that was given back");
                Source::Disk { extent: Arc::clone(extent), at }
            }
            Content::Memory { segment, at } => Source::Taken(taken.place(segment, at)),
        };
        Snapshot { runs: self.runs().map(|(range, content)| (range, source(content))).collect() }
    }

    /// The file that a journal has kept, and the extents that it needs of its data.
    ///
    /// # Errors
    /// When the data are not whole.
    pub fn recover(
        pool: Arc<Pool>,
        runs: &[Run],
        file: &Arc<DataFile>,
        limit: Option<&Arc<Limit>>,
    ) -> io::Result<(Self, Vec<Arc<Extent>>)> {
        let data = |run: &Run| match run.at {
            Place::Data(at) => Some(at..at + run.len),
            Place::Zeros | Place::Object { .. } => None,
        };
        file.verify(&runs.iter().filter_map(data).collect::<Vec<_>>())?;
        let mut overlay = Self::new(pool);
        let mut extents: BTreeMap<u64, (usize, Arc<Extent>)> = BTreeMap::new();
        for run in runs {
            let content = match &run.at {
                Place::Zeros => Content::Zeros,
                Place::Object { key, etag, at, size, staged } => {
                    let source = overlay.source(Base { key: key.clone(), etag: etag.clone(), size: *size });
                    if *staged {
                        overlay.staged.insert(source);
                    }
                    Content::Object { source, at: *at }
                }
                Place::Data(at) => {
                    let whole =
                        file.append_at(*at).ok_or_else(|| io::Error::other("data that were verified are gone"))?;
                    let next = overlay.extents.len();
                    let (extent, _) = extents.entry(whole.start).or_insert_with(|| {
                        let extent = Extent::recovered(file, whole.start, whole.end - whole.start, limit);
                        overlay.extents.push(Some(Arc::clone(&extent)));
                        (next, extent)
                    });
                    Content::Disk { extent: *extent, at: at - whole.start }
                }
            };
            overlay.put(run.offset, run.len, content);
        }
        Ok((overlay, extents.into_values().map(|(_, extent)| extent).collect()))
    }

    /// The keys of objects that are there for this file only.
    #[must_use]
    pub fn staged_keys(&self) -> Vec<String> {
        self.staged.iter().map(|source| self.sources[*source].key.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;
    use crate::writer::overlay::Piece;
    use tempfile::TempDir;

    fn base(key: &str, size: u64) -> Base {
        Base { key: key.into(), etag: ETag::new("e"), size }
    }

    // Everything as bytes; those of objects are told by their key.
    async fn read(overlay: &Overlay) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in overlay.pieces(0..overlay.size()) {
            match piece {
                Piece::Bytes(bytes) => out.extend(bytes),
                Piece::Zeros(len) => out.extend(vec![0; usize::try_from(len).unwrap()]),
                Piece::Disk(extent, range) => out.extend(extent.read(range).await.unwrap()),
                Piece::Object(base, range) => {
                    out.extend(vec![base.key.as_bytes()[0]; usize::try_from(range.end - range.start).unwrap()]);
                }
            }
        }
        out
    }

    #[tokio::test]
    async fn what_is_kept_is_the_file_at_that_moment() {
        let home = TempDir::new().unwrap();
        let id = crate::journal::record::DraftId(3);
        let file = Arc::new(DataFile::create(home.path(), id).unwrap());
        let pool = Pool::new(1 << 20);
        let mut overlay = Overlay::over(Arc::clone(&pool), base("b", 40));
        overlay.write(10, &[1; 5], u64::MAX);
        let first = overlay.take_dirty();
        let extents = Extent::append(&file, &first.pieces, None).unwrap();
        overlay.on_disk(&first, extents);
        overlay.write(12, &[2; 20], u64::MAX);
        overlay.zero(45..50);
        let taken = overlay.take_dirty();
        let snapshot = overlay.snapshot(&taken);
        let want = read(&overlay).await;
        overlay.write(0, &[9; 50], u64::MAX);
        let extents = Extent::append(&file, &taken.pieces, None).unwrap();
        overlay.on_disk(&taken, extents.clone());
        let (runs, needed) = snapshot.on_disk(&extents);
        assert_eq!(needed.len(), 2);
        needed.iter().for_each(|extent| extent.seal(true));
        drop((overlay, needed, extents));
        file.sync().unwrap();
        drop(file);
        let file = Arc::new(DataFile::open(home.path(), id).unwrap());
        let (recovered, needed) = Overlay::recover(pool, &runs, &file, None).unwrap();
        assert_eq!((read(&recovered).await, needed.len()), (want, 2));
        let path = std::fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(Overlay::recover(Pool::new(1 << 20), &runs, &file, None).is_err(), "damage is found");
    }
}
