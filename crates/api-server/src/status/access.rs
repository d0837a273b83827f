//! Who is not known, may not, or has enough.

use burstlet_access::{Identity, NotStanding, TokenError};
use burstlet_model::Namespace;
use burstlet_proto::Call;
use tonic::{Code, Status};

use super::{chain, code, details, with_details};
use crate::access::{Denied, Exceeded};

/// Somebody whom nobody knows.
pub(crate) fn not_known(why: &str) -> Status {
    with_details(Code::Unauthenticated, why.to_owned(), details("NotKnown"))
}

/// A token that says of nobody who he is, or of somebody who has no role.
pub(crate) fn token(error: &TokenError) -> Status {
    let reason = match error {
        TokenError::NoRole => "NotAllowed",
        TokenError::NoKeys => "NoKeys",
        _ => "NotKnown",
    };
    with_details(code(error.kind()), chain(error), details(reason))
}

/// Somebody who was known until his credential ended.
pub(crate) fn credential_expired() -> Status {
    let message = "the credential has expired; get a new one".to_owned();
    with_details(Code::Unauthenticated, message, details("Expired"))
}

/// Somebody whose certificate does not count any more.
pub(crate) fn not_standing(error: &NotStanding) -> Status {
    with_details(code(error.kind()), chain(error), details("NotKnown"))
}

/// A defect of ours: a call that has come past the guard.
pub(crate) fn no_caller() -> Status {
    tracing::error!("a call has come past the guard");
    with_details(
        Code::Internal,
        "nobody has made this call".to_owned(),
        details("Internal"),
    )
}

/// A call that is not for this caller.
pub(crate) fn denied(identity: &Identity, call: &Call, denied: Denied) -> Status {
    let message = match denied {
        Denied::Role => {
            let roles = call.roles.iter().map(|role| {
                let name = role.as_str_name();
                name.strip_prefix("ROLE_").unwrap_or(name).to_lowercase()
            });
            let roles = roles.collect::<Vec<_>>().join(", ");
            format!(
                "{} is for {roles}, and you are {}",
                call.method, identity.role
            )
        }
        Denied::NodeOnly => {
            let own = identity.reach.namespace();
            let own = own.map(|own| format!(" {own}")).unwrap_or_default();
            format!(
                "{} is about the whole node, and you are of namespace{own}",
                call.method
            )
        }
    };
    with_details(Code::PermissionDenied, message, details("NotAllowed"))
}

/// A request about a namespace that is not the caller's, whatever is in it.
pub(crate) fn foreign_namespace(own: &Namespace) -> Status {
    let message = format!("you are of namespace {own}: name it (burstctl -n {own}), or none");
    let details = details("ForeignNamespace");
    with_details(Code::PermissionDenied, message, details)
}

/// A namespace has taken as much as it may.
pub(crate) fn edge_quota(namespace: &Namespace, exceeded: Exceeded) -> Status {
    let message = match exceeded {
        Exceeded::Streams { max } => {
            format!("the quota of namespace {namespace} is {max} open streams; close some")
        }
        Exceeded::Pulls { max, wait } => {
            let seconds = wait.as_millis().div_ceil(1000);
            format!(
                "the quota of namespace {namespace} is {max} pulls a minute; try again in {seconds} s"
            )
        }
        Exceeded::PullsAtOnce { max, wanted } => format!(
            "the quota of namespace {namespace} is {max} pulls a minute, and this takes {wanted} at once"
        ),
    };
    with_details(Code::ResourceExhausted, message, details("QuotaExceeded"))
}
