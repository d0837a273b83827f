use burstlet_model::WallTime;

use super::*;
use crate::fixture::{S, Teller, opened, two_groups};
use crate::rating::commitment::hour_of;
use crate::record::{Close, SessionFact, State};

fn invoice() -> Invoice {
    Invoice {
        account: "example".to_owned(),
        provider: "Example, Inc.".to_owned(),
        region: "rack-1".to_owned(),
    }
}

fn all(teller: &Teller) -> Vec<Row> {
    let view = &teller.view;
    rows(view.sessions(), view.shelf(), teller.now(), Window::ALL).unwrap()
}

/// A session over parts of three hours.
fn three_hours() -> Teller {
    let mut teller = Teller::new();
    teller.wait(1800 * S);
    teller.of("0-a", opened("team-a", "job", "42"));
    teller.of("0-a", SessionFact::Entered(State::Running));
    teller.wait(5400 * S + 123_456_789);
    teller.of("0-a", SessionFact::Closed(Close::Succeeded));
    teller
}

#[test]
fn the_export_is_as_it_was() {
    let text = csv(&all(&two_groups()), &invoice());
    insta::assert_snapshot!(text.replace("\r\n", "\n"));
    assert_eq!(text, csv(&all(&two_groups()), &invoice()));
}

#[test]
fn quantity_times_price_is_cost_and_sums_are_the_bill() {
    let teller = three_hours();
    let rows = all(&teller);
    let text = csv(&rows, &invoice());
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let at = |name: &str| headers.iter().position(|header| header == name).unwrap();
    let (cost, price) = (at("BilledCost"), at("ListUnitPrice"));
    let quantity = at("PricingQuantity");
    let mut records = 0;
    for (record, row) in reader.records().map(Result::unwrap).zip(&rows) {
        assert_eq!(record.len(), COLUMNS.len());
        let [a, b] = [quantity, price].map(|at| Decimal::parse(&record[at]).unwrap());
        assert_eq!(a.product_text(b), record[cost]);
        assert_eq!((a, b), (row.quantity(), row.price()));
        records += 1;
    }
    assert_eq!(records, 6);
    let view = &teller.view;
    let session = view.sessions().iter().next().unwrap();
    let timeline = Timeline::of(session, teller.now());
    let rated = rate(&timeline, view.shelf(), Window::ALL).unwrap();
    for charge in &rated.charges {
        let sku = &view.shelf().books()[charge.book].book.skus()[charge.sku];
        let rows = rows.iter().filter(|row| row.key.sku == sku.id);
        let quantity = rows.map(Row::quantity).fold(Decimal::ZERO, Decimal::plus);
        let whole = Decimal::floor_ratio(charge.quantity, sku.unit.grains()).unwrap();
        assert_eq!(quantity, whole, "{}", sku.id);
    }
}

#[test]
fn windows_of_whole_hours_make_up_the_export() {
    let teller = three_hours();
    let whole = all(&teller);
    let middle = hour_of(WallTime(whole[2].hour.from.0));
    let view = &teller.view;
    let part = |from, to| {
        let window = Window { from, to };
        rows(view.sessions(), view.shelf(), teller.now(), window).unwrap()
    };
    let mut parts = part(Window::ALL.from, middle.from);
    parts.extend(part(middle.from, middle.to));
    parts.extend(part(middle.to, Window::ALL.to));
    assert_eq!(parts, whole);
}

#[test]
fn what_was_said_wrong_is_taken_back() {
    let mut teller = three_hours();
    let before = all(&teller);
    assert_eq!(corrections(&before, &before), []);
    teller.of("0-b", opened("team-b", "late", "42"));
    teller.of("0-b", SessionFact::Entered(State::Running));
    teller.wait(S);
    let after = all(&teller);
    let added = corrections(&before, &after);
    assert_eq!(added.len(), 2);
    let back = corrections(&after, &before);
    assert!(back.iter().all(|row| row.quantity() < Decimal::ZERO));
    let text = csv(&back, &invoice());
    assert!(
        text.contains(",Correction,") && text.contains(",-0.5,"),
        "{text}"
    );
}
