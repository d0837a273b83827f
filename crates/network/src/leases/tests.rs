use std::collections::HashSet;
use std::num::NonZeroU16;

use burstlet_model::spec::Protocol;
use burstlet_model::{ErrorKind, GroupName, Name, Namespace};
use proptest::prelude::*;

use super::*;
use crate::Isolation;
use crate::lease::{HostPort, PublishedPort};

const QUARANTINE: Duration = Duration::from_secs(60);
const NOW: BootTime = BootTime(0);

fn request(uid: &str) -> LeaseRequest {
    LeaseRequest {
        uid: GroupUid::new(uid).unwrap(),
        group: GroupName {
            namespace: Namespace::new("shop").unwrap(),
            name: Name::new(uid).unwrap(),
        },
        isolation: Isolation::Namespace,
        ports: Vec::new(),
    }
}

fn with_port(uid: &str, ip: Option<&str>, protocol: Protocol, port: u16) -> LeaseRequest {
    let host = HostPort {
        ip: ip.map(|ip| ip.parse().unwrap()),
        protocol,
        port: NonZeroU16::new(port).unwrap(),
    };
    LeaseRequest {
        ports: vec![PublishedPort {
            host,
            container_port: 80,
        }],
        ..request(uid)
    }
}

fn open(dir: &Path, subnet: &str) -> Result<Leases, NetworkError> {
    Leases::open(dir, Some((subnet.parse().unwrap(), QUARANTINE)), NOW)
}

fn grant(leases: &mut Leases, uid: &str) -> Lease {
    leases.grant(&request(uid), NOW).unwrap().0
}

#[test]
fn a_lease_is_the_groups_for_life() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/28").unwrap();
    let first = grant(&mut leases, "a");
    assert_eq!(
        leases.grant(&request("a"), NOW).unwrap(),
        (first.clone(), Granted::Already)
    );
    grant(&mut leases, "b");
    drop(leases);
    let leases = open(dir.path(), "10.0.0.0/28").unwrap();
    assert_eq!(leases.get(&first.uid), Some(&first));
    assert_eq!(leases.all().count(), 2);
}

#[test]
fn another_request_for_the_same_group_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/28").unwrap();
    grant(&mut leases, "a");
    let other = LeaseRequest {
        isolation: Isolation::Open,
        ..request("a")
    };
    let error = leases.grant(&other, NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FailedPrecondition);
}

#[test]
fn ports_lead_to_one_group() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/28").unwrap();
    leases
        .grant(&with_port("a", None, Protocol::Tcp, 80), NOW)
        .unwrap();
    leases
        .grant(&with_port("b", Some("192.0.2.1"), Protocol::Udp, 80), NOW)
        .unwrap();
    leases
        .grant(&with_port("c", Some("192.0.2.2"), Protocol::Udp, 80), NOW)
        .unwrap();
    for (ip, protocol, by) in [
        (None, Protocol::Tcp, "a"),
        (Some("192.0.2.1"), Protocol::Tcp, "a"),
        (Some("192.0.2.1"), Protocol::Udp, "b"),
        (None, Protocol::Udp, "b"),
    ] {
        let error = leases
            .grant(&with_port("z", ip, protocol, 80), NOW)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        assert!(
            error
                .to_string()
                .ends_with(&format!("published by group {by}")),
            "{error}"
        );
    }
    leases.release(&GroupUid::new("a").unwrap(), NOW).unwrap();
    leases
        .grant(&with_port("z", None, Protocol::Tcp, 80), NOW)
        .unwrap();
    let mut twice = with_port("y", None, Protocol::Sctp, 80);
    twice.ports.extend_from_within(..);
    assert_eq!(
        leases.grant(&twice, NOW).unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
}

#[test]
fn exhaustion_is_told_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/30").unwrap();
    let only = grant(&mut leases, "a");
    let error = leases.grant(&request("b"), NOW).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ResourceExhausted);
    leases.release(&only.uid, NOW).unwrap();
    assert_eq!(
        leases.grant(&request("b"), NOW).unwrap_err().kind(),
        ErrorKind::ResourceExhausted
    );
    let later = NOW + QUARANTINE;
    assert_eq!(
        leases.grant(&request("b"), later).unwrap().0.address,
        only.address
    );
}

#[test]
fn quarantine_outlives_a_restart_and_a_rewrite() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/30").unwrap();
    let only = grant(&mut leases, "a");
    leases.release(&only.uid, NOW).unwrap();
    for _ in 0..2 {
        leases.compact(NOW).unwrap();
        leases = open(dir.path(), "10.0.0.0/30").unwrap();
        assert!(leases.grant(&request("b"), NOW).is_err());
    }
    assert!(leases.grant(&request("b"), NOW + QUARANTINE).is_ok());
}

#[test]
fn an_address_that_is_held_does_not_rest() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/28").unwrap();
    let address = grant(&mut leases, "a").address.unwrap();
    leases.log.append(&Record::Resting(address)).unwrap();
    drop(leases);
    let error = open(dir.path(), "10.0.0.0/28").unwrap_err();
    assert!(
        matches!(error, NetworkError::LeasesCorrupt { line: 2, .. }),
        "{error:?}"
    );
}

#[test]
fn the_log_does_not_grow_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut leases = open(dir.path(), "10.0.0.0/16").unwrap();
    let kept = grant(&mut leases, "kept");
    for n in 0..LOG_SLACK_RECORDS {
        let lease = grant(&mut leases, &format!("g{n}"));
        leases.release(&lease.uid, BootTime(0)).unwrap();
    }
    assert!(leases.log.records() <= 2 * LOG_SLACK_RECORDS);
    drop(leases);
    let leases = open(dir.path(), "10.0.0.0/16").unwrap();
    assert_eq!(leases.all().collect::<Vec<_>>(), [&kept]);
}

#[test]
fn a_subnet_that_does_not_fit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let lease = grant(&mut open(dir.path(), "10.0.0.0/28").unwrap(), "a");
    let error = open(dir.path(), "10.1.0.0/28").unwrap_err();
    assert!(
        matches!(error, NetworkError::LeaseOutsideSubnet { .. }),
        "{error}"
    );
    let error = Leases::open(dir.path(), None, NOW).unwrap_err();
    assert!(
        matches!(error, NetworkError::LeaseOfOtherMode(_)),
        "{error}"
    );
    let mut leases = open(dir.path(), "10.0.0.0/28").unwrap();
    leases.release(&lease.uid, NOW).unwrap();
    drop(leases);
    assert!(open(dir.path(), "10.1.0.0/28").is_ok());
}

/// A log with leases of `a` to `e`, `b` released.
fn sample(dir: &Path) -> Vec<u8> {
    let mut leases = open(dir, "10.0.0.0/28").unwrap();
    for uid in ["a", "b", "c"] {
        grant(&mut leases, uid);
    }
    leases.release(&GroupUid::new("b").unwrap(), NOW).unwrap();
    leases
        .grant(&with_port("d", Some("::1"), Protocol::Sctp, 9), NOW)
        .unwrap();
    grant(&mut leases, "e");
    std::fs::read(dir.join("leases.log")).unwrap()
}

/// Wherever a crash cuts the log (between records, or within the last ones), it opens, and what was acknowledged before the cut is there.
#[test]
fn a_crash_at_each_byte() {
    let dir = tempfile::tempdir().unwrap();
    let whole = sample(dir.path());
    let last_two = whole
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap_or(0)
        .saturating_sub(300);
    let ends = (0..=last_two).filter(|at| *at == 0 || whole[at - 1] == b'\n');
    for cut in ends.chain(last_two..=whole.len()) {
        std::fs::write(dir.path().join("leases.log"), &whole[..cut]).unwrap();
        let mut leases = open(dir.path(), "10.0.0.0/28").unwrap();
        let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
        let living = [0, 1, 2, 3, 2, 3, 4][lines];
        assert_eq!(leases.all().count(), living, "cut at {cut}");
        grant(&mut leases, "new");
        let addresses: HashSet<_> = leases.all().map(|lease| lease.address).collect();
        assert_eq!(addresses.len(), living + 1);
        drop(leases);
        assert_eq!(
            open(dir.path(), "10.0.0.0/28").unwrap().all().count(),
            living + 1
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A changed byte is never taken for a lease: it is an error, or a torn tail at the very end.
    #[test]
    fn damage_is_noticed(at: prop::sample::Index, bit in 0u8..8) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = sample(dir.path());
        let before: Vec<Lease> = open(dir.path(), "10.0.0.0/28").unwrap().all().cloned().collect();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        std::fs::write(dir.path().join("leases.log"), &bytes).unwrap();
        match open(dir.path(), "10.0.0.0/28") {
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Internal),
            Ok(leases) => {
                prop_assert_eq!(at, bytes.len() - 1);
                prop_assert!(leases.all().all(|lease| before.contains(lease)));
            }
        }
    }
}
