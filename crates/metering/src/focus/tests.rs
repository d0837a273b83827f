use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use burstlet_model::WallTime;
use bytes::Bytes;

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

/// Every row of a Parquet file, each cell as the CSV has it, and the columns' types.
fn read_back(file: Vec<u8>) -> (Vec<Vec<String>>, Vec<String>) {
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let types = columns.iter().map(|column| {
        let kind = column.logical_type_ref().unwrap();
        format!("{} {kind:?}", column.name())
    });
    let rows = reader.get_row_iter(None).unwrap();
    let rows = rows.map(|row| {
        let row = row.unwrap();
        row.get_column_iter().map(|(_, cell)| shown(cell)).collect()
    });
    (rows.collect(), types.collect())
}

/// What the cell of a Parquet file is, found without the code that wrote it.
fn shown(cell: &Field) -> String {
    match cell {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Decimal(number) => {
            let bytes = number.data();
            let fill = if bytes[0] < 128 { 0 } else { 255 };
            let mut wide = [fill; 32];
            wide[32 - bytes.len()..].copy_from_slice(bytes);
            let raw = ethnum::I256::from_be_bytes(wide);
            let scale = number.scale() as usize;
            let digits = format!("{:0>width$}", raw.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let text = format!("{whole}.{fraction}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            format!("{}{text}", if raw.is_negative() { "-" } else { "" })
        }
        Field::TimestampMillis(ms) => jiff::Timestamp::from_millisecond(*ms).unwrap().to_string(),
        Field::Long(ns) => {
            let at = jiff::Timestamp::from_nanosecond((*ns).into());
            at.unwrap().to_string()
        }
        other => panic!("{other:?}"),
    }
}

fn read_csv(text: &str) -> Vec<Vec<String>> {
    let mut reader = ::csv::Reader::from_reader(text.as_bytes());
    let records = reader.records().map(Result::unwrap);
    let cells = records.map(|record| record.iter().map(str::to_owned).collect());
    cells.collect()
}

#[test]
fn parquet_has_the_rows_of_the_csv_in_their_types() {
    let rows = all(&three_hours());
    let back = corrections(&rows, &[]);
    for rows in [rows, back, Vec::new()] {
        let file = parquet(&rows, &invoice()).unwrap();
        assert_eq!(file, parquet(&rows, &invoice()).unwrap(), "the same bytes");
        let (read, types) = read_back(file);
        assert_eq!(read, read_csv(&csv(&rows, &invoice())));
        insta::assert_snapshot!("parquet_types", types.join("\n"));
    }
}

#[test]
fn parquet_says_nothing_of_who_wrote_it_when() {
    let file = parquet(&all(&two_groups()), &invoice()).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    let said = reader.metadata().file_metadata();
    assert_eq!(said.created_by(), Some("burstlet"));
    assert_eq!(said.key_value_metadata(), None);
}

/// More rows than stand together in a file: none is lost between the groups, and none changes.
#[test]
fn parquet_has_rows_in_groups_of_their_number() {
    let rows = all(&three_hours());
    let many: Vec<Row> = rows.iter().cycle().take(40_000).cloned().collect();
    let file = parquet(&many, &invoice()).unwrap();
    let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
    let groups = reader.metadata().row_groups().iter();
    let counts: Vec<i64> = groups.map(|group| group.num_rows()).collect();
    assert_eq!(counts, [16_384, 16_384, 7_232]);
    let last = reader.get_row_iter(None).unwrap().last().unwrap().unwrap();
    let last: Vec<String> = last
        .get_column_iter()
        .map(|(_, cell)| shown(cell))
        .collect();
    let expected = read_csv(&csv(&many[39_999..], &invoice()));
    assert_eq!(last, expected[0]);
}

#[test]
fn numbers_that_parquet_does_not_hold_are_refused() {
    let mut row = all(&two_groups()).remove(0);
    row.quantity = Decimal::from_raw(10i128.pow(38) - 1);
    let written = parquet(std::slice::from_ref(&row), &invoice()).unwrap();
    let (read, _) = read_back(written);
    assert_eq!(read, read_csv(&csv(std::slice::from_ref(&row), &invoice())));
    row.quantity = Decimal::from_raw(10i128.pow(38));
    let refused = parquet(&[row], &invoice()).unwrap_err();
    assert!(matches!(refused, WriteError::TooLarge(_)), "{refused}");
}
