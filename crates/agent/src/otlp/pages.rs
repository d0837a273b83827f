//! The pages of the admin port, sent from time to time.

use std::time::Duration;

use burstlet_otlp::{Collector, Patience, Sender, Times, batches, families};
use tokio::time::{MissedTickBehavior, interval};

use super::{Subject, now_ns};
use crate::billing;
use crate::config::Otlp;

/// How often a batch is tried: the next page says the same, and more.
const TRIES: u32 = 3;

/// Sends both pages again and again.
pub(super) async fn follow<C: Collector>(subject: &Subject<'_>, given: &Otlp, sender: &Sender<C>) {
    let started_ns = now_ns();
    let mut ticks = interval(Duration::from_secs(given.interval_s.into()));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for page in pages(subject, started_ns) {
            let read = families(&page.text, page.times);
            match read {
                Ok(families) => {
                    for batch in batches(families) {
                        sender.send(&batch, Patience::Tries(TRIES)).await;
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a page of metrics is not told to the collector");
                }
            }
        }
    }
}

struct Page {
    text: String,
    times: Times,
}

/// What the agent counts began with it; what is billed is as old as the ledger.
fn pages(subject: &Subject<'_>, started_ns: u64) -> Vec<Page> {
    let now_ns = now_ns();
    let of = |text: String, start_ns| Page {
        text,
        times: Times { start_ns, now_ns },
    };
    let mut pages = Vec::new();
    match subject.registry.render() {
        Ok(text) => pages.push(of(text, started_ns)),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "render the metrics for the collector");
        }
    }
    let billing = billing::page(subject.groups.host().metering.meter().clone());
    // Who cannot make the page has told the log why.
    if let Some(page) = (billing.render)(None) {
        pages.push(of(page.body, 0));
    }
    pages
}
