//! `prices`: the price books, and what is charged by the one in force.

use anyhow::{Context, Result};
use burstlet_proto::v1::{PriceBook, PriceBooksRequest};

use crate::billing::{Format, OutputArgs, csv};
use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `prices`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The prices of this book, by name; of the one in force by default
    book: Option<String>,
    /// Only the list of books
    #[arg(long, conflicts_with = "book")]
    books: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let answer = client.metering().price_books(PriceBooksRequest {}).await;
    let books = answer.context("list the price books")?.into_inner().books;
    let text = match (args.output.output, args.books) {
        (Format::Json, _) => json_text(&books)?,
        (Format::Table, true) => list(&books).render(""),
        (format, _) => {
            let book = chosen(&books, args.book.as_deref())?;
            match format {
                Format::Csv => csv(&exact(book)),
                _ => prices(book),
            }
        }
    };
    print(text)?;
    Ok(Exit::SUCCESS)
}

fn chosen<'a>(books: &'a [PriceBook], name: Option<&str>) -> Result<&'a PriceBook> {
    let mut books = books.iter();
    match name {
        Some(name) => {
            let book = books.find(|book| book.name == name);
            book.with_context(|| format!("there is no price book {name}"))
        }
        None => books
            .find(|book| book.in_force)
            .context("no price book is in force"),
    }
}

fn list(books: &[PriceBook]) -> Table {
    let mut table = Table::new([
        "BOOK",
        "IN FORCE",
        "USED FROM",
        "CURRENCY",
        "PROFILE",
        "VERSION",
    ]);
    for book in books {
        table.row([
            book.name.clone(),
            if book.in_force { "yes" } else { "" }.to_owned(),
            book.used_from
                .as_ref()
                .map(human::moment)
                .unwrap_or_default(),
            book.currency.clone(),
            book.profile.clone(),
            book.version.chars().take(12).collect(),
        ]);
    }
    table
}

fn prices(book: &PriceBook) -> String {
    let mut table = Table::new(["SKU", "METER", "PRICE", "UNIT", "INCLUDED", "FOR"]);
    for row in cells(book) {
        table.row(row);
    }
    let from = book
        .used_from
        .as_ref()
        .map(human::moment)
        .unwrap_or_default();
    format!(
        "{} in {} by the profile {}, used from {from}\n\n{}",
        book.name,
        book.currency,
        book.profile,
        table.render("")
    )
}

fn cells(book: &PriceBook) -> impl Iterator<Item = Vec<String>> {
    book.prices.iter().map(|price| {
        let conditions = price.r#match.iter();
        let conditions = conditions.map(|(name, value)| format!("{name}={value}"));
        let included = match price.included.as_str() {
            "0" => String::new(),
            included => included.to_owned(),
        };
        vec![
            price.sku.clone(),
            price.meter.clone(),
            price.price.clone(),
            price.unit.clone(),
            included,
            conditions.collect::<Vec<_>>().join(" "),
        ]
    })
}

fn exact(book: &PriceBook) -> Vec<Vec<String>> {
    let heading = ["sku", "meter", "price", "unit", "included", "match"];
    let heading = heading.map(str::to_owned).to_vec();
    std::iter::once(heading).chain(cells(book)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::collections::BTreeMap;

    use burstlet_proto::v1::Price;

    use super::*;
    use crate::cmd::fixtures::at;

    fn books() -> [PriceBook; 1] {
        let price = |sku: &str, scheduling: &str| Price {
            sku: sku.into(),
            meter: "cpu".into(),
            unit: "Core-Second".into(),
            price: "0.00001125".into(),
            included: "0".into(),
            r#match: match scheduling {
                "" => BTreeMap::new(),
                value => BTreeMap::from([("scheduling".into(), value.into())]),
            },
        };
        [PriceBook {
            name: "example-2026-01".into(),
            version: "ab16558f9f64f6d5021ee58772b745e1".into(),
            currency: "USD".into(),
            profile: "exact".into(),
            effective_from: Some(at(-7200, 0)),
            used_from: Some(at(-60, 0)),
            in_force: true,
            prices: vec![price("cpu", ""), price("cpu-spot", "spot")],
            text: String::new(),
        }]
    }

    #[test]
    fn books_and_prices_are_tables() {
        insta::assert_snapshot!("price_books", list(&books()).render(""));
        insta::assert_snapshot!("prices", prices(&books()[0]));
        assert_eq!(exact(&books()[0]).len(), 3);
        assert!(chosen(&books(), Some("other")).is_err());
        assert!(chosen(&books(), None).is_ok());
        assert!(chosen(&[], None).is_err());
    }
}
