//! What notes add up to.

use super::*;
use crate::store::ETag;
use std::time::SystemTime;

const ID: InodeId = InodeId(2);
const HANDLE: HandleId = HandleId(1);

fn named(name: &str) -> Note {
    Note::Named { id: ID, place: Place { parent: InodeId::ROOT, name: name.into(), kind: Kind::File } }
}

fn version(tag: &str) -> Version {
    Version { etag: ETag::new(tag), size: 3, last_modified: SystemTime::UNIX_EPOCH }
}

fn opened() -> Note {
    Note::Opened(HANDLE, OpenFile { id: ID, access: Access::ReadWrite })
}

fn fold(notes: impl IntoIterator<Item = Note>) -> Known {
    let mut known = Known::default();
    notes.into_iter().for_each(|note| known.apply(note));
    known
}

#[test]
fn a_file_is_known_from_its_first_lookup_to_the_last_forget() {
    let known = fold([named("a"), Note::LookedUp(ID), Note::LookedUp(ID), named("b"), Note::Forgot(ID, 1)]);
    let inode = &known.inodes[&ID];
    assert_eq!((inode.place.name.as_str(), inode.lookups, inode.linked), ("b", 1, true));
    let known = fold([named("a"), Note::LookedUp(ID), Note::Unlinked(ID), Note::Hidden(ID, "h".into())]);
    assert!(!known.inodes[&ID].linked);
    assert_eq!(known.hidden[&ID], "h");
    let known = fold([named("a"), Note::Dirty(ID), Note::Version(ID, version("v")), Note::Forgotten(ID)]);
    assert_eq!(known, Known { last_inode: ID.0, ..Known::default() }, "its number is not given again");
}

#[test]
fn a_file_is_dirty_from_its_first_byte_until_it_is_stored() {
    let rows: &[(&[Note], bool, &str)] = &[
        (&[Note::Dirty(ID)], true, "written"),
        (&[Note::Dirty(ID), Note::Stored(ID, version("v"))], false, "stored"),
        (&[Note::Dirty(ID), Note::Stored(ID, version("v")), Note::Dirty(ID)], true, "written again"),
        (&[Note::Dirty(ID), opened(), Note::Closed(HANDLE)], true, "closing does not store"),
        (&[Note::Dirty(ID), Note::Dropped(ID)], false, "given up"),
        (&[Note::Dirty(ID), Note::Version(ID, version("v"))], true, "another tag of the version below"),
    ];
    for (notes, dirty, why) in rows {
        let known = fold(notes.iter().cloned());
        assert_eq!(known.dirty.contains(&ID), *dirty, "{why}");
    }
}

#[test]
fn handles_are_known_while_they_are_open() {
    // The handle of a new file is noted before its name.
    let known = fold([opened(), Note::OpenedDirectory(HandleId(7), InodeId::ROOT), named("a")]);
    assert_eq!(known.files[&HANDLE].id, ID);
    assert_eq!(known.directories[&HandleId(7)], InodeId::ROOT);
    let known =
        fold([opened(), Note::OpenedDirectory(HandleId(7), ID), Note::Closed(HandleId(7)), Note::Closed(HANDLE)]);
    assert_eq!(known, Known { last_handle: 7, ..Known::default() });
}

#[test]
fn what_is_not_known_changes_nothing() {
    let known = fold([Note::Unlinked(ID), Note::LookedUp(ID), Note::Forgot(ID, 9), Note::Closed(HANDLE)]);
    assert_eq!(known, Known::default());
}
