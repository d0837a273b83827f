//! `usage`: what groups had and used, and what it cost; how much of it was too much; and how long
//! they ran of the time that they were to.

mod availability;
mod sums;
mod waste;

use anyhow::Result;
use burstlet_proto::v1::{UsageResponse, UsageRow};

use crate::billing::{Format, OutputArgs, Scope, csv};
use crate::client::Client;
use crate::error::Exit;
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `usage`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// What was set aside beside what was used, and the requests that would have been enough
    #[arg(long)]
    waste: bool,
    /// How long groups ran of the time in which they were to
    #[arg(long, conflicts_with = "waste")]
    availability: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is told of each row.
struct Sheet {
    /// For people: rounded.
    headings: &'static [&'static str],
    cells: fn(&UsageRow, &str) -> Vec<String>,
    seldom: Option<Seldom>,
    /// For spreadsheets: every digit.
    exact_headings: &'static [&'static str],
    exact_cells: fn(&UsageRow, &str) -> Vec<String>,
}

/// A column that is left out unless some row has something in it.
struct Seldom {
    heading: &'static str,
    is_had: fn(&UsageRow) -> bool,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let answer = args.scope.ask(client).await?;
    let sheet = match (args.waste, args.availability) {
        (true, _) => waste::SHEET,
        (false, true) => availability::SHEET,
        (false, false) => sums::SHEET,
    };
    let by = args.scope.by();
    print(render(&answer, &by, &sheet, args.output.output)?)?;
    Ok(Exit::SUCCESS)
}

fn render(answer: &UsageResponse, by: &[String], sheet: &Sheet, format: Format) -> Result<String> {
    match format {
        Format::Json => json_text(answer),
        Format::Csv => Ok(csv(&exact(answer, by, sheet))),
        Format::Table => Ok(table(answer, by, sheet)),
    }
}

fn table(answer: &UsageResponse, by: &[String], sheet: &Sheet) -> String {
    let mut heading: Vec<String> = by.iter().map(|word| word.to_uppercase()).collect();
    heading.extend(sheet.headings.iter().map(|word| (*word).to_owned()));
    let mut table = Table::of(heading);
    let line = |keys: Vec<String>, row: &UsageRow| {
        let cells = (sheet.cells)(row, &answer.currency);
        keys.into_iter().chain(cells).collect::<Vec<_>>()
    };
    for row in &answer.rows {
        table.row(line(row.keys.clone(), row));
    }
    if let (Some(total), true) = (&answer.total, answer.rows.len() > 1) {
        let mut keys = vec![String::new(); by.len()];
        if let Some(first) = keys.first_mut() {
            "total".clone_into(first);
        }
        table.row(line(keys, total));
    }
    if let Some(Seldom { heading, is_had }) = &sheet.seldom
        && !answer.rows.iter().any(is_had)
    {
        table = table.without(&[*heading]);
    }
    table.render("")
}

fn exact(answer: &UsageResponse, by: &[String], sheet: &Sheet) -> Vec<Vec<String>> {
    let headings = sheet.exact_headings.iter().map(|word| (*word).to_owned());
    let mut rows = vec![by.iter().cloned().chain(headings).collect()];
    for row in &answer.rows {
        let cells = (sheet.exact_cells)(row, &answer.currency);
        rows.push(row.keys.iter().cloned().chain(cells).collect());
    }
    rows
}

/// How much of a whole a part is, for people.
fn share(part: &str, whole: &str, digits: usize) -> String {
    match (part.parse::<f64>(), whole.parse::<f64>()) {
        (Ok(part), Ok(whole)) if whole > 0.0 => format!("{:.digits$}%", 100.0 * part / whole),
        _ => String::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::cmd::fixtures::usage;

    #[test]
    fn people_get_a_table_and_spreadsheets_every_digit() {
        let by = ["namespace".to_owned()];
        let show = |sheet: &Sheet, format| {
            let text = render(&usage(), &by, sheet, format).unwrap();
            text.replace("\r\n", "\n")
        };
        insta::assert_snapshot!("usage", show(&sums::SHEET, Format::Table));
        let mut without = usage();
        for row in &mut without.rows {
            "0".clone_into(&mut row.device_requested_seconds);
        }
        let text = render(&without, &by, &sums::SHEET, Format::Table).unwrap();
        assert!(!text.contains("DEVICE-SECONDS"), "{text}");
        insta::assert_snapshot!("usage_csv", show(&sums::SHEET, Format::Csv));
        insta::assert_snapshot!("usage_json", show(&sums::SHEET, Format::Json));
        insta::assert_snapshot!("waste", show(&waste::SHEET, Format::Table));
        insta::assert_snapshot!("waste_csv", show(&waste::SHEET, Format::Csv));
        insta::assert_snapshot!("availability", show(&availability::SHEET, Format::Table));
        insta::assert_snapshot!("availability_csv", show(&availability::SHEET, Format::Csv));
    }
}
