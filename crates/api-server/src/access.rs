//! Who may call what.
//!
//! ```text
//! request ─► guard: who is it? may this role call this? ─► service ─► Asked: the groups of his reach
//!              │ no                                            │
//!              └──► refused, in the trail                      └─► answer, in the trail if it says so
//! ```
//!
//! What a role may call stands beside each call in the `.proto` files; a call that is not there is
//! nobody's. Whose objects somebody sees is decided in one place, [`Asked`], without which no verb
//! can be reached.

mod asked;
mod caller;
mod expiry;
mod guard;
mod judge;
mod quota;
mod record;

use burstlet_access::{Revocations, Tokens, Trail, TrustDomain};

pub(crate) use asked::{Asked, sees};
#[cfg(test)]
pub(crate) use expiry::Ends;
pub(crate) use expiry::StreamPermit;
pub(crate) use guard::Guard;
pub(crate) use judge::Denied;
pub(crate) use quota::{Exceeded, Usage};
pub use quota::{Rates, RatesByNamespace};

/// Who comes in over TCP, and where what callers do is written.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Whose certificates name callers.
    pub trust_domain: TrustDomain,
    /// Which certificates do not count any more, if anybody keeps lists.
    pub revocations: Option<Revocations>,
    /// Whose tokens are taken, if any are.
    pub tokens: Option<Tokens>,
    /// Where refusals, changes and sessions are written.
    pub trail: Trail,
}
