//! Quote: the price of a group that does not run.

use std::collections::BTreeMap;

use burstlet_metering::book::Book;
use burstlet_metering::rating::quote::{compare, quote as rate};
use burstlet_metering::record::Opened;
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use tonic::Status;

use super::convert;
use crate::access::Asked;
use crate::groups::create::definition;
use crate::machine::Machine;
use crate::status;

/// What is quoted if nothing else is asked for: an hour.
const DURATION_DEFAULT_NS: u64 = 3_600_000_000_000;

/// What a definition would cost by the book in force.
pub(crate) async fn quote<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::QuoteRequest,
) -> Result<v1::QuoteResponse, Status> {
    let duration_ns = duration_ns(request.duration.as_ref())?;
    let spec = definition(api, request.definition)?;
    let opened = Opened::of(&spec, &api.machine().info().await.architecture);
    let book = api.meter().book_at(api.now().wall);
    let book = &*book.ok_or_else(status::no_price_book)?;
    let failed = |error| status::metering(&error);
    let quote = rate(book, &opened, duration_ns).map_err(failed)?;
    let charges = quote.charges.iter().map(|charge| {
        let sku = &book.skus()[charge.sku];
        v1::Charge {
            sku: sku.id.clone(),
            book: book.name().to_owned(),
            book_version: book.version().to_string(),
            unit: sku.unit.to_string(),
            price: sku.price.to_string(),
            quantity: convert::quantity(charge.quantity, sku.unit),
            cost: charge.cost.to_string(),
        }
    });
    Ok(v1::QuoteResponse {
        cost: quote.total.to_string(),
        currency: book.currency().to_owned(),
        charges: charges.collect(),
        billed: Some(v1::Amounts {
            cpu_milli: quote.billed.cpu_milli,
            memory_bytes: quote.billed.memory,
            ephemeral_storage_bytes: quote.billed.ephemeral_storage,
            devices: devices(&opened, quote.billed.gpus),
        }),
        billed_seconds: burstlet_metering::money::fixed(quote.billed_ns.into(), 9),
        hourly_cost: quote.hourly.to_string(),
        machine: machine(book, &opened)?,
        book: book.name().to_owned(),
        book_version: book.version().to_string(),
    })
}

fn devices(opened: &Opened, billed: u64) -> BTreeMap<String, u64> {
    match billed {
        0 => BTreeMap::new(),
        count => BTreeMap::from([(opened.allocation.gpu_model.clone(), count)]),
    }
}

fn machine(book: &Book, opened: &Opened) -> Result<Option<v1::MachineComparison>, Status> {
    let compared = compare(book, opened).map_err(|error| status::metering(&error))?;
    Ok(compared.map(|compared| v1::MachineComparison {
        name: book.machines()[compared.machine].name.clone(),
        machine_daily_cost: compared.machine_daily.to_string(),
        group_daily_cost: compared.group_daily.to_string(),
        hours_per_day: compared.hours.to_string(),
    }))
}

fn duration_ns(duration: Option<&burstlet_proto::Duration>) -> Result<u64, Status> {
    let Some(duration) = duration else {
        return Ok(DURATION_DEFAULT_NS);
    };
    let ns = i128::from(duration.seconds) * 1_000_000_000 + i128::from(duration.nanos);
    let fits = u64::try_from(ns)
        .ok()
        .filter(|ns| i64::try_from(*ns).is_ok());
    fits.ok_or_else(|| status::invalid("duration", "is negative or too long"))
}
