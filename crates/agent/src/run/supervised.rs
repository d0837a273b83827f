//! What the service manager that may have started us is told: systemd's way, by a datagram to the
//! socket that it names in the environment.

use sd_notify::NotifyState;

/// Every group that runs is taken over.
pub(super) fn ready() {
    tell(NotifyState::Ready);
}

/// The agent goes; what it does from now on is to write down how things are.
pub(super) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    // Without a service manager this does nothing.
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "cannot tell the service manager how it stands");
    }
}
