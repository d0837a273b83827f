//! The log that the agent reads its groups' leases from when it starts: records as lines of JSON, whose
//! checksums are made right. What is taken never gives one address to two groups or one that is not of
//! the subnet, is the same when it is read again, and leaves what is granted next to one group alone.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use burstlet_model::{GroupName, GroupUid, Name, Namespace};
use burstlet_network::fuzzing::Book;
use ipnet::Ipv4Net;
use libfuzzer_sys::fuzz_target;

static DIR: LazyLock<tempfile::TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a place"));
static SUBNET: LazyLock<Ipv4Net> = LazyLock::new(|| "10.9.0.0/28".parse().expect("a subnet"));

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let log: String = text.lines().map(Book::line).collect();
    std::fs::write(DIR.path().join("leases.log"), &log).expect("it can be written");
    let Ok(mut book) = Book::open(DIR.path(), *SUBNET) else {
        return;
    };
    let leases = book.addresses();
    let mut addresses = BTreeSet::new();
    for (uid, address) in &leases {
        let address = address.expect("every group has one");
        assert!(SUBNET.contains(&address), "{uid} has {address}");
        assert!(
            addresses.insert(address),
            "{address} is {uid}'s and another's"
        );
    }
    let group = GroupName {
        namespace: Namespace::new("new").expect("a name"),
        name: Name::new("new").expect("a name"),
    };
    let uid = GroupUid::new("fresh-of-this-run").expect("a uid");
    let is_new = leases.iter().all(|(other, _)| *other != uid);
    if is_new && let Ok(granted) = book.grant(uid.clone(), group) {
        assert!(addresses.insert(granted), "{granted} was given to two");
    }
    let again = Book::open(DIR.path(), *SUBNET).expect("what was taken is taken again");
    assert_eq!(again.addresses(), book.addresses());
});
