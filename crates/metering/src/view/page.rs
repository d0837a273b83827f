//! The page, metric by metric.

use std::collections::BTreeMap;

use burstlet_model::GroupUid;

use crate::budget::State;
use crate::ledger::{Status, Syncs};
use crate::rating::Rated;

use super::exposition::{Format, Kind, Page};
use super::series::{Amount, METRICS};
use super::{View, budgets};

/// Bytes that one series takes at most, mostly.
const SERIES_BYTES: usize = 128;
/// Digits behind the point that a single group's cost is shown with.
const GROUP_COST_DIGITS: usize = 12;

/// What is on a page.
pub(super) struct Shown<'a> {
    pub(super) view: &'a View,
    /// What sessions that last come to.
    pub(super) live: &'a BTreeMap<GroupUid, Rated>,
    pub(super) budgets: &'a [State],
    pub(super) ledger: &'a Status,
}

pub(super) fn render(shown: &Shown<'_>, format: Format) -> String {
    let Shown { view, live, .. } = *shown;
    let series = view.shown.len() + 2 * view.groups.len() + live.len();
    let mut page = Page::new(format, (series + METRICS.len()) * SERIES_BYTES);
    totals(&mut page, view);
    groups(&mut page, view, live);
    budgets::render(&mut page, shown.budgets);
    books(&mut page, view);
    meter(&mut page, view);
    ledger_state(&mut page, shown.ledger);
    ledger_syncs(&mut page, &shown.ledger.syncs);
    page.finish()
}

fn totals(page: &mut Page, view: &View) {
    for shown in METRICS {
        page.metric(shown.name, Kind::Counter, shown.help);
        for (values, amount) in view.shown.of(shown.metric) {
            let values = values.iter().map(String::as_str);
            let labels: Vec<_> = shown.labels.iter().copied().zip(values).collect();
            page.sample(shown.name, &labels, amount.shown(shown.digits));
        }
    }
}

/// The name of a group is with its cost; the other series have its uid only, as there are many.
fn groups(page: &mut Page, view: &View, live: &BTreeMap<GroupUid, Rated>) {
    let all = || {
        view.groups.iter().map(|(uid, closed)| {
            let mut sums = closed.clone();
            if let Some(rated) = live.get(uid) {
                sums.add(rated);
            }
            (uid.as_str(), sums)
        })
    };
    let name = "burstlet_group_billed_seconds_total";
    page.metric(name, Kind::Counter, "Time that a group was billed for.");
    for (uid, sums) in all() {
        page.sample(
            name,
            &[("uid", uid)],
            Amount::Count(sums.billed_ns).shown(9),
        );
    }
    let name = "burstlet_group_cost_total";
    page.metric(
        name,
        Kind::Counter,
        "What a group costs, in units of the currency.",
    );
    for (uid, sums) in all() {
        let group = &sums.name;
        let labels = [
            ("namespace", group.namespace.as_str()),
            ("group", group.name.as_str()),
            ("uid", uid),
        ];
        page.sample(name, &labels, sums.cost.shown(GROUP_COST_DIGITS));
    }
    let name = "burstlet_group_info";
    page.metric(
        name,
        Kind::Info,
        "Groups that were asked to run and have not ended.",
    );
    for session in view.sessions.open() {
        let group = &session.opened().group;
        let labels = [
            ("namespace", group.namespace.as_str()),
            ("group", group.name.as_str()),
            ("uid", session.id().uid.as_str()),
            ("state", session.state().as_str()),
        ];
        page.sample(name, &labels, 1);
    }
}

fn books(page: &mut Page, view: &View) {
    let name = "burstlet_price_book_info";
    page.metric(name, Kind::Info, "Price books, by the hash of their text.");
    for shelved in view.shelf.books() {
        let book = &shelved.book;
        let labels = [
            ("book", book.name()),
            ("version", &*book.version().to_string()),
            ("profile", &*book.profile().name),
            ("currency", book.currency()),
        ];
        page.sample(name, &labels, 1);
    }
}

fn meter(page: &mut Page, view: &View) {
    let odd = view.sessions.oddities();
    let name = "burstlet_meter_oddities_total";
    page.metric(
        name,
        Kind::Counter,
        "Records that did not fit those before them.",
    );
    for (kind, count) in [
        ("orphan", odd.orphans),
        ("other_boot", odd.other_boot),
        ("backwards", odd.backwards),
        ("late", odd.late),
    ] {
        page.sample(name, &[("kind", kind)], count);
    }
    let all = [
        (
            "burstlet_meter_retained_groups",
            Kind::Gauge,
            "Groups that have series of their own.",
            view.groups.len() as u64,
        ),
        (
            "burstlet_meter_dropped_series_total",
            Kind::Counter,
            "Ended groups whose series went early, as there were too many.",
            view.groups.dropped(),
        ),
        (
            "burstlet_meter_tag_overflows_total",
            Kind::Counter,
            "Sessions with a tag that had too many values to have a series of its own.",
            view.tags.overflown(),
        ),
    ];
    figures(page, all);
}

/// A number without labels: its name, kind, meaning and value.
type Figure = (&'static str, Kind, &'static str, u64);

fn figures(page: &mut Page, all: impl IntoIterator<Item = Figure>) {
    for (name, kind, help, value) in all {
        page.metric(name, kind, help);
        page.sample(name, &[], value);
    }
}

fn ledger_state(page: &mut Page, ledger: &Status) {
    for group in [chain(ledger), files(ledger), written(ledger)] {
        figures(page, group);
    }
    let commit = u128::try_from(ledger.last_commit.wall.0).unwrap_or(0);
    let commit = Amount::Count(commit).shown(9);
    let name = "burstlet_ledger_last_commit_timestamp_seconds";
    page.metric(name, Kind::Gauge, "When the last record was durable.");
    page.sample(name, &[], commit);
}

/// Which ledger it is, and how far it has come.
fn chain(ledger: &Status) -> [Figure; 3] {
    let head = ledger.head.first_chunk();
    let head = head.map_or(0, |first| u64::from_be_bytes(*first));
    [
        (
            "burstlet_ledger_sequence",
            Kind::Gauge,
            "The last durable record.",
            ledger.seq,
        ),
        (
            "burstlet_ledger_head_hash52",
            Kind::Gauge,
            "The first 52 bits of the chain's head after that record.",
            head >> 12,
        ),
        (
            "burstlet_ledger_epoch",
            Kind::Gauge,
            "How often the ledger was opened.",
            ledger.epoch.into(),
        ),
    ]
}

/// What it has on the disk, and whether it takes more.
fn files(ledger: &Status) -> [Figure; 3] {
    [
        (
            "burstlet_ledger_segments",
            Kind::Gauge,
            "Files of the ledger.",
            ledger.segments,
        ),
        (
            "burstlet_ledger_reserve",
            Kind::Gauge,
            "Whether there is room for the next file, whatever the disk says.",
            ledger.has_reserve.into(),
        ),
        (
            "burstlet_ledger_poisoned",
            Kind::Gauge,
            "Whether the ledger takes nothing any more.",
            ledger.poisoned.is_some().into(),
        ),
    ]
}

/// What this agent has written.
fn written(ledger: &Status) -> [Figure; 3] {
    [
        (
            "burstlet_ledger_records_total",
            Kind::Counter,
            "Records written by this agent.",
            ledger.records,
        ),
        (
            "burstlet_ledger_bytes_total",
            Kind::Counter,
            "Bytes written by this agent.",
            ledger.bytes,
        ),
        (
            "burstlet_ledger_fsync_errors_total",
            Kind::Counter,
            "Writes and syncs that failed.",
            ledger.sync_errors,
        ),
    ]
}

fn ledger_syncs(page: &mut Page, syncs: &Syncs) {
    let name = "burstlet_ledger_fsync_seconds";
    page.metric(
        name,
        Kind::Histogram,
        "How long records took until they were durable.",
    );
    let bucket = "burstlet_ledger_fsync_seconds_bucket";
    let mut count = 0;
    for (bound, more) in Syncs::BOUNDS_NS.iter().zip(syncs.buckets) {
        count += more;
        let bound = Amount::Count(u128::from(*bound)).shown(9).to_string();
        page.sample(bucket, &[("le", &bound)], count);
    }
    page.sample(bucket, &[("le", "+Inf")], syncs.count);
    let sum = Amount::Count(syncs.sum_ns.into()).shown(9);
    page.sample("burstlet_ledger_fsync_seconds_sum", &[], sum);
    page.sample("burstlet_ledger_fsync_seconds_count", &[], syncs.count);
}
