//! Errors as gRPC tells them: the code by class, a stable reason, and the fields or objects that
//! it is about. The one place where codes are chosen.

mod access;

use std::collections::HashMap;
use std::error::Error;

use burstlet_manifest::{Finding, Level, Refused};
use burstlet_metering::focus::ExportError;
use burstlet_metering::ledger::OpenError;
use burstlet_metering::rating::RatingError;
use burstlet_model::{ErrorKind, WallTime};
use burstlet_supervisor::Refusal;
use burstlet_supervisor::host::HostError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

pub(crate) use access::{
    credential_expired, denied, edge_quota, foreign_namespace, no_caller, not_known, not_standing,
    token,
};

/// `domain` of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "burstlet.dev";

/// Bytes of a status' message. Message and details travel in headers, of which clients take
/// 16 KiB by default.
const MESSAGE_BYTES_MAX: usize = 2048;
/// Bytes of the field violations of one status.
const VIOLATIONS_BYTES_MAX: usize = 6144;

/// A refusal of the supervisor.
pub(crate) fn refusal(refusal: &Refusal) -> Status {
    let mut details = details(refusal.reason());
    if refusal.kind() == ErrorKind::NotFound {
        let message = refusal.to_string();
        let kind = match refusal {
            Refusal::NoContainer { .. } => "Container",
            _ => "ContainerGroup",
        };
        details.set_resource_info(kind, subject(refusal), "", message);
    }
    let code = match refusal {
        // To be tried again from the start: read, change, write.
        Refusal::Changed { .. } => Code::Aborted,
        _ => code(refusal.kind()),
    };
    with_details(code, chain(refusal), details)
}

/// A failure of the machine.
pub(crate) fn host(error: &HostError) -> Status {
    with_details(code(error.kind()), chain(error), details(error.reason))
}

/// An image that is not there, or another failure of the machine with images.
pub(crate) fn image(error: &HostError, name: &str) -> Status {
    let mut details = details(error.reason);
    if error.kind() == ErrorKind::NotFound {
        details.set_resource_info("Image", name, "", error.to_string());
    }
    with_details(code(error.kind()), chain(error), details)
}

/// A definition that is refused: one violation for each field, as many as fit.
pub(crate) fn refused(refused: &Refused) -> Status {
    let mut details = details("DefinitionRefused");
    let fields = refused
        .findings
        .iter()
        .filter(|f| f.level == Level::Refused);
    details.set_bad_request(violations(fields));
    with_details(Code::InvalidArgument, refused.to_string(), details)
}

/// Something that cannot be priced.
pub(crate) fn metering(error: &RatingError) -> Status {
    with_details(code(error.kind()), chain(error), details("NotRated"))
}

/// The bill cannot be exported.
pub(crate) fn export(error: &ExportError) -> Status {
    match error {
        ExportError::Rating(error) => metering(error),
        ExportError::Write(_) => {
            with_details(code(error.kind()), chain(error), details("NotWritten"))
        }
    }
}

/// The ledger cannot be read.
pub(crate) fn ledger(error: &OpenError) -> Status {
    with_details(
        code(error.kind()),
        chain(error),
        details("LedgerUnreadable"),
    )
}

/// A time of which the ledger has totals only.
pub(crate) fn retired(complete: WallTime) -> Status {
    let since = jiff::Timestamp::from_nanosecond(complete.0.into()).unwrap_or_default();
    let message = format!(
        "since: the ledger has every session from {since} on; what ended before is in totals only"
    );
    with_details(Code::OutOfRange, message, details("Retired"))
}

/// A price that was asked for without a book to take it from.
pub(crate) fn no_price_book() -> Status {
    let message = "no price book is in force: name one in [billing] price_books".to_owned();
    with_details(Code::FailedPrecondition, message, details("NoPriceBook"))
}

/// A budget that nobody set.
pub(crate) fn no_budget(name: &str) -> Status {
    let message = format!("there is no budget {name}");
    let mut details = details("BudgetNotFound");
    details.set_resource_info("Budget", name, "", message.clone());
    with_details(Code::NotFound, message, details)
}

/// A field of a request that is not as it should be.
pub(crate) fn invalid(field: &str, message: impl Into<String>) -> Status {
    let message = message.into();
    let mut details = details("InvalidArgument");
    details.set_bad_request(vec![FieldViolation::new(field, message.clone())]);
    with_details(
        Code::InvalidArgument,
        format!("{field}: {message}"),
        details,
    )
}

/// A group that nobody knows.
pub(crate) fn no_group(name: &str) -> Status {
    refusal(&Refusal::NoGroup(name.to_owned()))
}

/// As many streams are open as may be.
pub(crate) fn too_many_streams(max: usize) -> Status {
    let message = format!("{max} streams are open, which is the most; close some and try again");
    with_details(Code::ResourceExhausted, message, details("TooManyStreams"))
}

/// The agent goes down while a stream is open.
pub(crate) fn shutting_down() -> Status {
    refusal(&Refusal::ShuttingDown)
}

/// A watcher that has fallen behind.
pub(crate) fn watch_expired(message: String) -> Status {
    with_details(Code::Aborted, message, details("WatchExpired"))
}

/// A stream whose first message is not what it must be.
pub(crate) fn no_start() -> Status {
    invalid("start", "the first message must be start")
}

/// The keeper of a session's process has gone, so nobody knows how it ended.
pub(crate) fn session_lost() -> Status {
    let message = "the session was lost before its process told how it ended".to_owned();
    with_details(Code::Unavailable, message, details("SessionLost"))
}

/// A forwarded connection broke.
pub(crate) fn connection_lost(error: &std::io::Error) -> Status {
    let message = format!("the connection to the port was lost: {error}");
    with_details(Code::Unavailable, message, details("ConnectionLost"))
}

/// A defect of ours.
pub(crate) fn internal(what: &str, error: &dyn Error) -> Status {
    tracing::error!(%error, "{what}");
    with_details(Code::Internal, what.to_owned(), details("Internal"))
}

const fn code(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::AlreadyExists => Code::AlreadyExists,
        // The call exists; this host does not offer what it asks for.
        ErrorKind::FailedPrecondition | ErrorKind::Unsupported => Code::FailedPrecondition,
        ErrorKind::PermissionDenied => Code::PermissionDenied,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::ResourceExhausted => Code::ResourceExhausted,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorKind::Internal => Code::Internal,
    }
}

fn details(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, ERROR_DOMAIN, HashMap::new())
}

fn with_details(code: Code, mut message: String, details: ErrorDetails) -> Status {
    cut(&mut message, MESSAGE_BYTES_MAX);
    Status::with_error_details(code, message, details)
}

/// The error and its sources, printed once, here.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn subject(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoGroup(name) => name.clone(),
        Refusal::NoContainer { group, container } => format!("{group}/{container}"),
        _ => String::new(),
    }
}

fn violations<'f>(findings: impl Iterator<Item = &'f Finding>) -> Vec<FieldViolation> {
    let mut violations = Vec::new();
    let mut bytes = 0;
    let mut left_out = 0;
    for finding in findings {
        let way_out = match finding.way_out.as_str() {
            "" => String::new(),
            way_out => format!(" ({way_out})"),
        };
        let description = format!("{}{way_out}", finding.message);
        bytes += finding.path.len() + description.len();
        if bytes > VIOLATIONS_BYTES_MAX {
            left_out += 1;
        } else {
            violations.push(FieldViolation::new(finding.path.clone(), description));
        }
    }
    if left_out > 0 {
        let description = format!("and {left_out} more fields; Validate tells them all");
        violations.push(FieldViolation::new("", description));
    }
    violations
}

fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        let end = (0..=max).rev().find(|end| text.is_char_boundary(*end));
        text.truncate(end.unwrap_or(0));
        text.push_str("...");
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_manifest::Rule;

    use super::*;

    #[test]
    fn a_flood_of_findings_fits_a_header() {
        let findings = (0..200).map(|i| Finding {
            path: format!("spec.containers[{i}].image"),
            level: Level::Refused,
            rule: Rule::Invalid,
            message: "x".repeat(300),
            way_out: "y".repeat(100),
            control: "",
        });
        let refused = Refused {
            findings: findings.collect(),
        };
        let status = super::refused(&refused);
        assert!(status.message().len() <= MESSAGE_BYTES_MAX + 3);
        assert!(status.details().len() < 12 << 10);
        let details = status.get_error_details();
        let violations = &details.bad_request().unwrap().field_violations;
        assert!(
            violations
                .last()
                .unwrap()
                .description
                .contains("more fields")
        );
    }

    #[test]
    fn messages_are_cut_between_characters() {
        let mut text = "ä".repeat(10);
        cut(&mut text, 5);
        assert_eq!(text, "ää...");
    }
}
