use super::*;
use crate::fixture::{S, Teller, two_groups};
use crate::record::{Samples, SessionFact, State};

fn ask(teller: &Teller, window: Window, filter: &Filter, by: &[&str]) -> Report {
    let by: Vec<_> = by
        .iter()
        .map(|word| Dimension::parse(word).unwrap())
        .collect();
    let view = &teller.view;
    report(
        view.sessions(),
        view.shelf(),
        (teller.now(), window),
        filter,
        &by,
    )
    .unwrap()
}

fn all(teller: &Teller, by: &[&str]) -> Report {
    ask(teller, Window::ALL, &Filter::default(), by)
}

fn keys(report: &Report) -> Vec<String> {
    report.keys().map(|key| key.join(" ")).collect()
}

#[test]
fn sessions_are_told_apart_by_what_is_asked_for() {
    let teller = two_groups();
    for (by, expected) in [
        (&[][..], &[""][..]),
        (&["namespace"], &["team-a", "team-b"]),
        (&["group"], &["team-a/job", "team-b/web"]),
        (&["uid"], &["0-a", "0-b"]),
        (&["owner", "image"], &["ann registry.local/web:1"]),
        (&["tag:CostCenter"], &["4\"2", "42"]),
        (&["tag:none"], &[""]),
    ] {
        assert_eq!(keys(&all(&teller, by)), expected, "{by:?}");
    }
    for word in ["", "tag:", "pod"] {
        assert_eq!(Dimension::parse(word), None, "{word}");
    }
}

#[test]
fn sums_are_those_of_the_records() {
    let report = all(&two_groups(), &["namespace"]);
    let sums = &report[&vec!["team-a".to_owned()]];
    assert_eq!(sums.sessions, 1);
    assert_eq!((sums.time.pull_ns, sums.time.run_ns), (S, 10 * S + 1));
    assert_eq!(sums.requested.cpu_milli_ns, 500 * (11 * u128::from(S) + 1));
    assert_eq!(sums.cpu_used_us, 1_234_567);
    let cpu = sums
        .skus
        .values()
        .find(|sku| sku.unit.to_string() == "Core-Second")
        .unwrap();
    assert_eq!(cpu.cost.to_string(), "0.000061875000005625");
    assert_eq!(sums.cost, sums.skus.values().map(|sku| sku.cost).sum());
}

#[test]
fn filters_take_what_they_name() {
    let teller = two_groups();
    let of = |filter| keys(&ask(&teller, Window::ALL, &filter, &["uid"]));
    let namespace = Some("team-b".to_owned());
    assert_eq!(
        of(Filter {
            namespace,
            ..Filter::default()
        }),
        ["0-b"]
    );
    let group = Some("job".to_owned());
    assert_eq!(
        of(Filter {
            group,
            ..Filter::default()
        }),
        ["0-a"]
    );
    let uid = Some(GroupUid::new("0-a").unwrap());
    assert_eq!(
        of(Filter {
            uid,
            ..Filter::default()
        }),
        ["0-a"]
    );
    let tags = BTreeMap::from([("COSTCENTER".to_owned(), "42".to_owned())]);
    assert_eq!(
        of(Filter {
            tags,
            ..Filter::default()
        }),
        ["0-a"]
    );
}

#[test]
fn windows_add_up() {
    let teller = two_groups();
    let whole = all(&teller, &[]);
    let end = teller.now().stamp.wall.0;
    let cuts = [i64::MIN, end - 9_000_000_000, end - 3, end, i64::MAX];
    let mut cost = Money::ZERO;
    let (mut time, mut cpu) = (0, 0);
    for cut in cuts.windows(2) {
        let window = Window {
            from: WallTime(cut[0]),
            to: WallTime(cut[1]),
        };
        for sums in ask(&teller, window, &Filter::default(), &[]).values() {
            cost = cost + sums.cost;
            time += sums.time.total_ns();
            cpu += sums.cpu_used_us;
        }
    }
    let whole = &whole[&Vec::new()];
    assert_eq!((cost, time), (whole.cost, whole.time.total_ns()));
    assert!(cpu <= whole.cpu_used_us);
}

/// Three hours of half a core each, one core being committed to.
#[test]
fn commitments_are_settled_by_the_hour() {
    let text = "name = 'c'\ncurrency = 'EUR'\neffective_from = '2026-01-01T00:00:00Z'
        [[sku]]\nid = 'cpu'\nmeter = 'cpu'\nunit = 'Core-Hour'\nprice = '0.04'
        [[commitment]]\nid = 'one'\nsku = 'cpu'\namount = '0.25'\nprice = '0.03'";
    let mut teller = Teller::with_book(text);
    teller.of("0-a", crate::fixture::opened("team-a", "job", "42"));
    teller.of("0-a", SessionFact::Entered(State::Running));
    teller.wait(3 * 3600 * S);
    let view = &teller.view;
    let settled = |window| {
        let sums = commitments(view.sessions(), view.shelf(), teller.now(), window).unwrap();
        sums.into_iter().next()
    };
    // The book came a second after the hour had begun, and the fourth hour is not over.
    let whole = settled(Window::ALL).unwrap();
    assert_eq!((whole.hours, &*whole.id, &*whole.sku), (2, "one", "cpu"));
    assert_eq!(whole.covered, whole.committed);
    assert_eq!(
        (whole.fee.to_string(), whole.credit.to_string()),
        ("0.015".into(), "0.02".into())
    );
    let begin = teller.now().stamp.wall.0 - 2 * 3600 * 1_000_000_000;
    let one = Window {
        from: WallTime(begin),
        to: Window::ALL.to,
    };
    assert_eq!(settled(one).unwrap().hours, 1);
}

#[test]
fn groups_are_asked_for_from_their_admission_and_run_while_a_process_does() {
    let mut teller = two_groups();
    // team-b's group waits to be started again for five seconds, and is ended in two.
    teller.of("0-b", SessionFact::Entered(State::BackOff));
    teller.wait(5 * S);
    teller.of("0-b", SessionFact::Entered(State::Terminating));
    teller.wait(2 * S);
    let report = all(&teller, &["namespace"]);
    let presence = |namespace: &str| {
        let sums = &report[&vec![namespace.to_owned()]];
        (sums.asked_ns, sums.running_ns)
    };
    let s = u128::from(S);
    // Half a second in the queue, one of pulling, ten of running.
    assert_eq!(presence("team-a"), (11 * s + s / 2 + 1, 10 * s + 1));
    assert_eq!(presence("team-b"), (15 * s + 1, 10 * s + 1));
}

#[test]
fn samples_of_groups_are_counted_together() {
    let mut teller = two_groups();
    let mut sampled = Samples::default();
    for milli in [1, 2, 300] {
        sampled.cpu.count(milli);
    }
    teller.of("0-a", SessionFact::Sampled(sampled.clone()));
    teller.of("0-b", SessionFact::Sampled(sampled.clone()));
    let both = &all(&teller, &[])[&vec![]];
    assert_eq!(both.samples.cpu.total(), 6);
    assert_eq!(both.samples.cpu.percentile(50), Some(2));
    // The hour that is over has none of them.
    let hour = 3600 * i64::try_from(S).unwrap();
    let now = teller.now().stamp.wall.0;
    let window = Window {
        from: WallTime(now - 3 * hour),
        to: WallTime(now - 2 * hour),
    };
    assert!(ask(&teller, window, &Filter::default(), &[]).is_empty());
}
