//! What others are told of sessions, one by one: that they opened, ended, what they had and used, and
//! what of them is not known.
//!
//! An event follows from the records up to its own and from nothing else, so that who is told twice is
//! told the same; it is known by its record's place in the ledger. A session's time never changes once
//! it is closed, so what it had can be told whenever somebody asks.

use burstlet_model::WallTime;

use crate::book::{BilledStates, Shelf};
use crate::chain::LedgerId;
use crate::extract::Hex;
use crate::money::decimal;
use crate::rating::{RatingError, Timeline, rate};
use crate::record::{
    Close, Fact, Gap, GapReason, Moment, Opened, Record, SessionFact, SessionId, Used,
};
use crate::sessions::{Session, Window};

/// Fraction digits of nanoseconds in seconds.
const NS_DIGITS: usize = 9;
/// Fraction digits of thousandths of a core times nanoseconds in core-seconds.
const CORE_DIGITS: usize = 12;
/// Fraction digits of microseconds in seconds.
const US_DIGITS: usize = 6;
/// Fraction digits of what a session cost.
const COST_DIGITS: usize = 18;

/// Something that others are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The same for the same event, whenever it is told, and no other's.
    pub id: String,
    /// When it happened.
    pub at: WallTime,
    /// What kind of event it is.
    pub name: &'static str,
    /// The facts by their names.
    pub facts: Vec<(String, Told)>,
}

/// A fact of an event. What may have a fraction, or be very large, is a decimal as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A text, or a decimal.
    Text(String),
    /// A whole number.
    Whole(u64),
}

/// The event that a record is, if it is one. `session` is what is known of its session by now.
///
/// # Errors
/// The session cannot be rated.
pub fn event(
    ledger: LedgerId,
    record: &Record,
    session: Option<&Session>,
    shelf: &Shelf,
) -> Result<Option<Event>, RatingError> {
    let Fact::Session { id, fact } = &record.fact else {
        return Ok(None);
    };
    let (name, facts) = match fact {
        SessionFact::Opened(opened) => ("burstlet.session.opened", opened_facts(opened)),
        SessionFact::Missed(gap) => ("burstlet.session.missed", gap_facts(gap)),
        SessionFact::Used(used) if used.is_final => ("burstlet.session.used", used_facts(used)),
        SessionFact::Closed(close) => {
            let facts = closed_facts(*close, session, shelf)?;
            ("burstlet.session.closed", facts)
        }
        _ => return Ok(None),
    };
    let mut all = session_facts(id, session);
    all.extend(facts);
    let owned = |(key, told): (&str, Told)| (format!("burstlet.{key}"), told);
    Ok(Some(Event {
        id: format!("{}:{}", Hex(&ledger.0), record.seq),
        at: record.at.stamp.wall,
        name,
        facts: all.into_iter().map(owned).collect(),
    }))
}

type Facts = Vec<(&'static str, Told)>;

fn text(text: impl Into<String>) -> Told {
    Told::Text(text.into())
}

/// Whose session it is.
fn session_facts(id: &SessionId, session: Option<&Session>) -> Facts {
    let mut facts = vec![
        ("session.id", text(id.to_string())),
        ("group.uid", text(id.uid.as_str())),
    ];
    if let Some(session) = session {
        let group = &session.opened().group;
        facts.push(("group.namespace", text(group.namespace.as_str())));
        facts.push(("group.name", text(group.name.as_str())));
    }
    facts
}

fn opened_facts(opened: &Opened) -> Facts {
    let allocation = &opened.allocation;
    let mut facts = vec![
        ("owner", text(&*opened.owner)),
        ("tags", text(crate::focus::tags_json(&opened.tags))),
        ("images", text(opened.images.join(","))),
        (
            "requested.cpu_cores",
            text(decimal(allocation.cpu.0.into(), 3)),
        ),
        ("requested.memory_bytes", Told::Whole(allocation.memory.0)),
        (
            "requested.ephemeral_bytes",
            Told::Whole(allocation.ephemeral.0),
        ),
        ("requested.gpus", Told::Whole(allocation.gpus.into())),
        ("requested.volume_bytes", Told::Whole(allocation.volumes.0)),
    ];
    // Those without devices are told as they were before there were any.
    if allocation.gpus > 0 {
        facts.push(("requested.gpu_model", text(&*allocation.gpu_model)));
    }
    facts
}

fn gap_facts(gap: &Gap) -> Facts {
    let ns = gap.to.0.saturating_sub(gap.from.0);
    let reason = match gap.reason {
        GapReason::KeeperLost => "KeeperLost",
        GapReason::HostRestarted => "HostRestarted",
    };
    vec![
        ("missed.seconds", text(decimal(ns.into(), NS_DIGITS))),
        ("missed.reason", text(reason)),
    ]
}

fn used_facts(used: &Used) -> Facts {
    let memory = decimal(used.memory_byte_ns, NS_DIGITS);
    vec![
        (
            "used.cpu_core_seconds",
            text(decimal(used.cpu_us.into(), US_DIGITS)),
        ),
        ("used.memory_byte_seconds", text(memory)),
        ("used.memory_peak_bytes", Told::Whole(used.memory_peak)),
        ("used.net_received_bytes", Told::Whole(used.net_received)),
        ("used.net_sent_bytes", Told::Whole(used.net_sent)),
    ]
}

/// Why it ended, and what it had and cost.
fn closed_facts(
    close: Close,
    session: Option<&Session>,
    shelf: &Shelf,
) -> Result<Facts, RatingError> {
    let mut facts = vec![("closed.reason", text(close.as_str()))];
    let Some((session, closed)) = session.and_then(|s| Some((s, s.closed()?))) else {
        return Ok(facts);
    };
    let end = Moment {
        boot_id: session.boot_id(),
        stamp: closed.at,
    };
    let had = session.quantities(end, |state| BilledStates::Aci.bills(state));
    let rated = rate(&Timeline::of(session, end), shelf, Window::ALL)?;
    let seconds = decimal(rated.time.total_ns().into(), NS_DIGITS);
    let unrated = decimal(rated.unrated_ns.into(), NS_DIGITS);
    let (cpu, memory) = (
        decimal(had.cpu_milli_ns, CORE_DIGITS),
        decimal(had.memory_byte_ns, NS_DIGITS),
    );
    facts.extend([
        ("billed.seconds", text(seconds)),
        ("unrated.seconds", text(unrated)),
        ("requested.cpu_core_seconds", text(cpu)),
        ("requested.memory_byte_seconds", text(memory)),
        ("cost", text(rated.cost().shown(COST_DIGITS))),
        ("currency", text(shelf.currency().unwrap_or_default())),
    ]);
    if had.gpu_ns > 0 {
        let devices = decimal(had.gpu_ns, NS_DIGITS);
        facts.push(("requested.gpu_device_seconds", text(devices)));
    }
    Ok(facts)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
