//! What the ledger tells, over the wire.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::BTreeMap;

use burstlet_metering::Meter;
use burstlet_metering::book::Book;
use burstlet_metering::budget::{Action, Budget, Period, Scope, Threshold, Unit};
use burstlet_metering::ledger::Shown;
use burstlet_metering::money::Decimal;
use burstlet_metering::record::{
    Allocation, BootId, Close, Fact, Moment, Opened, Record, Scheduling, SessionFact, SessionId,
    State,
};
use burstlet_model::{
    BootTime, Bytes, GroupName, GroupUid, MilliCpu, Name, Namespace, Stamp, WallTime,
};
use burstlet_proto::v1::export_focus_response::Piece;
use burstlet_proto::{Duration, Timestamp, v1};
use burstlet_supervisor::host::Host;
use common::{Edge, manifest, reason};
use tonic::{Code, Status};

const SECOND: u64 = 1_000_000_000;
/// The wall clock's seconds at boot.
const BOOT: i64 = 1_700_000_000;

fn book() -> Book {
    let text = include_str!("../../../runtime-config/books/example.toml");
    Book::parse(&text.replace("2026-01-01", "2020-01-01")).unwrap()
}

/// Tells records, one after the other.
struct Teller<'a>(&'a Meter, u64);

impl Teller<'_> {
    fn tell(&mut self, second: u64, fact: Fact) {
        self.1 += 1;
        let wall = (BOOT + i64::try_from(second).unwrap()) * 1_000_000_000;
        let record = Record {
            seq: self.1,
            epoch: 1,
            salt: [0; 16],
            at: Moment {
                stamp: Stamp {
                    boot: BootTime(second * SECOND),
                    wall: WallTime(wall),
                },
                ..Moment::default()
            },
            fact,
        };
        self.0.apply(Shown::Record(&record)).unwrap();
    }

    /// A group that ran from one second to another.
    fn ran(&mut self, namespace: &str, span: (u64, u64)) {
        self.ran_as(namespace, namespace, span);
    }

    fn ran_as(&mut self, uid: &str, namespace: &str, (from, to): (u64, u64)) {
        let id = SessionId {
            uid: GroupUid::new(uid).unwrap(),
            start: 1,
        };
        let opened = Opened {
            group: GroupName {
                namespace: Namespace::new(namespace).unwrap(),
                name: Name::new("web").unwrap(),
            },
            owner: String::new(),
            tags: BTreeMap::from([("team".to_owned(), namespace.to_owned())]),
            images: Vec::new(),
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            scheduling: Scheduling::OnDemand,
            isolation: "container".to_owned(),
            allocation: Allocation {
                cpu: MilliCpu(2000),
                memory: Bytes(4_000_000_000),
                ..Allocation::default()
            },
        };
        for (second, fact) in [
            (from, SessionFact::Opened(Box::new(opened))),
            (from, SessionFact::Entered(State::Running)),
            (to, SessionFact::Closed(Close::Succeeded)),
        ] {
            let id = id.clone();
            self.tell(second, Fact::Session { id, fact });
        }
    }
}

/// A node on which two groups ran, for 100 and for 50 seconds.
async fn edge() -> Edge {
    let edge = Edge::start().await;
    let mut teller = Teller(&edge.meter, 0);
    teller.tell(1, Fact::BookInstalled(book().to_record()));
    teller.ran("team-a", (10, 110));
    teller.ran("team-b", (100, 150));
    edge
}

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: BOOT + second,
        nanos: 0,
    })
}

#[tokio::test]
async fn usage_is_told_apart_and_summed() {
    let mut edge = edge().await;
    let by = vec!["namespace".to_owned(), "tag:TEAM".to_owned()];
    let request = v1::UsageRequest {
        by,
        ..v1::UsageRequest::default()
    };
    let answer = edge.metering.usage(request).await.unwrap().into_inner();
    let rows: Vec<_> = answer
        .rows
        .iter()
        .map(|row| (row.keys.join(" "), &*row.cost))
        .collect();
    assert_eq!(
        rows,
        [
            ("team-a team-a".to_owned(), "0.0027444"),
            ("team-b team-b".to_owned(), "0.0013722")
        ]
    );
    let total = answer.total.unwrap();
    assert_eq!((&*total.cost, &*total.billed_seconds), ("0.0041166", "150"));
    assert_eq!(total.cpu_requested_core_seconds, "300");
    let cpu = total
        .charges
        .iter()
        .find(|charge| charge.sku == "cpu")
        .unwrap();
    assert_eq!(
        (&*cpu.quantity, &*cpu.price, &*cpu.cost),
        ("300", "0.00001125", "0.003375")
    );
    assert_eq!(answer.currency, "USD");
    assert_eq!(answer.ledger.unwrap().head.len(), 64);
}

#[tokio::test]
async fn windows_and_filters_narrow_the_answer() {
    let mut edge = edge().await;
    let request = v1::UsageRequest {
        since: at(100),
        until: at(120),
        ..v1::UsageRequest::default()
    };
    let answer = edge.metering.usage(request).await.unwrap().into_inner();
    assert_eq!(answer.total.unwrap().billed_seconds, "30");
    let request = v1::UsageRequest {
        tags: BTreeMap::from([("team".to_owned(), "team-b".to_owned())]),
        ..v1::UsageRequest::default()
    };
    let answer = edge.metering.usage(request).await.unwrap().into_inner();
    assert_eq!(answer.total.unwrap().billed_seconds, "50");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_its_field() {
    let mut edge = edge().await;
    for (request, field) in [
        (
            v1::UsageRequest {
                by: vec!["pod".to_owned()],
                ..Default::default()
            },
            "by",
        ),
        (
            v1::UsageRequest {
                by: vec!["uid".to_owned(); 9],
                ..Default::default()
            },
            "by",
        ),
        (
            v1::UsageRequest {
                uid: "A".to_owned(),
                ..Default::default()
            },
            "uid",
        ),
        (
            v1::UsageRequest {
                since: at(2),
                until: at(1),
                ..Default::default()
            },
            "until",
        ),
        (
            v1::UsageRequest {
                since: Some(Timestamp {
                    seconds: i64::MAX,
                    nanos: 0,
                }),
                ..Default::default()
            },
            "since",
        ),
    ] {
        let status = edge.metering.usage(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(field), "{status:?}");
    }
}

#[tokio::test]
async fn a_quote_is_by_the_book_in_force() {
    let mut edge = edge().await;
    let group = r#"{"apiVersion": "burstlet.dev/v1", "kind": "ContainerGroup",
        "metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox:1",
        "resources": {"requests": {"cpu": "2", "memory": "4G"}}}]}}"#;
    let request = |duration| v1::QuoteRequest {
        definition: Some(manifest(group)),
        duration,
    };
    let hour = edge
        .metering
        .quote(request(None))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (&*hour.cost, &*hour.hourly_cost),
        ("0.0987984", "0.0987984")
    );
    let machine = hour.machine.unwrap();
    assert_eq!(machine.name, "machine-2-8");
    assert_eq!(machine.hours_per_day, "23.320215711995335956");
    let short = Some(Duration {
        seconds: 1,
        nanos: 500_000_000,
    });
    let short = edge
        .metering
        .quote(request(short))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (&*short.cost, &*short.billed_seconds),
        ("0.000041166", "1.5")
    );
    let negative = Some(Duration {
        seconds: -1,
        nanos: 0,
    });
    let status = edge.metering.quote(request(negative)).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn devices_are_quoted_by_their_number() {
    let mut edge = edge().await;
    let group = r#"{"apiVersion": "burstlet.dev/v1", "kind": "ContainerGroup",
        "metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "busybox:1",
        "resources": {"limits": {"example.com/gpu": "2"}}}]}}"#;
    let request = v1::QuoteRequest {
        definition: Some(manifest(group)),
        duration: None,
    };
    let quote = edge.metering.quote(request).await.unwrap().into_inner();
    let gpu = quote.charges.iter().find(|charge| charge.sku == "gpu");
    let gpu = gpu.unwrap();
    assert_eq!(
        (&*gpu.quantity, &*gpu.unit, &*gpu.cost),
        ("7200", "Device-Second", "1.44")
    );
    let devices = quote.billed.unwrap().devices;
    assert_eq!(devices, BTreeMap::from([(common::GPU.to_owned(), 2)]));
}

/// Groups that are created then are charged by it, so that is what they are told.
#[tokio::test]
async fn a_clock_that_is_set_back_before_the_first_book_leaves_it_in_force() {
    let mut edge = edge().await;
    let request = || v1::QuoteRequest {
        definition: Some(manifest(&common::plain("web"))),
        duration: None,
    };
    let before = edge.metering.quote(request()).await.unwrap();
    edge.host.step_clock(-50 * 365 * 24 * 3_600_000_000_000);
    let after = edge.metering.quote(request()).await.unwrap();
    assert_eq!(after.into_inner(), before.into_inner());
    let books = edge.metering.price_books(v1::PriceBooksRequest {});
    let books = books.await.unwrap().into_inner().books;
    assert_eq!(books.len(), 1);
    assert!(books[0].in_force, "{books:?}");
}

#[tokio::test]
async fn a_group_s_status_says_what_it_costs() {
    let mut edge = Edge::start().await;
    let cost = |group: v1::ContainerGroup| group.status.unwrap().cost;
    let free = edge.run("web").await;
    let uid = free.metadata.clone().unwrap().uid;
    assert_eq!(cost(free), None, "without a book nobody knows");
    let mut teller = Teller(&edge.meter, 0);
    teller.tell(1, Fact::BookInstalled(book().to_record()));
    teller.ran_as(&uid, "default", (10, 110));
    let get = v1::GetRequest {
        group: common::group("web"),
    };
    let costs = cost(edge.groups.get(get).await.unwrap().into_inner());
    let expected = v1::GroupCost {
        cost: "0.0027444".to_owned(),
        hourly_cost: "0".to_owned(),
        currency: "USD".to_owned(),
        billed_seconds: "100".to_owned(),
    };
    assert_eq!(costs, Some(expected.clone()));
    let listed = edge.groups.list(v1::ListRequest::default()).await;
    let listed = listed.unwrap().into_inner().groups;
    assert_eq!(cost(listed[0].clone()), Some(expected));
}

#[tokio::test]
async fn budgets_say_how_they_stand() {
    let budget = |name: &str, scope| Budget {
        name: name.to_owned(),
        scope,
        unit: Unit::CoreSeconds,
        limit: Decimal::parse("150").unwrap(),
        period: Period::Month,
        thresholds: vec![
            Threshold {
                percent: 200,
                action: Action::Stop { grace_s: 7 },
            },
            Threshold {
                percent: 100,
                action: Action::RefuseNew,
            },
        ],
    };
    let tag = Scope::Tag {
        key: "TEAM".to_owned(),
        value: "team-b".to_owned(),
    };
    let budgets = vec![budget("all", Scope::All), budget("b", tag)];
    let mut edge = Edge::with_meter(Meter::new(BootId::default(), [], budgets)).await;
    // The sessions are of the period that the host's clock is in.
    let now = u64::try_from(edge.host.now().wall.unix_s() - BOOT).unwrap();
    let mut teller = Teller(&edge.meter, 0);
    teller.ran("team-a", (now, now + 100));
    teller.ran("team-b", (now, now + 50));
    let all = v1::BudgetsRequest::default();
    let answer = edge.metering.budgets(all).await.unwrap().into_inner();
    let shown: Vec<_> = answer
        .budgets
        .iter()
        .map(|b| (&*b.name, &*b.spent, &*b.unit, &*b.tag_value, &*b.action))
        .collect();
    let expected = [
        ("all", "300", "core-seconds", "", "stop"),
        ("b", "100", "core-seconds", "team-b", ""),
    ];
    assert_eq!(shown, expected);
    let steps = &answer.budgets[0].thresholds;
    let steps: Vec<_> = steps
        .iter()
        .map(|t| (t.percent, &*t.action, t.grace_seconds, t.reached))
        .collect();
    assert_eq!(
        steps,
        [(100, "refuse-new", 0, true), (200, "stop", 7, true)]
    );
    let one = |name: &str| v1::BudgetsRequest {
        name: name.to_owned(),
    };
    let b = edge.metering.budgets(one("b")).await.unwrap().into_inner();
    assert_eq!(b.budgets.len(), 1);
    let status = edge.metering.budgets(one("c")).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::NotFound, "BudgetNotFound")
    );
}

#[tokio::test]
async fn without_a_book_there_is_no_quote() {
    let mut edge = Edge::start().await;
    let request = v1::QuoteRequest {
        definition: Some(manifest(&common::plain("web"))),
        duration: None,
    };
    let status = edge.metering.quote(request).await.unwrap_err();
    assert_eq!(
        (status.code(), &*reason(&status)),
        (Code::FailedPrecondition, "NoPriceBook")
    );
}

async fn export(edge: &mut Edge, format: i32) -> Result<Vec<u8>, Status> {
    let request = v1::ExportFocusRequest {
        format,
        ..v1::ExportFocusRequest::default()
    };
    let mut pieces = edge.metering.export_focus(request).await?.into_inner();
    let mut file = Vec::new();
    while let Some(piece) = pieces.message().await? {
        let (Piece::Csv(piece) | Piece::Parquet(piece)) = piece.piece.unwrap();
        file.extend(piece);
    }
    Ok(file)
}

#[tokio::test]
async fn books_and_exports_are_what_the_ledger_has() {
    let mut edge = edge().await;
    let books = edge
        .metering
        .price_books(v1::PriceBooksRequest {})
        .await
        .unwrap()
        .into_inner();
    let [shown] = &books.books[..] else {
        panic!("{books:?}")
    };
    assert_eq!(shown.version, book().version().to_string());
    assert!(shown.in_force);
    assert_eq!(shown.used_from, at(1));
    let csv = String::from_utf8(export(&mut edge, 0).await.unwrap()).unwrap();
    assert_eq!(csv.lines().count(), 1 + 4, "{csv}");
    let parquet = v1::FocusFormat::Parquet.into();
    let parquet = export(&mut edge, parquet).await.unwrap();
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let refused = export(&mut edge, 99).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let head = edge
        .metering
        .head(v1::HeadRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(head.sequence, 0);
}

/// Sums of times that became totals would be too small: they are refused, not guessed.
#[tokio::test]
async fn a_window_that_begins_before_all_sessions_are_there_is_refused() {
    let mut edge = edge().await;
    edge.meter
        .forget(&[], WallTime((BOOT + 120) * 1_000_000_000));
    let mut ask = async |since: Option<Timestamp>| {
        let request = v1::UsageRequest {
            since,
            ..v1::UsageRequest::default()
        };
        edge.metering.usage(request).await
    };
    let refused = ask(at(50)).await.unwrap_err();
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::OutOfRange, "Retired")
    );
    assert!(
        refused.message().contains("2023-11-14T22:15:20Z"),
        "{refused}"
    );
    let answer = ask(at(120)).await.unwrap().into_inner();
    assert_eq!(answer.ledger.unwrap().complete_since, at(120));
    ask(None).await.unwrap();
}

#[tokio::test]
async fn a_ledger_that_cannot_be_read_is_not_called_whole() {
    let mut edge = edge().await;
    let asked = edge.metering.verify(v1::VerifyRequest::default()).await;
    assert_eq!(reason(&asked.unwrap_err()), "LedgerUnreadable");
    let head = "12".to_owned();
    let heads = vec![v1::PublishedHead { sequence: 1, head }];
    let asked = edge.metering.verify(v1::VerifyRequest { heads }).await;
    assert_eq!(asked.unwrap_err().code(), Code::InvalidArgument);
}
