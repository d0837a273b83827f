use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    IsCa, KeyIdMethod, KeyPair, RevokedCertParams, SerialNumber,
};

use super::*;

/// Of the lists that the tests make.
const ISSUED_YEAR: i32 = 2026;
const NEXT_YEAR: i32 = 2030;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Lists are found by their authority's name.
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, serial: u64) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.0).unwrap().der().clone()
    }

    /// A list that takes these back.
    fn list(&self, serials: &[u64]) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(ISSUED_YEAR, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(ISSUED_YEAR, 1, 1),
            next_update: rcgen::date_time_ymd(NEXT_YEAR, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// The second day of a year.
fn in_year(year: i32) -> WallTime {
    let seconds = rcgen::date_time_ymd(year, 1, 2).unix_timestamp();
    WallTime(seconds * 1_000_000_000)
}

fn lists(authority: &Authority, text: &str) -> Result<Lists, RevocationsError> {
    Lists::parse(authority.0.pem().as_bytes(), text.as_bytes())
}

/// An authority's lists that are in force, and who renews them.
fn in_force(authority: &Authority, text: &str) -> (watch::Sender<Lists>, Revocations) {
    let renewing = watch::Sender::new(lists(authority, text).unwrap());
    let revocations = Revocations::new(renewing.subscribe());
    (renewing, revocations)
}

#[test]
fn who_is_in_a_list_does_not_stand() {
    let authority = Authority::new("first");
    let (_renewing, revocations) = in_force(&authority, &authority.list(&[7]));
    let stands = |serial: u64, year| {
        let certificate = authority.issue(serial);
        revocations.standing(&[certificate]).check(in_year(year))
    };
    stands(8, 2027).unwrap();
    assert!(matches!(stands(7, 2027), Err(NotStanding::Revoked)));
    // What a list of the past does not have may have been taken back since.
    assert!(matches!(stands(8, 2031), Err(NotStanding::OutOfDate)));
}

#[test]
fn a_list_counts_for_its_authority_only() {
    let (first, other) = (Authority::new("first"), Authority::new("second"));
    for (list, certificate) in [
        (other.list(&[]), first.issue(8)),
        (first.list(&[]), other.issue(8)),
    ] {
        let (_renewing, revocations) = in_force(&first, &list);
        let checked = revocations.standing(&[certificate]).check(in_year(2027));
        assert!(
            matches!(checked, Err(NotStanding::Unproved(_))),
            "{checked:?}"
        );
    }
}

#[test]
fn a_new_authority_counts_with_its_lists() {
    let (first, next) = (Authority::new("first"), Authority::new("second"));
    let (renewing, revocations) = in_force(&first, &first.list(&[]));
    let certificate = revocations.standing(&[next.issue(8)]);
    certificate.check(in_year(2027)).unwrap_err();
    let authorities = first.0.pem() + &next.0.pem();
    let both = first.list(&[]) + &next.list(&[]);
    let both = Lists::parse(authorities.as_bytes(), both.as_bytes()).unwrap();
    renewing.send_replace(both);
    certificate.check(in_year(2027)).unwrap();
    let old = revocations.standing(&[first.issue(8)]);
    old.check(in_year(2027)).unwrap();
}

#[test]
fn what_is_no_list_is_refused() {
    let authority = Authority::new("first");
    let list = authority.list(&[]);
    let damaged = list.replace("-----END", "-----");
    for broken in ["", "no list", &damaged, &authority.0.pem()] {
        lists(&authority, broken).unwrap_err();
    }
    for broken in ["", &list] {
        let parsed = Lists::parse(broken.as_bytes(), list.as_bytes());
        assert!(
            matches!(parsed, Err(RevocationsError::NotAList(_))),
            "{parsed:?}"
        );
    }
}

#[tokio::test]
async fn new_lists_end_who_is_in_them() {
    let authority = Authority::new("first");
    let (renewing, revocations) = in_force(&authority, &authority.list(&[]));
    let standing = revocations.standing(&[authority.issue(7)]);
    let ended = standing.ended(in_year(2027));
    tokio::pin!(ended);
    assert!(at_once(&mut ended).await.is_none());
    renewing.send_replace(lists(&authority, &authority.list(&[7])).unwrap());
    assert!(matches!(ended.await, NotStanding::Revoked));
    assert!(matches!(
        standing.check(in_year(2027)),
        Err(NotStanding::Revoked)
    ));
}

#[tokio::test(start_paused = true)]
async fn lists_that_come_to_their_end_end_who_is_there() {
    let authority = Authority::new("first");
    let (renewing, revocations) = in_force(&authority, &authority.list(&[]));
    let standing = revocations.standing(&[authority.issue(7)]);
    let left = Duration::from_secs(100);
    let end = rcgen::date_time_ymd(NEXT_YEAR, 1, 1).unix_timestamp();
    let now = WallTime((end - left.as_secs().cast_signed()) * 1_000_000_000);
    // Nobody renews them, as when the agent ends.
    drop(renewing);
    let asked = Instant::now();
    assert!(matches!(standing.ended(now).await, NotStanding::OutOfDate));
    let took = asked.elapsed();
    assert!(took >= left && took <= left + LOOK_PERIOD, "{took:?}");
}

/// What a future gives if it is polled once.
async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
