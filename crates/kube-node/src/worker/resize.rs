//! Other resources for a pod that runs. What there is no room for is said in its status, and given
//! when others have left enough.

use std::sync::Arc;

use burstlet_supervisor::host::Host;
use burstlet_supervisor::record::{Definition, Origin};
use burstlet_supervisor::{GroupHandle, Refusal, TooLittle};
use serde_json::Value;

use super::Worker;
use super::hindrance::Hindrance;
use crate::pod::renewed::resized;
use crate::pod::resources::Pending;
use crate::pod::seen::Pod;

/// What came of giving a group something.
enum Given {
    Done,
    TooLittle(TooLittle),
}

impl<H: Host> Worker<H> {
    /// Makes the group what its manifest is by now, with the resources that are asked for if there is
    /// room for them.
    pub(super) async fn give(
        &mut self,
        pod: &Pod,
        handle: &GroupHandle,
        (group, asked): (&Value, &Value),
    ) -> Result<(), Hindrance> {
        let pending = match self.update(handle, &resized(group, asked)).await {
            Ok(Given::Done) => None,
            Ok(Given::TooLittle(short)) => Some(Pending::short_of(&short)),
            Err(Hindrance::Refused { message, .. }) => Some(Pending {
                for_good: true,
                message,
            }),
            Err(hindrance) => return Err(hindrance),
        };
        if pending.is_some() {
            // Should that be refused, too, it is not for the resources.
            self.update(handle, group).await?;
        }
        self.note_pending(pod, pending);
        Ok(())
    }

    async fn update(&self, handle: &GroupHandle, group: &Value) -> Result<Given, Hindrance> {
        let translation = self.translate_again(group)?;
        let source: Arc<str> = translation.source.to_string().into();
        if source == handle.snapshot().definition.source {
            return Ok(Given::Done);
        }
        let definition = Definition {
            spec: Arc::new(translation.spec),
            source,
            origin: Origin::Kubernetes,
        };
        match handle.update(definition, None).await {
            // Gone: its snapshots say so.
            Ok(_) | Err(Refusal::NoGroup(_) | Refusal::WrongPhase { .. }) => Ok(Given::Done),
            Err(Refusal::TooLittleRoom { short, .. }) => Ok(Given::TooLittle(short)),
            Err(refusal @ (Refusal::Immutable(_) | Refusal::OwnProcessors(_))) => {
                Err(Hindrance::Refused {
                    reason: "ChangeNotSupported",
                    message: format!(
                        "the pod was changed in a way that needs a new one: {refusal}"
                    ),
                })
            }
            Err(refusal) => Err(Hindrance::later(refusal.to_string())),
        }
    }

    /// Tells what the pod waits for, once.
    fn note_pending(&mut self, pod: &Pod, pending: Option<Pending>) {
        if self.renewal.is_deferred() && pending.is_none() {
            // It may have what it has because nobody asks for more any longer.
            self.shared.groups.stay(&self.uid);
        }
        let news = pending.as_ref().filter(|_| self.renewal.pending != pending);
        if let Some(why) = news {
            let message = format!("Pod resize {}: {}", why.reason(), why.message);
            let reason = match why.for_good {
                true => "ResizeInfeasible",
                false => "ResizeDeferred",
            };
            self.warn(pod, reason, message, None);
        }
        self.renewal.pending = pending;
    }
}
