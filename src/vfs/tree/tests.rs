//! The tree under random use, held to its invariants.

use super::*;
use crate::vfs::attr::Kind;
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::UNIX_EPOCH;

fn attr(kind: Kind) -> Attr {
    Attr { kind, size: 0, permissions: 0o755, uid: 0, gid: 0, mtime: UNIX_EPOCH, ctime: UNIX_EPOCH, atime: UNIX_EPOCH }
}

impl Tree {
    fn check(&self) {
        let state = self.lock();
        for ((parent, name), id) in &state.names {
            let entry = &state.entries[id];
            assert!(entry.linked && entry.parent == *parent && entry.name == *name, "{name} leads to its entry");
        }
        let linked = state.entries.values().filter(|entry| entry.linked).count();
        assert_eq!(linked, state.names.len() + 1, "all linked entries but the root have a name");
        for (id, entry) in &state.entries {
            let below = state.entries.iter().filter(|(i, e)| e.parent == *id && **i != InodeId::ROOT).count();
            assert_eq!(entry.children, below, "children of {id:?}");
            assert!(state.entries.contains_key(&entry.parent), "a parent outlives its children");
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Intern(usize, u8),
    Forget(usize, u64),
    Unlink(usize, u8),
    Rename(usize, u8, usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (any::<usize>(), 0..3u8).prop_map(|(d, n)| Step::Intern(d, n)),
        (any::<usize>(), 0..3u64).prop_map(|(d, n)| Step::Forget(d, n)),
        (any::<usize>(), 0..3u8).prop_map(|(d, n)| Step::Unlink(d, n)),
        (any::<usize>(), 0..3u8, any::<usize>(), 0..3u8).prop_map(|(d, n, e, m)| Step::Rename(d, n, e, m)),
    ]
}

proptest! {
    #[test]
    fn the_invariants_hold_and_everything_is_forgotten_at_last(steps in vec(step(), 0..60)) {
        let tree = Tree::new("p/".into(), attr(Kind::Directory), &Notes::none());
        let mut known = vec![InodeId::ROOT];
        let pick = |known: &Vec<InodeId>, at: usize| known[at % known.len()];
        for step in steps {
            match step {
                Step::Intern(at, name) => {
                    let parent = pick(&known, at);
                    if tree.get(parent).is_ok() {
                        let inode = tree.intern(parent, &name.to_string(), || attr(Kind::Directory));
                        tree.looked_up(inode.id);
                        known.push(inode.id);
                    }
                }
                Step::Forget(at, count) => tree.forget(pick(&known, at), count),
                Step::Unlink(at, name) => tree.unlink(pick(&known, at), &name.to_string()),
                Step::Rename(at, name, to, new) => {
                    let (from, to) = (pick(&known, at), pick(&known, to));
                    let inside = tree.child(from, &name.to_string()).is_some_and(|moved| tree.is_below(to, moved.id));
                    if tree.get(from).is_ok() && tree.get(to).is_ok() && !inside {
                        tree.rename(from, &name.to_string(), to, &new.to_string());
                    }
                }
            }
            tree.check();
        }
        known.retain(|id| *id != InodeId::ROOT);
        known.into_iter().for_each(|id| tree.forget(id, 1000));
        tree.check();
        prop_assert_eq!(tree.all().len(), 1, "only the root is left");
    }
}

#[test]
fn keys_follow_renames_and_end_with_the_name() {
    let tree = Tree::new("p/".into(), attr(Kind::Directory), &Notes::none());
    let directory = tree.intern(InodeId::ROOT, "a", || attr(Kind::Directory));
    let file = tree.intern(directory.id, "f", || attr(Kind::File));
    assert_eq!(tree.key(&file).as_deref(), Some("p/a/f"));
    assert_eq!(tree.key(&directory).as_deref(), Some("p/a/"));
    tree.rename(InodeId::ROOT, "a", InodeId::ROOT, "b");
    assert_eq!(tree.key(&file).as_deref(), Some("p/b/f"));
    tree.unlink(directory.id, "f");
    assert_eq!(tree.key(&file), None);
    assert_eq!(tree.key(&tree.get(InodeId::ROOT).unwrap()).as_deref(), Some("p/"));
}

#[test]
fn another_kind_under_a_name_is_another_inode() {
    let tree = Tree::new(String::new(), attr(Kind::Directory), &Notes::none());
    let file = tree.intern(InodeId::ROOT, "a", || attr(Kind::File));
    let directory = tree.intern(InodeId::ROOT, "a", || attr(Kind::Directory));
    assert_ne!(file.id, directory.id);
    assert_eq!(tree.intern(InodeId::ROOT, "a", || attr(Kind::Directory)).id, directory.id);
}
