//! Who makes a call, and what is noted of it on its way.

use std::sync::{Arc, Mutex, PoisonError};

use burstlet_access::{Identity, Standing};

/// Who makes a call. Each call has its own; clones are one.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: Identity,
    standing: Option<Standing>,
    about: Mutex<About>,
}

/// What a call turned out to be about.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    pub(crate) group: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) container: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) argv_sha256: Option<String>,
    pub(crate) port: Option<u16>,
    /// What of it is audited, as the trail has it.
    pub(crate) violations: Vec<String>,
    /// It was about what is there, but not for this caller.
    pub(crate) is_foreign: bool,
}

impl Caller {
    /// Whom a credential is about, and the certificate that may be taken back if it is one.
    pub(crate) fn new(identity: Identity, standing: Option<Standing>) -> Self {
        Self(Arc::new(Inner {
            identity,
            standing,
            about: Mutex::default(),
        }))
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn standing(&self) -> Option<&Standing> {
        self.0.standing.as_ref()
    }

    /// Notes what the call is about.
    pub(crate) fn note(&self, note: impl FnOnce(&mut About)) {
        note(&mut self.0.about.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn about(&self) -> About {
        let about = self.0.about.lock();
        about.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
