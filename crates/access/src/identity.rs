use std::fmt;
use std::str::FromStr;

use burstlet_model::{Namespace, WallTime};

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Looks at groups and at what they print.
    Viewer,
    /// Creates, changes, ends and enters groups.
    Operator,
    /// Sees what was used and what it costs.
    Meter,
    /// Whatever his reach allows.
    Admin,
}

/// Whose objects are there for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Everybody's, and the node's own.
    Node,
    /// Those of one namespace.
    Namespace(Namespace),
}

/// How somebody showed who he is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The kernel said which user has opened the socket.
    Socket,
    /// A certificate that an authority of ours signed.
    Certificate,
    /// A token that an issuer of ours signed.
    Token,
}

/// Somebody who is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// His name: `uid:0`, the URI of a certificate, or a token's `issuer#subject`.
    pub who: String,
    /// What tells his credential from others of the same name: a certificate's serial number, a
    /// token's id.
    pub credential: Option<String>,
    /// How he showed it.
    pub proof: Proof,
    /// What he may do.
    pub role: Role,
    /// To what.
    pub reach: Reach,
    /// From when on he is not known any more.
    pub expires: Option<WallTime>,
}

impl Identity {
    /// A user of this host who has opened the agent's own socket, which only root and the agent's
    /// user can.
    #[must_use]
    pub fn of_socket(uid: u32) -> Self {
        Self {
            who: format!("uid:{uid}"),
            credential: None,
            proof: Proof::Socket,
            role: Role::Admin,
            reach: Reach::Node,
            expires: None,
        }
    }

    /// Whether the credential counts no more.
    #[must_use]
    pub fn has_expired(&self, now: WallTime) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Viewer, Self::Operator, Self::Meter, Self::Admin];

    /// As credentials and configurations write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Meter => "meter",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let found = Self::ALL.into_iter().find(|role| role.as_str() == text);
        found.ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// A word that is no role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of viewer, operator, meter, admin")]
pub struct UnknownRole(pub String);

impl Reach {
    /// The one namespace, if it is not the whole node.
    #[must_use]
    pub const fn namespace(&self) -> Option<&Namespace> {
        match self {
            Self::Node => None,
            Self::Namespace(namespace) => Some(namespace),
        }
    }
}

impl Proof {
    /// As the trail writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "socket",
            Self::Certificate => "certificate",
            Self::Token => "token",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
