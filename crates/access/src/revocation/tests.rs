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

/// The first day of a year.
fn in_year(year: i32) -> WallTime {
    let seconds = rcgen::date_time_ymd(year, 1, 2).unix_timestamp();
    WallTime(seconds * 1_000_000_000)
}

struct Lists {
    dir: tempfile::TempDir,
    authority: Authority,
}

impl Lists {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            authority: Authority::new("first"),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("revoked.pem")
    }

    fn open(&self, text: &str) -> Result<Revocations, RevocationsError> {
        std::fs::write(self.file(), text).unwrap();
        let authority = self.dir.path().join("authority.pem");
        std::fs::write(&authority, self.authority.0.pem()).unwrap();
        Revocations::open(authority, self.file())
    }
}

#[test]
fn who_is_in_a_list_does_not_stand() {
    let lists = Lists::new();
    let revocations = lists.open(&lists.authority.list(&[7])).unwrap();
    let stands = |serial: u64, year| {
        let certificate = lists.authority.issue(serial);
        revocations.standing(&[certificate]).check(in_year(year))
    };
    stands(8, 2027).unwrap();
    assert!(matches!(stands(7, 2027), Err(NotStanding::Revoked)));
    // What a list of the past does not have may have been taken back since.
    assert!(matches!(stands(8, 2031), Err(NotStanding::OutOfDate)));
}

#[test]
fn a_list_counts_for_its_authority_only() {
    let lists = Lists::new();
    let other = Authority::new("second");
    let revocations = lists.open(&other.list(&[])).unwrap();
    let certificate = lists.authority.issue(8);
    let checked = revocations.standing(&[certificate]).check(in_year(2027));
    assert!(
        matches!(checked, Err(NotStanding::Unproved(_))),
        "{checked:?}"
    );
    let stranger = lists.open(&lists.authority.list(&[])).unwrap();
    let checked = stranger.standing(&[other.issue(8)]).check(in_year(2027));
    assert!(
        matches!(checked, Err(NotStanding::Unproved(_))),
        "{checked:?}"
    );
}

#[test]
fn a_new_authority_counts_with_its_lists() {
    let lists = Lists::new();
    let revocations = lists.open(&lists.authority.list(&[])).unwrap();
    let next = Authority::new("second");
    let certificate = revocations.standing(&[next.issue(8)]);
    certificate.check(in_year(2027)).unwrap_err();
    let both = lists.authority.list(&[]) + &next.list(&[]);
    std::fs::write(lists.file(), both).unwrap();
    let authorities = lists.authority.0.pem() + &next.0.pem();
    std::fs::write(lists.dir.path().join("authority.pem"), authorities).unwrap();
    assert!(revocations.renew().unwrap());
    certificate.check(in_year(2027)).unwrap();
    let old = revocations.standing(&[lists.authority.issue(8)]);
    old.check(in_year(2027)).unwrap();
}

#[tokio::test]
async fn new_lists_are_read_and_broken_ones_leave_those_of_before() {
    let lists = Lists::new();
    let revocations = lists.open(&lists.authority.list(&[])).unwrap();
    let standing = revocations.standing(&[lists.authority.issue(7)]);
    standing.check(in_year(2027)).unwrap();
    assert!(!revocations.renew().unwrap());
    let ended = standing.ended(in_year(2027));
    tokio::pin!(ended);
    assert!(at_once(&mut ended).await.is_none());
    // Whoever renews a file does it so.
    let put = |text: &str| {
        let new = lists.dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, lists.file()).unwrap();
    };
    put(&lists.authority.list(&[7]));
    assert!(revocations.renew().unwrap());
    assert!(matches!(ended.await, NotStanding::Revoked));
    assert!(matches!(
        standing.check(in_year(2027)),
        Err(NotStanding::Revoked)
    ));
    let damaged = lists.authority.list(&[]).replace("-----END", "-----");
    for broken in ["", "no list", &damaged, &lists.authority.0.pem()] {
        put(broken);
        revocations.renew().unwrap_err();
        assert!(matches!(
            standing.check(in_year(2027)),
            Err(NotStanding::Revoked)
        ));
        assert!(lists.open(broken).is_err());
    }
    std::fs::remove_file(lists.file()).unwrap();
    revocations.renew().unwrap_err();
    assert!(matches!(
        standing.check(in_year(2027)),
        Err(NotStanding::Revoked)
    ));
}

/// What a future gives if it is polled once.
async fn at_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = std::future::ready(()) => None,
    }
}
