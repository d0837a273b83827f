//! Price books. A book's one spelling is the same book; what a group would cost is never negative, and
//! more time never costs less.
#![no_main]

use std::collections::BTreeMap;

use burstlet_metering::book::Book;
use burstlet_metering::money::Money;
use burstlet_metering::rating::quote::{compare, quote};
use burstlet_metering::record::{Allocation, Opened, Scheduling};
use burstlet_model::{Bytes, GroupName, MilliCpu, Name, Namespace};
use libfuzzer_sys::fuzz_target;

const HOUR_NS: u64 = 3_600_000_000_000;

fuzz_target!(|text: &str| {
    let Ok(book) = Book::parse(text) else {
        return;
    };
    let canonical = book.canonical();
    let again = Book::parse(&canonical).expect("its one spelling is a book");
    assert_eq!(again, book);
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.version(), book.version());
    let opened = opened();
    let short = quote(&book, &opened, HOUR_NS);
    let long = quote(&book, &opened, 5 * HOUR_NS);
    if let (Ok(short), Ok(long)) = (short, long) {
        assert!(short.total >= Money::default() && long.total >= short.total);
        assert!(long.billed_ns >= short.billed_ns);
    }
    if let Ok(Some(comparison)) = compare(&book, &opened) {
        assert!(comparison.machine < book.machines().len());
    }
});

fn opened() -> Opened {
    Opened {
        group: GroupName {
            namespace: Namespace::new("shop").expect("a namespace"),
            name: Name::new("web").expect("a name"),
        },
        owner: "uid:0".to_owned(),
        tags: BTreeMap::new(),
        images: vec!["r.io/web:1".to_owned()],
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        scheduling: Scheduling::OnDemand,
        isolation: "container".to_owned(),
        allocation: Allocation {
            cpu: MilliCpu(1250),
            memory: Bytes(3 << 29),
            ephemeral: Bytes(1 << 30),
            ports: 2,
            ..Allocation::default()
        },
    }
}
