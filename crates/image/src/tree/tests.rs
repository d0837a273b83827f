#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use rustix::fs::CWD;

use super::*;

/// A tree in memory: directories, links by their targets, files.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory,
    Link(String),
    File,
}

/// What resolving a directory below a root should do, said without a kernel.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<Vec<String>, Node>);

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    NotADirectory,
    Loop,
}

impl Model {
    /// The directory that `path` means, missing parts made.
    fn made(&mut self, path: &str) -> Result<Vec<String>, Refused> {
        let split = |text: &str| -> Vec<String> {
            let parts = text.split('/').filter(|part| !matches!(*part, "" | "."));
            parts.rev().map(str::to_owned).collect()
        };
        let (mut at, mut ahead, mut links) = (Vec::new(), split(path), 0);
        while let Some(part) = ahead.pop() {
            if part == ".." {
                at.pop();
                continue;
            }
            at.push(part);
            match self.0.entry(at.clone()).or_insert(Node::Directory).clone() {
                Node::Directory => {}
                Node::File => return Err(Refused::NotADirectory),
                Node::Link(target) => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(Refused::Loop);
                    }
                    at.pop();
                    if target.starts_with('/') {
                        at.clear();
                    }
                    ahead.extend(split(&target));
                }
            }
        }
        Ok(at)
    }
}

fn opened(path: &std::path::Path) -> Tree {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Tree::new(rustix::fs::openat(CWD, path, flags, Mode::empty()).unwrap())
}

/// Paths over three names, so that they meet; `..` only where a link may have it.
fn path(up: bool) -> impl Strategy<Value = String> {
    let names = if up {
        vec!["a", "b", "end", "..", "."]
    } else {
        vec!["a", "b", "end"]
    };
    let absolute = if up {
        prop_oneof![Just("/"), Just("")].boxed()
    } else {
        Just("").boxed()
    };
    (
        absolute,
        proptest::collection::vec(proptest::sample::select(names), 1..5),
    )
        .prop_map(|(slash, parts)| format!("{slash}{}", parts.join("/")))
}

fn step() -> impl Strategy<Value = (String, Option<Node>)> {
    let node = prop_oneof![
        3 => Just(None),
        2 => path(true).prop_map(|target| Some(Node::Link(target))),
        1 => Just(Some(Node::File)),
    ];
    (path(false), node)
}

proptest! {
    /// Directories are reached and made where the model says, links and files put at the end of
    /// the way now and then.
    #[test]
    fn directories_are_made_where_the_model_has_them(
        steps in proptest::collection::vec(step(), 1..12),
    ) {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().join("root");
        std::fs::create_dir(&root).unwrap();
        let tree = opened(&root);
        let mut model = Model::default();
        for (path, node) in steps {
            let expected = model.made(&path);
            match (tree.parent_made(path.as_bytes()), &expected) {
                (Ok((found, _)), Ok(at)) => {
                    let there = rustix::fs::stat(root.join(at.join("/"))).unwrap();
                    let found = rustix::fs::fstat(&found).unwrap();
                    prop_assert_eq!(there.st_ino, found.st_ino, "{} {:?}", path, model);
                    let leaf = [at.as_slice(), &["end".to_owned()]].concat();
                    let (Some(node), None) = (node, model.0.get(&leaf)) else { continue };
                    let name = root.join(leaf.join("/"));
                    match &node {
                        Node::Link(target) => std::os::unix::fs::symlink(target, name).unwrap(),
                        Node::File => std::fs::write(name, "").unwrap(),
                        Node::Directory => std::fs::create_dir(name).unwrap(),
                    }
                    model.0.insert(leaf, node);
                }
                (Err(ParentError::Rule(EntryRule::ParentNotADirectory)), Err(Refused::NotADirectory))
                | (Err(ParentError::Rule(EntryRule::LinkLoop)), Err(Refused::Loop)) => {}
                (found, _) => prop_assert!(
                    false, "{path}: {:?}, not {expected:?} in {model:?}", found.map(|_| ())
                ),
            }
        }
        prop_assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 1);
    }
}

#[test]
fn removal_names_each_directory_and_no_file() {
    use std::os::unix::fs::MetadataExt;
    let root = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for path in [
        "top",
        "top/empty",
        "top/full",
        "top/full/deep",
        "top/full/deep/empty",
    ] {
        std::fs::create_dir(root.path().join(path)).unwrap();
        expected.push(std::fs::metadata(root.path().join(path)).unwrap().ino());
    }
    for path in ["top/file", "top/full/file", "top/full/deep/file"] {
        std::fs::write(root.path().join(path), "x").unwrap();
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    let parent = rustix::fs::openat(CWD, root.path(), flags, Mode::empty()).unwrap();
    let mut gone = Vec::new();
    remove_at(parent.as_fd(), b"top", &mut |inode| gone.push(inode)).unwrap();
    gone.sort_unstable();
    expected.sort_unstable();
    assert_eq!(gone, expected);
}
