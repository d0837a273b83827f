//! `bill`: what groups cost, price by price; or the bill as other programs read it.

use std::io::{self, IsTerminal};

use anyhow::{Context, Result, bail};
use burstlet_proto::v1::export_focus_response::Piece;
use burstlet_proto::v1::{Charge, ExportFocusRequest, FocusFormat, UsageResponse};
use clap::ValueEnum;

use crate::billing::{Format, OutputArgs, Scope, csv, rounded};
use crate::client::Client;
use crate::error::{Exit, UsageError};
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `bill`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    scope: Scope,
    /// Write the whole node's bill in the form of FOCUS 1.4, one row for each hour, session and
    /// price: as CSV, or as Parquet to a file or a pipe
    #[arg(
        long,
        value_name = "FORM",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "csv",
        conflicts_with_all = ["name", "by", "tags", "output"]
    )]
    focus: Option<FocusForm>,
    #[command(flatten)]
    output: OutputArgs,
}

/// What the bill is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FocusForm {
    /// A line for each row
    Csv,
    /// Columns with types, for programs
    Parquet,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    if let Some(form) = args.focus {
        return focus(&args.scope, form, client).await;
    }
    let answer = args.scope.ask(client).await?;
    print(render(&answer, &args.scope.by(), args.output.output)?)?;
    Ok(Exit::SUCCESS)
}

async fn focus(scope: &Scope, form: FocusForm, client: &Client) -> Result<Exit> {
    if form == FocusForm::Parquet && io::stdout().is_terminal() {
        let problem = "Parquet is not for terminals: send it to a file, as in `--focus=parquet >bill.parquet`";
        bail!(UsageError(problem.to_owned()));
    }
    let (since, until) = scope.window()?;
    let format = match form {
        FocusForm::Csv => FocusFormat::Csv,
        FocusForm::Parquet => FocusFormat::Parquet,
    };
    let request = ExportFocusRequest {
        since,
        until,
        format: format.into(),
    };
    let answer = client.metering().export_focus(request).await;
    let mut pieces = answer.context("export the bill")?.into_inner();
    while let Some(piece) = pieces.message().await.context("export the bill")? {
        if let Some(Piece::Csv(bytes) | Piece::Parquet(bytes)) = piece.piece {
            print(bytes)?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn render(answer: &UsageResponse, by: &[String], format: Format) -> Result<String> {
    match format {
        Format::Json => json_text(answer),
        Format::Csv => Ok(csv(&exact(answer, by))),
        Format::Table => Ok(table(answer, by)),
    }
}

fn table(answer: &UsageResponse, by: &[String]) -> String {
    let mut heading: Vec<String> = by.iter().map(|word| word.to_uppercase()).collect();
    heading.extend(["SKU", "QUANTITY", "UNIT", "PRICE", "COST"].map(str::to_owned));
    let mut table = Table::of(heading);
    for row in &answer.rows {
        for charge in &row.charges {
            let cells = [
                charge.sku.clone(),
                rounded(&charge.quantity, 3),
                charge.unit.clone(),
                charge.price.clone(),
                rounded(&charge.cost, 6),
            ];
            table.row(row.keys.iter().cloned().chain(cells));
        }
    }
    let cost = answer.total.as_ref().map_or("0", |total| &total.cost);
    let unrated = answer
        .total
        .as_ref()
        .map_or("0", |total| &total.unrated_seconds);
    let mut text = table.render("");
    text.push_str(&format!(
        "\nTotal: {} {}\n",
        rounded(cost, 6),
        answer.currency
    ));
    for sum in &answer.commitments {
        text.push_str(&format!(
            "Commitment {}: {} of {} {} used, {} for {} on demand\n",
            sum.name,
            rounded(&sum.covered, 3),
            rounded(&sum.committed, 3),
            sum.unit,
            rounded(&sum.fee, 6),
            rounded(&sum.credit, 6),
        ));
    }
    if !answer.commitments.is_empty() {
        text.push_str(&format!(
            "Due: {} {}\n",
            rounded(&answer.due, 6),
            answer.currency
        ));
    }
    if unrated != "0" {
        text.push_str(&format!("Without a price: {}s\n", rounded(unrated, 3)));
    }
    text
}

fn exact(answer: &UsageResponse, by: &[String]) -> Vec<Vec<String>> {
    let headings = [
        "sku",
        "book",
        "book_version",
        "quantity",
        "unit",
        "price",
        "cost",
        "currency",
    ];
    let heading = by.iter().cloned().chain(headings.map(str::to_owned));
    let mut rows = vec![heading.collect::<Vec<_>>()];
    let cells = |charge: &Charge| {
        [
            charge.sku.clone(),
            charge.book.clone(),
            charge.book_version.clone(),
            charge.quantity.clone(),
            charge.unit.clone(),
            charge.price.clone(),
            charge.cost.clone(),
            answer.currency.clone(),
        ]
    };
    for row in &answer.rows {
        let lines = row.charges.iter().map(cells);
        rows.extend(lines.map(|cells| row.keys.iter().cloned().chain(cells).collect()));
    }
    rows
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use crate::cmd::fixtures::usage;

    #[test]
    fn people_get_a_table_and_spreadsheets_every_digit() {
        let by = ["namespace".to_owned()];
        let show = |format| render(&usage(), &by, format).unwrap();
        insta::assert_snapshot!("bill", show(Format::Table));
        insta::assert_snapshot!("bill_csv", show(Format::Csv).replace("\r\n", "\n"));
    }
}
