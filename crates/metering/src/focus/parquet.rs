//! The export as Parquet: the same rows and columns, each with its type.
//!
//! | cells                | as                                                             |
//! |----------------------|----------------------------------------------------------------|
//! | texts                | strings; none where the CSV has nothing                        |
//! | quantities, prices   | `DECIMAL(38, 18)` in 16 bytes                                  |
//! | costs                | `DECIMAL(76, 36)` in 32 bytes: a product to its last digit     |
//! | hours and months     | `TIMESTAMP(MILLIS, UTC)`                                       |
//! | `x_SessionStart`     | `TIMESTAMP(NANOS, UTC)`                                        |
//!
//! The same rows give the same bytes: nothing of when or by what it was written is in the file, and
//! rows are grouped by their number.

use std::sync::Arc;

use burstlet_model::ErrorKind;
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{
    ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::{WriterProperties, WriterVersion};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::column::{COLUMNS, Cell, Column};
use super::row::{Invoice, Row};
use crate::money::{Decimal, FRACTION_DIGITS};

/// Rows that stand together, and that are in memory at a time as columns.
const GROUP_ROWS: usize = 1 << 14;
/// What the file says of who wrote it.
const WRITER: &str = "burstlet";

/// Bytes and digits of quantities and prices.
const NUMBER: (i32, i32) = (16, 38);
/// Bytes and digits of costs.
const COST: (i32, i32) = (32, 76);
/// The least number, times 10¹⁸, that 38 digits do not hold.
const NUMBER_MAX: u128 = 10u128.pow(38);

/// Why the rows cannot be written as Parquet.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The library refuses.
    #[error("write the bill as Parquet")]
    Parquet(#[from] ParquetError),
    /// A number has more than 38 digits.
    #[error("{0} has more than 38 digits, and Parquet no room for it")]
    TooLarge(Decimal),
}

impl WriteError {
    /// What class of failure it is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::Internal
    }
}

/// The rows in a file of their own.
///
/// # Errors
/// A number has more digits than Parquet has room for.
pub fn parquet(rows: &[Row], invoice: &Invoice) -> Result<Vec<u8>, WriteError> {
    let mut file = SerializedFileWriter::new(Vec::new(), schema()?, Arc::new(properties()))?;
    for rows in rows.chunks(GROUP_ROWS) {
        let mut group = file.next_row_group()?;
        for column in &COLUMNS {
            let Some(mut writer) = group.next_column()? else {
                break;
            };
            write(&mut writer, column, rows, invoice)?;
            writer.close()?;
        }
        group.close()?;
    }
    Ok(file.into_inner()?)
}

fn properties() -> WriterProperties {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(WRITER.to_owned())
        .set_compression(Compression::SNAPPY)
        .build()
}

fn schema() -> Result<TypePtr, ParquetError> {
    let fields: Result<Vec<TypePtr>, _> = COLUMNS
        .iter()
        .map(|column| field(column).map(Arc::new))
        .collect();
    let schema = Type::group_type_builder("focus").with_fields(fields?);
    schema.build().map(Arc::new)
}

fn field(column: &Column) -> Result<Type, ParquetError> {
    let decimal = |(bytes, digits): (i32, i32), scale: usize| {
        let scale = i32::try_from(scale).unwrap_or(i32::MAX);
        Type::primitive_type_builder(column.name, Physical::FIXED_LEN_BYTE_ARRAY)
            .with_length(bytes)
            .with_precision(digits)
            .with_scale(scale)
            .with_logical_type(Some(LogicalType::decimal(scale, digits)))
    };
    let moment = |unit| {
        Type::primitive_type_builder(column.name, Physical::INT64)
            .with_logical_type(Some(LogicalType::timestamp(true, unit)))
    };
    let required = match column.cell {
        Cell::Text(_) => {
            return Type::primitive_type_builder(column.name, Physical::BYTE_ARRAY)
                .with_logical_type(Some(LogicalType::String))
                .with_repetition(Repetition::OPTIONAL)
                .build();
        }
        Cell::Number(_) => decimal(NUMBER, FRACTION_DIGITS),
        Cell::Cost => decimal(COST, 2 * FRACTION_DIGITS),
        Cell::Second(_) => moment(TimeUnit::MILLIS),
        Cell::Moment(_) => moment(TimeUnit::NANOS),
    };
    required.with_repetition(Repetition::REQUIRED).build()
}

/// Writes the cells of a column.
fn write(
    writer: &mut SerializedColumnWriter<'_>,
    column: &Column,
    rows: &[Row],
    invoice: &Invoice,
) -> Result<(), WriteError> {
    match column.cell {
        Cell::Text(read) => {
            let texts = rows.iter().map(|row| read(row, invoice));
            write_texts(writer, &texts.collect::<Vec<_>>())?;
        }
        Cell::Number(read) => {
            let numbers = rows.iter().map(|row| held(read(row)));
            write_decimals(writer, numbers.map(|n| Ok(n?.raw().to_be_bytes().to_vec())))?;
        }
        Cell::Cost => {
            let costs = rows.iter().map(|row| {
                let product = held(row.quantity)?.product_raw(held(row.sku.price)?);
                Ok(product.to_be_bytes().to_vec())
            });
            write_decimals(writer, costs)?;
        }
        Cell::Second(read) => {
            let seconds = rows.iter().map(|row| read(row).unix_s());
            write_ticks(writer, seconds.map(|second| second.saturating_mul(1000)))?;
        }
        Cell::Moment(read) => write_ticks(writer, rows.iter().map(|row| read(row).0))?,
    }
    Ok(())
}

/// A number that 38 digits hold.
fn held(number: Decimal) -> Result<Decimal, WriteError> {
    match number.raw().unsigned_abs() < NUMBER_MAX {
        true => Ok(number),
        false => Err(WriteError::TooLarge(number)),
    }
}

fn write_texts(
    writer: &mut SerializedColumnWriter<'_>,
    texts: &[impl AsRef<str>],
) -> Result<(), ParquetError> {
    let is_there = |text: &str| !text.is_empty();
    let levels: Vec<i16> = texts
        .iter()
        .map(|text| i16::from(is_there(text.as_ref())))
        .collect();
    let there = texts
        .iter()
        .map(AsRef::as_ref)
        .filter(|text| is_there(text));
    let values: Vec<ByteArray> = there.map(ByteArray::from).collect();
    let writer = writer.typed::<ByteArrayType>();
    writer.write_batch(&values, Some(&levels), None).map(drop)
}

fn write_decimals(
    writer: &mut SerializedColumnWriter<'_>,
    numbers: impl Iterator<Item = Result<Vec<u8>, WriteError>>,
) -> Result<(), WriteError> {
    let values: Result<Vec<FixedLenByteArray>, WriteError> = numbers
        .map(|bytes| bytes.map(FixedLenByteArray::from))
        .collect();
    let writer = writer.typed::<FixedLenByteArrayType>();
    writer.write_batch(&values?, None, None)?;
    Ok(())
}

fn write_ticks(
    writer: &mut SerializedColumnWriter<'_>,
    ticks: impl Iterator<Item = i64>,
) -> Result<(), ParquetError> {
    let values: Vec<i64> = ticks.collect();
    let writer = writer.typed::<Int64Type>();
    writer.write_batch(&values, None, None).map(drop)
}
