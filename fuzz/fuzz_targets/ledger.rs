//! A ledger that somebody, or a disk, has changed. What is shown of it was written, in the order in
//! which it was written; and a change that leaves its mark alone is found.
#![no_main]

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use burstlet_metering::ledger::{Files, Found, Options, Storage, Writer, scan};
use burstlet_metering::record::{
    BootId, Entry, Fact, Moment, Record, SessionFact, SessionId, State,
};
use burstlet_metering::verify::verify;
use burstlet_model::{BootTime, GroupUid, Stamp, WallTime};
use libfuzzer_sys::fuzz_target;

/// Bytes of a segment: a few records fill one.
const SEGMENT_BYTES: u64 = 1500;
/// Records that the ledger has, but for its own.
const RECORDS: u64 = 24;
const MARK: &str = "mark";

type Image = BTreeMap<String, Vec<u8>>;

fuzz_target!(|edits: &[u8]| {
    let (image, truth) = closed();
    let mut disk = Disk::default();
    let mut edited = image.clone();
    let names: Vec<String> = edited.keys().cloned().collect();
    for edit in edits.as_chunks::<6>().0 {
        apply(&mut edited, &names, edit);
    }
    let marked = edited.get(MARK) == image.get(MARK);
    let changed = edited != *image;
    disk.set(edited);
    let mut shown = Vec::new();
    let scanned = scan(&disk, |found| match found {
        Found::Record(entered) => shown.push(entered.record.clone()),
        Found::Carried(_) => panic!("nothing was carried on"),
    });
    let mut all = truth.iter();
    for record in &shown {
        assert!(all.any(|known| known == record), "made up: {record:?}");
    }
    // A newer version's format is refused as a whole.
    let Ok(scan) = scanned else {
        return;
    };
    if scan.damages.is_empty() && marked {
        assert_eq!(&shown, truth, "records are gone and nobody says so");
    }
    if !changed {
        assert!(scan.damages.is_empty(), "{:?}", scan.damages);
    }
    let verified = verify(&disk, &BTreeMap::new()).expect("what was read is read again");
    assert_eq!(verified.scan, scan);
    assert_eq!(verified.records, shown.len() as u64);
});

/// Six bytes: which file, what to do, where, with what.
fn apply(image: &mut Image, names: &[String], edit: &[u8; 6]) {
    let [file, deed, low, high, length, byte] = *edit;
    let name = &names[usize::from(file) % names.len()];
    let Some(bytes) = image.get_mut(name) else {
        return;
    };
    let at = usize::from(u16::from_le_bytes([low, high])) % (bytes.len() + 1);
    let end = (at + usize::from(length)).min(bytes.len());
    match deed % 6 {
        0 => bytes[at..end]
            .iter_mut()
            .take(1)
            .for_each(|old| *old ^= byte),
        1 => bytes[at..end].fill(byte),
        2 => bytes.truncate(at),
        3 => bytes[at..].fill(0),
        4 => drop(image.remove(name)),
        _ => {
            let moved = bytes[at..end].to_vec();
            let to = usize::from(byte) * 8 % (bytes.len() - moved.len() + 1);
            bytes[to..to + moved.len()].copy_from_slice(&moved);
        }
    }
}

/// A ledger of several segments that was closed in order, and its records.
fn closed() -> &'static (Image, Vec<Record>) {
    static CLOSED: OnceLock<(Image, Vec<Record>)> = OnceLock::new();
    CLOSED.get_or_init(|| {
        let disk = Disk::default();
        let observer = Box::new(|_: burstlet_metering::ledger::Shown<'_>| {});
        let opened = Writer::open(disk.clone(), options(), observer);
        let (mut writer, _) = opened.expect("open a new ledger");
        for number in 0..RECORDS {
            for result in writer.commit(vec![vec![entry(number)]]) {
                result.expect("write a record");
            }
        }
        writer.close().expect("close the ledger");
        let mut truth = Vec::new();
        scan(&disk, |found| {
            if let Found::Record(entered) = found {
                truth.push(entered.record.clone());
            }
        })
        .expect("read the ledger");
        (disk.image(), truth)
    })
}

fn options() -> Options {
    let mut now = 1_000_000;
    Options {
        clock: Box::new(move || {
            now += 1000;
            at(now)
        }),
        key: [9; 32],
        version: "fuzz".to_owned(),
        segment_bytes: SEGMENT_BYTES,
        archive: false,
    }
}

fn at(ns: u64) -> Moment {
    Moment {
        boot_id: BootId([7; 16]),
        stamp: Stamp {
            boot: BootTime(ns),
            wall: WallTime(ns.cast_signed()),
        },
    }
}

fn entry(number: u64) -> Entry {
    let id = SessionId {
        uid: GroupUid::new(format!("g{number}")).expect("a uid"),
        start: 1,
    };
    let state = State::ALL[usize::try_from(number).expect("small") % State::ALL.len()];
    Entry {
        at: at(number),
        fact: Fact::Session {
            id,
            fact: SessionFact::Entered(state),
        },
    }
}

/// A disk in memory; clones are the same one.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<Image>>);

impl Disk {
    fn image(&self) -> Image {
        self.0.lock().expect("the disk").clone()
    }

    fn set(&mut self, image: Image) {
        *self.0.lock().expect("the disk") = image;
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Vec<u8>) -> T) -> io::Result<T> {
        let mut files = self.0.lock().expect("the disk");
        let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(act(file))
    }
}

impl Files for Disk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.image().into_keys().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.with(name, |file| file.clone())
    }
}

impl Storage for Disk {
    fn create(&mut self, name: &str, head: &[u8], bytes: u64) -> io::Result<()> {
        let mut file = head.to_vec();
        file.resize(usize::try_from(bytes).expect("small"), 0);
        self.0
            .lock()
            .expect("the disk")
            .insert(name.to_owned(), file);
        Ok(())
    }

    fn write(&mut self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(at).expect("small");
        self.with(name, |file| {
            file[at..at + bytes.len()].copy_from_slice(bytes)
        })
    }

    fn sync(&mut self, _name: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.lock().expect("the disk");
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn retire(&mut self, name: &str, _archive: bool) -> io::Result<()> {
        self.0.lock().expect("the disk").remove(name);
        Ok(())
    }
}
