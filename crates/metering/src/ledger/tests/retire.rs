//! Old segments go: nothing that was counted is lost, whenever the power goes, and a change of what
//! is carried on is found.

use super::shim::{Disk, Lost, after};
use super::*;
use crate::record::{Allocation, Close, Opened, Scheduling, Used};
use crate::retire::{RetireError, retiring};
use crate::view::{Format, View};

const S: u64 = 1_000_000_000;
const BOOK: &str = "name = 'b'\ncurrency = 'EUR'\neffective_from = '1970-01-01T00:00:00Z'
    [[sku]]\nid = 'cpu'\nmeter = 'cpu'\nunit = 'Core-Hour'\nprice = '0.0405'";

/// A ledger on a disk, with a view of it as its agent has it.
struct Books {
    writer: Writer<Disk>,
    view: Arc<Mutex<View>>,
    opening: Opening,
}

impl Books {
    fn open(disk: &Disk) -> Self {
        let view = Arc::new(Mutex::new(View::new(tags())));
        let told = Arc::clone(&view);
        let observer = Box::new(move |shown: Shown<'_>| match shown {
            Shown::Carried(carried) => told.lock().unwrap().carry(carried).unwrap(),
            Shown::Record(record) => told.lock().unwrap().apply(record).unwrap(),
        });
        let (writer, opening) = Writer::open(disk.clone(), options(SMALL), observer).unwrap();
        Self {
            writer,
            view,
            opening,
        }
    }

    fn tell(&mut self, ns: u64, uid: &str, fact: SessionFact) {
        let id = SessionId {
            uid: GroupUid::new(uid).unwrap(),
            start: 1,
        };
        self.note(ns, Fact::Session { id, fact });
    }

    fn note(&mut self, ns: u64, fact: Fact) {
        let entry = Entry { at: at(ns), fact };
        let result = self.writer.commit(vec![vec![entry]]).pop().unwrap();
        result.unwrap();
    }

    /// Retires what is older than a moment; gives whether that was anything.
    fn retire(&mut self, disk: &Disk, before: u64) -> bool {
        let before = WallTime(before as i64);
        let Some(found) = retiring(disk, &tags(), before, [3; 16]).unwrap() else {
            return false;
        };
        self.writer.retire(&found.carried).unwrap();
        let since = found.carried.since;
        self.view.lock().unwrap().forget(&found.summed, since);
        true
    }

    /// Every total, but not what is about this ledger's files.
    fn totals(&self) -> String {
        let mut view = self.view.lock().unwrap().clone();
        let page = view.page(Format::Text, at(1_000_000 * S), &Status::default());
        page.unwrap()
    }
}

fn tags() -> Vec<String> {
    vec!["team".to_owned()]
}

/// A life of ten seconds from `begin` on, told of in full.
fn live(books: &mut Books, uid: &str, begin: u64) {
    let used = |cpu_us, is_final| {
        SessionFact::Used(Used {
            cpu_us,
            net_sent: 7,
            is_final,
            ..Used::default()
        })
    };
    books.tell(begin, uid, opened(uid));
    books.tell(begin + S, uid, SessionFact::Entered(State::Running));
    books.tell(begin + 2 * S, uid, used(1000, false));
    books.tell(begin + 3 * S, uid, used(2000, false));
    books.tell(
        begin + 10 * S + 1,
        uid,
        SessionFact::Closed(Close::Succeeded),
    );
    books.tell(begin + 10 * S + 2, uid, used(3000, true));
}

fn opened(uid: &str) -> SessionFact {
    let name = burstlet_model::GroupName {
        namespace: burstlet_model::Namespace::new("ours").unwrap(),
        name: burstlet_model::Name::new("web").unwrap(),
    };
    SessionFact::Opened(Box::new(Opened {
        group: name,
        owner: String::new(),
        tags: std::collections::BTreeMap::from([("team".to_owned(), uid.to_owned())]),
        images: vec!["web:1".to_owned()],
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: burstlet_model::MilliCpu(1500),
            ..Allocation::default()
        },
    }))
}

/// Lives one after the other, and one that lasts over all of them.
fn history(disk: &Disk) -> Books {
    let mut books = Books::open(disk);
    let book = crate::book::Book::parse(BOOK).unwrap().to_record();
    books.note(1, Fact::BookInstalled(book));
    books.tell(S, "lasts", opened("lasts"));
    books.tell(2 * S, "lasts", SessionFact::Entered(State::Running));
    // One that did not fit.
    books.tell(2 * S, "nobody", SessionFact::Adopted);
    for number in 0..8 {
        live(&mut books, &format!("g{number}"), (20 * number + 10) * S);
    }
    books
}

#[test]
fn totals_are_the_same_before_and_after_and_for_a_later_agent() {
    let disk = Disk::default();
    let mut books = history(&disk);
    let before = books.totals();
    assert!(before.contains("burstlet_meter_oddities_total{kind=\"orphan\"} 1"));
    let size: usize = disk.files().values().map(Vec::len).sum();
    assert!(books.retire(&disk, 100 * S));
    assert_eq!(books.totals(), before);
    assert!(books.view.lock().unwrap().sessions().iter().count() < 9);
    live(&mut books, "later", 200 * S);
    let after = books.totals();
    assert_ne!(after, before);
    // What was carried on is carried on again.
    assert!(books.retire(&disk, 170 * S));
    assert!(
        !books.retire(&disk, 170 * S),
        "there is nothing more to retire"
    );
    assert_eq!(books.totals(), after);
    let smaller: usize = disk.files().values().map(Vec::len).sum();
    assert!(smaller < size, "{smaller} bytes of {size}");
    drop(books);
    let anew = Books::open(&disk);
    assert_eq!(
        (&anew.opening.outcome, &*anew.opening.damages),
        (&Outcome::Loaded, &[][..])
    );
    let shown = |page: &str| {
        let lines = page
            .lines()
            .filter(|line| !line.contains("_group_") || line.contains("lasts"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown(&anew.totals()), shown(&after));
    let since = anew.view.lock().unwrap().since();
    assert!(since.is_some_and(|since| since.0 > 100 * S as i64));
}

/// A group that lasts has its records, and goes on as if nothing had gone.
#[test]
fn a_session_that_lasts_is_closed_as_if_nothing_had_gone() {
    let close = |books: &mut Books| {
        books.tell(900 * S, "lasts", SessionFact::Closed(Close::Stopped));
        let view = books.view.lock().unwrap();
        let id = SessionId {
            uid: GroupUid::new("lasts").unwrap(),
            start: 1,
        };
        view.sessions().get(&id).unwrap().clone()
    };
    let kept = close(&mut history(&Disk::default()));
    let disk = Disk::default();
    assert!(history(&disk).retire(&disk, 150 * S));
    let mut books = Books::open(&disk);
    assert_eq!(close(&mut books), kept);
}

#[test]
fn whenever_the_power_goes_nothing_is_lost_and_nothing_counted_twice() {
    let disk = Disk::default();
    let mut books = history(&disk);
    let mut truth = vec![books.totals()];
    let begun = disk.log().len();
    assert!(books.retire(&disk, 60 * S));
    live(&mut books, "later", 200 * S);
    truth.push(books.totals());
    let told = disk.log().len();
    assert!(books.retire(&disk, 130 * S));
    let log = disk.log();
    let totals = |text: &str| -> Vec<String> {
        let of = |line: &&str| line.starts_with("burstlet_cost_total") || line.contains("oddities");
        text.lines().filter(of).map(str::to_owned).collect()
    };
    for steps in
        (begun..=log.len()).filter(|step| *step <= begun + 4 || *step >= told - 2 || step % 3 == 0)
    {
        for lost in [Lost::All, Lost::Nothing, Lost::Every(64)] {
            let (files, _) = after(&log[..steps], lost);
            let anew = Books::open(&Disk::with(files));
            assert_eq!(anew.opening.damages, [], "{lost:?} after {steps} steps");
            let found = totals(&anew.totals());
            if steps <= begun + 4 {
                assert_eq!(found, totals(&truth[0]), "{lost:?} after {steps} steps");
            } else if steps >= told {
                assert_eq!(found, totals(&truth[1]), "{lost:?} after {steps} steps");
            }
        }
    }
}

#[test]
fn a_change_of_what_is_carried_on_is_found() {
    let disk = Disk::default();
    assert!(history(&disk).retire(&disk, 100 * S));
    let files = disk.files();
    let name = files.keys().find(|name| name.starts_with("carried-"));
    let name = name.unwrap().clone();
    for at in (0..files[&name].len()).step_by(5) {
        let mut changed = files.clone();
        changed.get_mut(&name).unwrap()[at] ^= 1;
        let disk = Disk::with(changed);
        let found = scan(&disk, |_| {});
        // A changed format is a newer one.
        let found = found.map_or(true, |scan| !scan.damages.is_empty());
        assert!(found, "byte {at} of {name}");
    }
    let mut gone = files;
    gone.remove(&name);
    let (scan, _) = contents(&Disk::with(gone));
    assert_ne!(scan.damages, [], "{name} gone");
}

#[test]
fn a_damaged_ledger_stays_as_it_is() {
    let disk = Disk::default();
    drop(history(&disk));
    let mut files = disk.files();
    let first = files.get_mut("segment-0000000001").unwrap();
    first[700] ^= 1;
    let error = retiring(&Disk::with(files), &tags(), WallTime(i64::MAX), [3; 16]);
    assert!(matches!(error, Err(RetireError::Damaged)), "{error:?}");
}

#[test]
fn what_is_retired_goes_to_the_archive_or_away() {
    for archive in [true, false] {
        let path = tempfile::tempdir().unwrap();
        let options = || Options {
            archive,
            ..options(SMALL)
        };
        let directory = Directory::open(path.path()).unwrap();
        let (mut writer, _) = Writer::open(directory, options(), observer().0).unwrap();
        for number in 0..40 {
            let result = writer.commit(vec![vec![entry(number)]]).pop().unwrap();
            result.unwrap();
        }
        let files = Inspected::new(path.path());
        let found = retiring(&files, &[], WallTime(i64::MAX), [3; 16]);
        let found = found.unwrap().unwrap();
        let last = writer.status().segments;
        writer.retire(&found.carried).unwrap();
        assert_eq!(writer.status().segments, 1);
        let archived = std::fs::read_dir(path.path().join("archive"));
        let archived = archived.map_or(0, Iterator::count);
        assert_eq!(archived as u64, if archive { last - 1 } else { 0 });
        let (scan, _) = contents(&files);
        assert_eq!((scan.damages, scan.seq), (Vec::new(), writer.status().seq));
        let again = writer.retire(&found.carried).unwrap();
        assert_eq!(
            again.seq,
            writer.status().seq,
            "nothing is left to go, which is no failure"
        );
        let segment = writer.status().seq as u32;
        let other = crate::carried::Carried {
            segment,
            ..found.carried
        };
        assert!(matches!(writer.retire(&other), Err(AppendError::Retire(_))));
    }
}
