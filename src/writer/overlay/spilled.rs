//! Bytes of memory that go elsewhere while the file is written to: taken, and referred to where they are then. Who brings
//! them there is [`patch`](crate::writer::patch).

use crate::writer::disk::Extent;
use crate::writer::overlay::Content;
use crate::writer::overlay::Held;
use crate::writer::overlay::Overlay;
use crate::writer::overlay::in_memory;
use crate::writer::stream::Base;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Bytes of memory on their way to a disk or an object.
pub struct Taken {
    /// The bytes, in the order of the file.
    pub pieces: Vec<Bytes>,
    /// How many there are.
    pub bytes: u64,
    /// By segment and where in it they were: where they are among all, and how many.
    places: BTreeMap<(usize, usize), (u64, u64)>,
}

impl Taken {
    /// Where among all bytes those of a run are that was taken.
    pub(super) fn place(&self, segment: usize, at: usize) -> u64 {
        self.places[&(segment, at)].0
    }
}

impl Overlay {
    /// All bytes that only memory has, to be brought elsewhere. Until [`staged`](Self::staged) or
    /// [`on_disk`](Self::on_disk) says that they are there, they can be read here; what replaces them goes to other memory.
    pub fn take_dirty(&mut self) -> Taken {
        let mut taken = Taken { pieces: Vec::new(), bytes: 0, places: BTreeMap::new() };
        let dirty: Vec<_> = self.runs().collect();
        for (range, content) in dirty {
            let Content::Memory { segment, at } = content else { continue };
            let len = range.end - range.start;
            let whole = self.share(segment);
            taken.pieces.push(whole.slice(at..at + in_memory(len)));
            taken.places.insert((segment, at), (taken.bytes, len));
            taken.bytes += len;
        }
        self.give_back();
        taken
    }

    /// The object has what was taken: what of it is still part of the file is read from there, and its memory is given
    /// back.
    pub fn staged(&mut self, taken: &Taken, object: Base) {
        let source = self.source(object);
        self.staged.insert(source);
        self.moved(taken, |at| Content::Object { source, at });
    }

    /// The disk has what was taken, as [`staged`](Self::staged), in extents that begin so far into it. None of the pieces
    /// lies in two of them.
    pub fn on_disk(&mut self, taken: &Taken, extents: Vec<(u64, Arc<Extent>)>) {
        let first = self.extents.len();
        let begins: Vec<u64> = extents.iter().map(|(begin, _)| *begin).collect();
        self.extents.extend(extents.into_iter().map(|(_, extent)| Some(extent)));
        self.moved(taken, |at| {
            let extent = begins.partition_point(|begin| *begin <= at) - 1;
            Content::Disk { extent: first + extent, at: at - begins[extent] }
        });
    }

    /// What was taken is elsewhere: where, `content` says of each place in it.
    fn moved(&mut self, taken: &Taken, content_at: impl Fn(u64) -> Content) {
        let place = |segment: usize, at: usize| {
            // Only of this segment: memory that was filled since has none that was taken.
            let ((_, begin), (whole, len)) = taken.places.range((segment, 0)..=(segment, at)).next_back()?;
            let skipped = (at - begin) as u64;
            (skipped < *len).then_some(whole + skipped)
        };
        let runs = std::mem::take(&mut self.runs);
        for (start, (len, content)) in runs {
            let content = match content {
                Content::Memory { segment, at } => place(segment, at).map_or(content, &content_at),
                Content::Zeros | Content::Object { .. } | Content::Disk { .. } => content,
            };
            self.runs.insert(start, (len, content));
            self.join(start);
        }
        self.give_back();
        self.client.begin_anew();
    }

    /// Gives back memory that no run refers to and that takes no more bytes, and extents.
    fn give_back(&mut self) {
        let (mut used, mut used_extents) = (BTreeSet::new(), BTreeSet::new());
        for (_, content) in self.runs.values() {
            match content {
                Content::Memory { segment, .. } => drop(used.insert(*segment)),
                Content::Disk { extent, .. } => drop(used_extents.insert(*extent)),
                Content::Zeros | Content::Object { .. } => {}
            }
        }
        for (_, extent) in self.extents.iter_mut().enumerate().filter(|(extent, _)| !used_extents.contains(extent)) {
            *extent = None;
        }
        // Only the last one is filled any further.
        let last = self.segments.len().saturating_sub(1);
        for (segment, held) in self.segments.iter_mut().enumerate() {
            let takes_more = segment == last && matches!(held, Held::Open(open) if open.room() > 0);
            if !takes_more && !used.contains(&segment) && !matches!(held, Held::Gone) {
                *held = Held::Gone;
                self.held -= 1;
            }
        }
    }
}
