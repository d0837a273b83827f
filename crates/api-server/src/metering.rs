//! The verbs of `Metering`: questions about a copy of the ledger's view, which are computed beside
//! the tasks that serve others.

mod budgets;
mod convert;
mod quote;
mod verify;

use burstlet_metering::Meter;
use burstlet_metering::focus::{Form, Invoice};
use burstlet_metering::sessions::Window;
use burstlet_metering::usage::{Dimension, Filter};
use burstlet_model::{GroupUid, WallTime};
use burstlet_proto::v1::export_focus_response::Piece;
use burstlet_proto::{Timestamp, v1};
use burstlet_supervisor::host::Host;
use tonic::Status;

use crate::access::Asked;
use crate::machine::Machine;
use crate::status;
use crate::streams::{self, Answers};

pub(crate) use budgets::budgets;
pub(crate) use quote::quote;
pub(crate) use verify::verify;

/// What a report may be told apart by at once.
const DIMENSIONS_MAX: usize = 8;
/// Bytes of a piece of an export.
const PIECE_BYTES: usize = 64 << 10;

/// Sums what sessions come to.
pub(crate) async fn usage<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::UsageRequest,
) -> Result<v1::UsageResponse, Status> {
    let window = window(api, request.since.as_ref(), request.until.as_ref())?;
    let by = dimensions(&request.by)?;
    let filter = filter(api, request)?;
    let now = api.now();
    let ask = move |meter: &Meter| -> Result<_, Status> {
        let failed = |error| status::metering(&error);
        let rows = meter.report(now, window, &filter, &by).map_err(failed)?;
        let total = meter.report(now, window, &filter, &[]).map_err(failed)?;
        let total = total.into_iter().next().unwrap_or_default();
        let commitments = match filter.takes_all() {
            true => meter.commitments(now, window).map_err(failed)?,
            false => Vec::new(),
        };
        let due = commitments.iter().map(|sum| sum.fee - sum.credit);
        let due = total.1.cost + due.sum();
        Ok(v1::UsageResponse {
            due: if filter.takes_all() {
                due.to_string()
            } else {
                String::new()
            },
            commitments: commitments.into_iter().map(convert::commitment).collect(),
            rows: rows.into_iter().map(convert::row).collect(),
            total: Some(convert::row(total)),
            currency: meter.shelf().currency().unwrap_or("").to_owned(),
            ledger: Some(convert::head(meter)),
        })
    };
    beside(api, ask).await
}

/// The bill in FOCUS' form.
pub(crate) fn export_focus<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: &v1::ExportFocusRequest,
) -> Result<Answers<v1::ExportFocusResponse>, Status> {
    let window = window(api, request.since.as_ref(), request.until.as_ref())?;
    let form = form(request.format)?;
    let permit = api.stream_permit()?;
    let (api, now) = (api.clone(), api.now());
    let span = tracing::info_span!("export");
    Ok(streams::task(permit, span, |answers| async move {
        let invoice: Invoice = api.settings().invoice.clone();
        let ask = move |meter: &Meter| {
            let file = meter.focus(now, window, &invoice, form);
            file.map_err(|error| status::export(&error))
        };
        let file = beside(&api, ask).await?;
        for piece in file.chunks(PIECE_BYTES) {
            let piece = match form {
                Form::Csv => Piece::Csv(piece.to_vec()),
                Form::Parquet => Piece::Parquet(piece.to_vec()),
            };
            let answer = v1::ExportFocusResponse { piece: Some(piece) };
            if streams::send(&answers, answer).await.is_err() {
                break;
            }
        }
        Ok(())
    }))
}

fn form(format: i32) -> Result<Form, Status> {
    match v1::FocusFormat::try_from(format) {
        Ok(v1::FocusFormat::Unspecified | v1::FocusFormat::Csv) => Ok(Form::Csv),
        Ok(v1::FocusFormat::Parquet) => Ok(Form::Parquet),
        Err(_) => Err(status::invalid("format", "is none that is known here")),
    }
}

/// The price books.
pub(crate) fn price_books<H: Host, M: Machine>(api: &Asked<H, M>) -> v1::PriceBooksResponse {
    let shelf = api.meter().shelf();
    let in_force = api.meter().book_at(api.now().wall);
    let books = shelf.books().iter();
    v1::PriceBooksResponse {
        books: books
            .map(|shelved| convert::book(shelved, in_force.as_ref() == Some(&shelved.book)))
            .collect(),
    }
}

/// How far the ledger is.
pub(crate) fn head<H: Host, M: Machine>(api: &Asked<H, M>) -> v1::LedgerHead {
    convert::head(api.meter())
}

/// Asks on a thread that may take its time.
async fn beside<H: Host, M: Machine, T: Send + 'static>(
    api: &Asked<H, M>,
    ask: impl FnOnce(&Meter) -> Result<T, Status> + Send + 'static,
) -> Result<T, Status> {
    let meter = api.meter().clone();
    let asked = tokio::task::spawn_blocking(move || ask(&meter)).await;
    asked
        .map_err(|error| status::internal("a question about the ledger was not answered", &error))?
}

/// What is asked about. The ledger must have every session from there on.
fn window<H: Host, M: Machine>(
    api: &Asked<H, M>,
    since: Option<&Timestamp>,
    until: Option<&Timestamp>,
) -> Result<Window, Status> {
    let moment = |field: &str, at: Option<&Timestamp>, default: WallTime| {
        let Some(at) = at else { return Ok(default) };
        let ns = at.seconds.checked_mul(1_000_000_000);
        let ns = ns.and_then(|ns| ns.checked_add(at.nanos.into()));
        ns.map(WallTime)
            .ok_or_else(|| status::invalid(field, "is too far away"))
    };
    let window = Window {
        from: moment("since", since, Window::ALL.from)?,
        to: moment("until", until, Window::ALL.to)?,
    };
    if window.from >= window.to {
        return Err(status::invalid("until", "must be after since"));
    }
    let complete = api.meter().since();
    if let Some(complete) = complete.filter(|complete| since.is_some() && window.from < *complete) {
        return Err(status::retired(complete));
    }
    Ok(window)
}

fn dimensions(words: &[String]) -> Result<Vec<Dimension>, Status> {
    if words.len() > DIMENSIONS_MAX {
        return Err(status::invalid(
            "by",
            format!("takes at most {DIMENSIONS_MAX}"),
        ));
    }
    let dimension = |word: &String| {
        let unknown = || {
            let known = "namespace, group, uid, owner, image, tag:<name>";
            status::invalid("by", format!("{word:?} is none of {known}"))
        };
        Dimension::parse(word).ok_or_else(unknown)
    };
    words.iter().map(dimension).collect()
}

/// What a request asks for, of what its caller may see.
fn filter<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::UsageRequest,
) -> Result<Filter, Status> {
    let namespace = match api.tenant() {
        Some(_) => api.within(&request.namespace)?.map(|own| own.to_string()),
        None => given(request.namespace),
    };
    let uid = given(request.uid).map(GroupUid::new).transpose();
    Ok(Filter {
        namespace,
        group: given(request.group),
        uid: uid.map_err(|error| status::invalid("uid", error.to_string()))?,
        tags: request.tags,
    })
}

fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}
