//! What one session adds to the sums.

use crate::book::{BilledStates, Shelf};
use crate::rating::{Rated, RatingError, Timeline, attributes, rate};
use crate::record::Moment;
use crate::sessions::{Session, Window};

use super::series::{Metric, Series, Sums};
use super::tags::Tags;

/// What a session adds to the sums, and to those of its group.
pub(super) struct Contribution {
    pub(super) sums: Sums,
    pub(super) rated: Rated,
}

/// What a session adds, up to `now` while it lasts.
pub(super) fn of(
    session: &Session,
    now: Moment,
    shelf: &Shelf,
    tags: &Tags,
) -> Result<Contribution, RatingError> {
    let rated = rate(&Timeline::of(session, now), shelf, Window::ALL)?;
    let mut sums = Sums::default();
    add_time(&mut sums, session, &rated);
    add_requested(&mut sums, session, now);
    add_used(&mut sums, session);
    add_pulls(&mut sums, session);
    add_costs(&mut sums, session, &rated, shelf);
    add_tags(&mut sums, session, &rated, shelf, tags);
    Ok(Contribution { sums, rated })
}

fn namespace(session: &Session) -> &str {
    session.opened().group.namespace.as_str()
}

fn add_time(sums: &mut Sums, session: &Session, rated: &Rated) {
    let namespace = namespace(session);
    let mut add = |class, ns: u64| {
        let series = Series::new(Metric::BilledSeconds, [namespace, class]);
        sums.count(series, ns.into());
    };
    add("pull", rated.time.pull_ns);
    add("run", rated.time.run_ns);
    add("backoff", rated.time.backoff_ns);
    let unrated = Series::new(Metric::UnratedSeconds, [namespace]);
    sums.count(unrated, rated.unrated_ns.into());
    sums.count(Series::new(Metric::Opened, [namespace]), 1);
    if let Some(closed) = session.closed() {
        let series = Series::new(Metric::Closed, [namespace, closed.reason.as_str()]);
        sums.count(series, 1);
    }
    let gaps = session.gaps().iter();
    let gaps = gaps
        .map(|gap| gap.to.0.saturating_sub(gap.from.0))
        .sum::<u64>();
    sums.count(Series::new(Metric::GapSeconds, [namespace]), gaps.into());
}

fn add_requested(sums: &mut Sums, session: &Session, now: Moment) {
    let namespace = namespace(session);
    let requested = session.quantities(now, |state| BilledStates::Aci.bills(state));
    let kind = attributes(session.opened());
    let labels = [namespace, kind.os, kind.arch, kind.scheduling];
    sums.count(
        Series::new(Metric::CpuRequested, labels),
        requested.cpu_milli_ns,
    );
    sums.count(
        Series::new(Metric::MemoryRequested, labels),
        requested.memory_byte_ns,
    );
    let storage = Series::new(Metric::EphemeralStorage, [namespace]);
    sums.count(storage, requested.ephemeral_byte_ns);
    let volumes = Series::new(Metric::Volumes, [namespace]);
    sums.count(volumes, requested.volume_byte_ns);
    if !kind.gpu_model.is_empty() || requested.gpu_ns > 0 {
        let series = Series::new(Metric::GpuAllocated, [namespace, kind.gpu_model]);
        sums.count(series, requested.gpu_ns);
    }
}

fn add_used(sums: &mut Sums, session: &Session) {
    let (namespace, used) = (namespace(session), session.used());
    let kind = attributes(session.opened());
    let labels = [namespace, kind.os, kind.arch, kind.scheduling];
    sums.count(Series::new(Metric::CpuUsed, labels), used.cpu_us.into());
    sums.count(Series::new(Metric::MemoryUsed, labels), used.memory_byte_ns);
    sums.count(Series::new(Metric::Sent, [namespace]), used.net_sent.into());
    sums.count(
        Series::new(Metric::Received, [namespace]),
        used.net_received.into(),
    );
    let restarts = Series::new(Metric::Restarts, [namespace]);
    sums.count(restarts, session.restarts().into());
}

fn add_pulls(sums: &mut Sums, session: &Session) {
    let namespace = namespace(session);
    for cache in ["hit", "miss"] {
        let is_miss = cache == "miss";
        let pulls = session
            .pulls()
            .iter()
            .filter(|pull| (pull.bytes > 0) == is_miss);
        let (ns, bytes) = pulls.fold((0_u128, 0_u128), |(ns, bytes), pull| {
            (ns + u128::from(pull.ns), bytes + u128::from(pull.bytes))
        });
        sums.count(Series::new(Metric::PullSeconds, [namespace, cache]), ns);
        sums.count(Series::new(Metric::PulledBytes, [namespace, cache]), bytes);
    }
}

fn add_costs(sums: &mut Sums, session: &Session, rated: &Rated, shelf: &Shelf) {
    for charge in &rated.charges {
        let book = &shelf.books()[charge.book].book;
        let sku = &book.skus()[charge.sku].id;
        let labels = [namespace(session), sku, book.currency()];
        sums.cost(Series::new(Metric::Cost, labels), charge.cost);
    }
}

fn add_tags(sums: &mut Sums, session: &Session, rated: &Rated, shelf: &Shelf, tags: &Tags) {
    let currency = shelf.currency().unwrap_or("");
    for (tag, value) in tags.labels(&session.opened().tags) {
        let time = Series::new(Metric::TagSeconds, [tag, value]);
        sums.count(time, rated.time.total_ns().into());
        let cost = Series::new(Metric::TagCost, [tag, value, currency]);
        sums.cost(cost, rated.cost());
    }
}
