//! `quote`: what groups would cost, before they run.

use std::time::Duration;

use anyhow::{Context, Result};
use burstlet_proto::v1::{QuoteRequest, QuoteResponse};
use serde_json::json;

use super::create::definition;
use crate::billing::{Format, OutputArgs, csv, rounded};
use crate::client::Client;
use crate::error::Exit;
use crate::files::FileArgs;
use crate::human::{self, clean};
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `quote`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// How long the groups run
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = human::parse_duration)]
    duration: Duration,
    /// Say how many hours a day the groups may run before a whole machine is cheaper
    #[arg(long)]
    compare: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let mut quotes = Vec::new();
    for document in args.files.read()? {
        let request = QuoteRequest {
            definition: Some(definition(&document.value, client.namespace())),
            duration: Some(pbjson_types::Duration {
                seconds: i64::try_from(args.duration.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(args.duration.subsec_nanos()).unwrap_or_default(),
            }),
        };
        let quote = client.metering().quote(request).await;
        let quote = quote.with_context(|| format!("quote {}", document.place))?;
        quotes.push((document.place, quote.into_inner()));
    }
    print(render(&quotes, args.compare, args.output.output)?)?;
    Ok(Exit::SUCCESS)
}

fn render(quotes: &[(String, QuoteResponse)], compare: bool, format: Format) -> Result<String> {
    match format {
        Format::Json => {
            let quotes = quotes
                .iter()
                .map(|(file, quote)| json!({"file": file, "quote": quote}));
            json_text(&quotes.collect::<Vec<_>>())
        }
        Format::Csv => Ok(csv(&exact(quotes))),
        Format::Table => Ok(quotes.iter().map(|quote| text(quote, compare)).collect()),
    }
}

fn text((place, quote): &(String, QuoteResponse), compare: bool) -> String {
    let billed = quote.billed.clone().unwrap_or_default();
    let mut table = Table::new(["SKU", "QUANTITY", "UNIT", "PRICE", "COST"]);
    for charge in &quote.charges {
        table.row([
            charge.sku.clone(),
            rounded(&charge.quantity, 3),
            charge.unit.clone(),
            charge.price.clone(),
            rounded(&charge.cost, 6),
        ]);
    }
    let mut text = format!(
        "{place}: {} {} for {}s, then {} an hour (by {})\n",
        rounded(&quote.cost, 6),
        quote.currency,
        rounded(&quote.billed_seconds, 3),
        rounded(&quote.hourly_cost, 6),
        quote.book,
    );
    let devices = billed.devices.iter();
    let devices = devices.map(|(resource, count)| format!(", {count} of {}", clean(resource)));
    text.push_str(&format!(
        "  billed as {} cores, {} of memory{}\n",
        human::cpu(billed.cpu_milli),
        human::bytes(billed.memory_bytes),
        devices.collect::<String>()
    ));
    text.push_str(&table.render("  "));
    if compare {
        text.push_str(&comparison(quote));
    }
    text
}

fn comparison(quote: &QuoteResponse) -> String {
    let Some(machine) = &quote.machine else {
        return "  the price book has no machine that could hold it\n".to_owned();
    };
    let group = rounded(&machine.group_daily_cost, 4);
    let whole = rounded(&machine.machine_daily_cost, 4);
    match machine.hours_per_day.as_str() {
        "24" => format!(
            "  cheaper than {} however long it runs: {group} a day against {whole}\n",
            machine.name
        ),
        hours => format!(
            "  cheaper than {} up to {} hours a day: {group} all day against {whole}\n",
            machine.name,
            rounded(hours, 1)
        ),
    }
}

fn exact(quotes: &[(String, QuoteResponse)]) -> Vec<Vec<String>> {
    let heading = [
        "file", "sku", "quantity", "unit", "price", "cost", "currency",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for (place, quote) in quotes {
        for charge in &quote.charges {
            rows.push(vec![
                place.clone(),
                charge.sku.clone(),
                charge.quantity.clone(),
                charge.unit.clone(),
                charge.price.clone(),
                charge.cost.clone(),
                quote.currency.clone(),
            ]);
        }
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use burstlet_proto::v1::{Amounts, MachineComparison};

    use super::*;
    use crate::cmd::fixtures::charge;

    fn quotes(hours: &str) -> [(String, QuoteResponse); 1] {
        let quote = QuoteResponse {
            cost: "0.0987984".into(),
            currency: "USD".into(),
            charges: vec![charge()],
            billed: Some(Amounts {
                cpu_milli: 2000,
                memory_bytes: 4_000_000_000,
                ephemeral_storage_bytes: 0,
                devices: BTreeMap::from([("example.com/gpu".into(), 2)]),
            }),
            billed_seconds: "3600".into(),
            hourly_cost: "0.0987984".into(),
            machine: Some(MachineComparison {
                name: "machine-2-8".into(),
                machine_daily_cost: "2.304".into(),
                group_daily_cost: "2.3711616".into(),
                hours_per_day: hours.into(),
            }),
            book: "example-2026-01".into(),
            book_version: "ab".into(),
        };
        [("web.yaml".into(), quote)]
    }

    #[test]
    fn people_get_a_price_and_a_comparison() {
        let show = |hours, format| render(&quotes(hours), true, format).unwrap();
        insta::assert_snapshot!("quote", show("23.320215711995335956", Format::Table));
        assert!(show("24", Format::Table).contains("however long it runs"));
        insta::assert_snapshot!("quote_csv", show("24", Format::Csv).replace("\r\n", "\n"));
    }
}
