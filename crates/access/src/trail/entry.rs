use burstlet_model::WallTime;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::identity::Identity;

/// What an entry tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// A call that was answered, or refused.
    Call,
    /// A stream that has begun: a command runs, a connection stands.
    Begin,
    /// A stream that is over.
    End,
    /// A pod that a cluster had for this node: it has no caller.
    Pod,
}

/// A line of the trail. What is not known is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, in UTC.
    #[serde(serialize_with = "utc")]
    pub at: WallTime,
    /// What it tells of.
    pub event: Event,
    /// Who called; nobody if it was not to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// His certificate's serial number, or his token's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// `socket`, `certificate` or `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<&'static str>,
    /// His role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// The namespace that he is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The address that he called from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// `package.Service/Method`.
    pub call: String,
    /// `NAMESPACE/NAME` of the group that it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Its uid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// SHA-256 of the command and its arguments, each followed by a zero byte: arguments may hold
    /// secrets, and yet it can be told whether somebody ran a certain command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv_sha256: Option<String>,
    /// The port that was connected to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The code as gRPC writes it: `OK`, `PERMISSION_DENIED`.
    pub code: &'static str,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it asks for beyond the level of the Pod Security Standards that is audited: controls and
    /// the paths of fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<String>,
    /// Refusals of strangers before this one that have no entry of their own.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

impl Entry {
    /// An entry that says no more than this.
    #[must_use]
    pub fn new(at: WallTime, event: Event, call: &str, code: &'static str) -> Self {
        Self {
            at,
            event,
            who: None,
            credential: None,
            proof: None,
            role: None,
            tenant: None,
            peer: None,
            call: call.to_owned(),
            group: None,
            uid: None,
            container: None,
            image: None,
            argv_sha256: None,
            port: None,
            code,
            reason: None,
            violations: Vec::new(),
            left_out: 0,
        }
    }

    /// The same, by somebody who is known.
    #[must_use]
    pub fn by(self, identity: &Identity) -> Self {
        Self {
            who: Some(identity.who.clone()),
            credential: identity.credential.clone(),
            proof: Some(identity.proof.as_str()),
            role: Some(identity.role.as_str()),
            tenant: identity.reach.namespace().map(ToString::to_string),
            ..self
        }
    }

    /// As a JSON object.
    pub(super) fn json(&self) -> Vec<u8> {
        // Strings and numbers have a form in JSON.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// What stands for a command and its arguments in the trail.
#[must_use]
pub fn argv_sha256(argv: &[String]) -> String {
    let mut hash = Sha256::new();
    for word in argv {
        hash.update(word);
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

fn utc<S: Serializer>(at: &WallTime, serializer: S) -> Result<S::Ok, S::Error> {
    match jiff::Timestamp::from_nanosecond(at.0.into()) {
        Ok(at) => serializer.collect_str(&at),
        Err(_) => serializer.serialize_i64(at.0),
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}
