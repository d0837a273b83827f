//! Budgets are kept by telling the loops of the groups that spend them.

use std::time::Duration;

use burstlet_metering::sessions::Sessions;
use burstlet_model::GroupUid;
use burstlet_supervisor::host::HostEvent;

use super::RealHost;
use crate::budgets::{Live, Order, Told, orders};

impl RealHost {
    /// Looks how the budgets stand, and does what follows. Says when the next threshold is reached
    /// if nothing changes.
    pub(crate) fn keep_budgets(&self, told: &mut Told) -> Duration {
        let states = self.metering.look_at_budgets();
        if states
            .iter()
            .any(|state| !state.standing.reached.is_empty())
        {
            let lasting = |sessions: &Sessions| sessions.open().map(Live::from).collect::<Vec<_>>();
            let live = self.metering.meter().look(lasting);
            for order in orders(&states, &live, told) {
                self.carry_out(order);
            }
        }
        let next = states.iter().filter_map(|state| state.standing.next_ns);
        next.min().map_or(Duration::MAX, Duration::from_nanos)
    }

    fn carry_out(&self, order: Order) {
        match order {
            Order::Log(message) => tracing::info!(message, "a budget's threshold is reached"),
            Order::Warn {
                uid,
                reason,
                message,
            } => self.tell_loop(&uid, HostEvent::Warned { reason, message }),
            Order::End {
                uid,
                message,
                grace,
            } => {
                tracing::info!(group = %uid, message, "evicting");
                self.tell_loop(&uid, HostEvent::Evicted { message, grace });
            }
        }
    }

    /// A loop that does not take it now is told again at the next look, if it is to end.
    fn tell_loop(&self, uid: &GroupUid, event: HostEvent) {
        if let Some(listener) = self.known(uid).and_then(|group| group.listener()) {
            let _ = listener.try_send(Box::new(event));
        }
    }
}
