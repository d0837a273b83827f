//! Budgets: how they stand.

use burstlet_metering::Meter;
use burstlet_metering::budget::{Action, Scope, State, Threshold};
use burstlet_proto::v1;
use burstlet_supervisor::host::Host;
use tonic::Status;

use super::{beside, convert};
use crate::access::Asked;
use crate::machine::Machine;
use crate::status;

/// How one budget stands, or all of them do.
pub(crate) async fn budgets<H: Host, M: Machine>(
    api: &Asked<H, M>,
    request: v1::BudgetsRequest,
) -> Result<v1::BudgetsResponse, Status> {
    let now = api.now();
    let ask = move |meter: &Meter| -> Result<_, Status> {
        let states = meter.budgets(now);
        let states = states.map_err(|error| status::metering(&error))?;
        let wanted = |state: &&State| request.name.is_empty() || state.budget.name == request.name;
        let budgets: Vec<_> = states.iter().filter(wanted).map(budget).collect();
        if budgets.is_empty() && !request.name.is_empty() {
            return Err(status::no_budget(&request.name));
        }
        Ok(v1::BudgetsResponse {
            budgets,
            ledger: Some(convert::head(meter)),
        })
    };
    beside(api, ask).await
}

fn budget(state: &State) -> v1::Budget {
    let budget = &state.budget;
    let (namespace, (tag, tag_value)) = match &budget.scope {
        Scope::All => ("", ("", "")),
        Scope::Namespace(namespace) => (namespace.as_str(), ("", "")),
        Scope::Tag { key, value } => ("", (key.as_str(), value.as_str())),
    };
    let mut thresholds = budget.thresholds.clone();
    thresholds.sort_by_key(|threshold| threshold.percent);
    v1::Budget {
        name: budget.name.clone(),
        namespace: namespace.to_owned(),
        tag: tag.to_owned(),
        tag_value: tag_value.to_owned(),
        unit: state.unit().to_owned(),
        limit: budget.limit.to_string(),
        period: budget.period.as_str().to_owned(),
        period_from: Some(convert::timestamp(state.period.from)),
        period_until: Some(convert::timestamp(state.period.to)),
        spent: state.spending.spent.to_string(),
        hourly: state.spending.hourly.to_string(),
        forecast: state.standing.forecast.to_string(),
        thresholds: thresholds.iter().map(|at| threshold(state, at)).collect(),
        action: state.standing.action.map_or("", Action::as_str).to_owned(),
    }
}

fn threshold(state: &State, threshold: &Threshold) -> v1::BudgetThreshold {
    v1::BudgetThreshold {
        percent: threshold.percent,
        action: threshold.action.as_str().to_owned(),
        grace_seconds: match threshold.action {
            Action::Stop { grace_s } => grace_s,
            Action::Tell | Action::RefuseNew => 0,
        },
        reached: state.standing.reached.contains(threshold),
    }
}
