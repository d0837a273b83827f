//! A disk in memory that writes down what is asked of it, and can lose power after any of it.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use super::super::storage::{Files, Storage};

/// What was asked of the disk, or told to the client.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create {
        name: String,
        bytes: Vec<u8>,
    },
    Write {
        name: String,
        at: usize,
        bytes: Vec<u8>,
    },
    Sync {
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Retire {
        name: String,
    },
    /// Records up to this one were acknowledged.
    Acknowledged(u64),
}

/// What happens to writes that were not synced when the power goes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    All,
    /// Everything but the first bytes of the last write.
    AllBut(usize),
    /// Every second piece of this many bytes.
    Every(usize),
    Nothing,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    log: Vec<Op>,
    /// No more files can be made.
    full: bool,
    /// Syncs fail from now on.
    broken: bool,
}

/// A disk; clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

impl Disk {
    pub(super) fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::default();
        disk.0.lock().unwrap().files = files;
        disk
    }

    pub(super) fn log(&self) -> Vec<Op> {
        self.0.lock().unwrap().log.clone()
    }

    pub(super) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().files.clone()
    }

    pub(super) fn acknowledge(&self, seq: u64) {
        self.0.lock().unwrap().log.push(Op::Acknowledged(seq));
    }

    pub(super) fn set_full(&self, full: bool) {
        self.0.lock().unwrap().full = full;
    }

    pub(super) fn break_sync(&self) {
        self.0.lock().unwrap().broken = true;
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().files.keys().cloned().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.0.lock().unwrap();
        let file = state.files.get(name).cloned();
        file.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Storage for Disk {
    fn create(&mut self, name: &str, head: &[u8], bytes: u64) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut file = vec![0; bytes as usize];
        file[..head.len()].copy_from_slice(head);
        state.files.insert(name.to_owned(), file.clone());
        let name = name.to_owned();
        state.log.push(Op::Create { name, bytes: file });
        Ok(())
    }

    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        let at = at as usize;
        file[at..at + bytes.len()].copy_from_slice(bytes);
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        state.log.push(Op::Write { name, at, bytes });
        Ok(())
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.broken {
            return Err(io::Error::other("the disk is broken"));
        }
        let name = name.to_owned();
        state.log.push(Op::Sync { name });
        Ok(())
    }

    fn retire(&mut self, name: &str, archive: bool) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.remove(name).ok_or(io::ErrorKind::NotFound)?;
        if archive {
            state.files.insert(format!("archive/{name}"), file);
        }
        let name = name.to_owned();
        state.log.push(Op::Retire { name });
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.to_owned(), file);
        let (from, to) = (from.to_owned(), to.to_owned());
        state.log.push(Op::Rename { from, to });
        Ok(())
    }
}

/// What is on a disk that lost power after `log`, and the last record acknowledged by then.
pub(super) fn after(log: &[Op], lost: Lost) -> (BTreeMap<String, Vec<u8>>, u64) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut unsynced: Vec<(String, usize, Vec<u8>)> = Vec::new();
    let mut acknowledged = 0;
    for op in log.iter().cloned() {
        match op {
            Op::Create { name, bytes } => {
                files.insert(name, bytes);
            }
            Op::Write { name, at, bytes } => unsynced.push((name, at, bytes)),
            Op::Sync { name } => {
                for (name, at, bytes) in unsynced.extract_if(.., |write| write.0 == name) {
                    put(&mut files, &name, at, &bytes);
                }
            }
            Op::Rename { from, to } => {
                assert!(unsynced.iter().all(|write| write.0 != from));
                let file = files.remove(&from).unwrap();
                files.insert(to, file);
            }
            Op::Retire { name } => {
                files.remove(&name).unwrap();
                unsynced.retain(|write| write.0 != name);
            }
            Op::Acknowledged(seq) => acknowledged = seq,
        }
    }
    let last = unsynced.len().saturating_sub(1);
    for (number, (name, at, bytes)) in unsynced.into_iter().enumerate() {
        match lost {
            Lost::All => {}
            Lost::Nothing => put(&mut files, &name, at, &bytes),
            Lost::AllBut(kept) if number == last => {
                put(&mut files, &name, at, &bytes[..kept.min(bytes.len())]);
            }
            Lost::AllBut(_) => put(&mut files, &name, at, &bytes),
            Lost::Every(size) => {
                let pieces = bytes.chunks(size).enumerate();
                for (number, piece) in pieces.filter(|(number, _)| number % 2 == 1) {
                    put(&mut files, &name, at + number * size, piece);
                }
            }
        }
    }
    (files, acknowledged)
}

fn put(files: &mut BTreeMap<String, Vec<u8>>, name: &str, at: usize, bytes: &[u8]) {
    files.get_mut(name).unwrap()[at..at + bytes.len()].copy_from_slice(bytes);
}
