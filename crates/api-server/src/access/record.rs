//! What of a call is written into the trail.
//!
//! | call                          | entries                                       |
//! |-------------------------------|-----------------------------------------------|
//! | refused                       | one                                           |
//! | changes something             | one, before its answer                        |
//! | a session or another stream   | one when it begins, one when it is over       |
//! | only looks                    | none                                          |

use std::net::SocketAddr;
use std::sync::Arc;

use burstlet_access::{Entry, Event, Trail};
use burstlet_model::Stamp;
use burstlet_proto::Call;
use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::caller::Caller;
use crate::calls::{UNKNOWN_METHOD, code_name};
use crate::ending::{Ending, EndingBody, code};

type Clock = Arc<dyn Fn() -> Stamp + Send + Sync>;

/// Writes of one call.
pub(super) struct Recorder {
    trail: Trail,
    call: Option<&'static Call>,
    peer: Option<SocketAddr>,
    now: Clock,
}

impl Recorder {
    pub(super) const fn new(
        trail: Trail,
        call: Option<&'static Call>,
        peer: Option<SocketAddr>,
        now: Clock,
    ) -> Self {
        Self {
            trail,
            call,
            peer,
            now,
        }
    }

    /// Refuses somebody whom nobody knows.
    pub(super) fn stranger(self, status: Status) -> Response<Body> {
        let mut entry = self.entry(Event::Call, status.code(), None);
        entry.reason = Some(status.message().to_owned());
        let now = entry.at;
        self.trail.put_stranger(entry, now);
        status.into_http()
    }

    /// Refuses somebody who is known.
    pub(super) async fn refused(self, caller: &Caller, status: Status) -> Response<Body> {
        let mut entry = self.entry(Event::Call, status.code(), Some(caller));
        entry.reason = status.get_details_error_info().map(|info| info.reason);
        self.trail.write(&entry).await;
        status.into_http()
    }

    /// A call that is let in.
    pub(super) const fn begin(self, caller: Caller) -> Begun {
        Begun {
            recorder: self,
            caller,
            last: Event::Call,
            told: false,
        }
    }

    fn entry(&self, event: Event, code: Code, caller: Option<&Caller>) -> Entry {
        let method = self.call.map_or(UNKNOWN_METHOD, |call| call.method);
        let mut entry = Entry::new((self.now)().wall, event, method, code_name(code));
        entry.peer = self.peer.map(|peer| peer.to_string());
        let Some(caller) = caller else { return entry };
        let about = caller.about();
        entry.group = about.group;
        entry.uid = about.uid;
        entry.container = about.container;
        entry.image = about.image;
        entry.argv_sha256 = about.argv_sha256;
        entry.port = about.port;
        entry.violations = about.violations;
        entry.reason = about.is_foreign.then(|| "ForeignNamespace".to_owned());
        entry.by(caller.identity())
    }

    fn is_audited(&self) -> bool {
        self.call.is_some_and(|call| call.audited)
    }
}

/// A call on its way. One that its client gives up is written, too: what it asked for may be done.
pub(super) struct Begun {
    recorder: Recorder,
    caller: Caller,
    /// What the entry would be that comes last.
    last: Event,
    told: bool,
}

impl Begun {
    /// Writes what must be written before the answer is given.
    pub(super) async fn answered(mut self, answer: Response<Body>) -> Response<Body> {
        self.told = true;
        let code = code(answer.headers());
        let is_refusal = self.caller.about().is_foreign || code.is_some_and(is_refusal);
        if !self.recorder.is_audited() && !is_refusal {
            return answer;
        }
        // A stream that begins has no code yet, and an answer that has one message will be `OK`.
        let streams = self.recorder.call.is_some_and(|call| call.streaming);
        let goes_on = streams && code.is_none();
        let event = if goes_on { Event::Begin } else { Event::Call };
        self.write(event, code.unwrap_or(Code::Ok)).await;
        match goes_on {
            true => {
                (self.told, self.last) = (false, Event::End);
                answer.map(|inner| Body::new(EndingBody::new(inner, self)))
            }
            false => answer,
        }
    }

    async fn write(&self, event: Event, code: Code) {
        let entry = self.recorder.entry(event, code, Some(&self.caller));
        self.recorder.trail.write(&entry).await;
    }
}

impl Ending for Begun {
    /// Puts the last entry.
    fn end(&mut self, code: Code) {
        if !std::mem::replace(&mut self.told, true) {
            let entry = self.recorder.entry(self.last, code, Some(&self.caller));
            self.recorder.trail.put(&entry);
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if self.recorder.is_audited() {
            self.end(Code::Cancelled);
        }
    }
}

/// Whether an answer means that the caller went too far, and not that something failed.
const fn is_refusal(code: Code) -> bool {
    matches!(
        code,
        Code::PermissionDenied | Code::Unauthenticated | Code::ResourceExhausted
    )
}
