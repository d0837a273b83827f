//! How the budgets stand: looked at from time to time, asked whenever a group wants to begin.

use std::sync::Arc;

use burstlet_metering::budget::{Action, State};
use burstlet_model::ErrorKind;
use burstlet_model::spec::GroupSpec;
use burstlet_supervisor::host::HostError;

use super::Metering;

impl Metering {
    /// Looks how the budgets stand; until the next look that is how they stand.
    pub(crate) fn look_at_budgets(&self) -> Arc<[State]> {
        match self.meter.budgets(self.now().stamp) {
            Ok(states) => {
                self.budgets.send_replace(states.into());
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot tell how the budgets stand");
            }
        }
        Arc::clone(&self.budgets.borrow())
    }

    /// Whether the budgets let a group begin.
    ///
    /// # Errors
    /// One does not.
    pub(crate) fn admit(&self, spec: &GroupSpec) -> Result<(), HostError> {
        let states = self.budgets.borrow();
        let refusing = states.iter().find(|state| {
            let namespace = spec.name.namespace.as_str();
            state.standing.action.is_some_and(Action::refuses)
                && state.budget.scope.covers(namespace, &spec.tags)
        });
        let Some(state) = refusing else {
            return Ok(());
        };
        let message = format!("{}: no group of it may begin before the next", state.told());
        let kind = ErrorKind::ResourceExhausted;
        Err(HostError::new(kind, "BudgetExceeded", message))
    }
}
