//! Ephemeral containers, shown as the others are.

use burstlet_proto::v1::{Container, EphemeralContainer};

/// A container with what an ephemeral one has in common with it.
pub(crate) fn like_container(one: &EphemeralContainer) -> Container {
    Container {
        name: one.name.clone(),
        image: one.image.clone(),
        image_pull_policy: one.image_pull_policy.clone(),
        command: one.command.clone(),
        args: one.args.clone(),
        working_dir: one.working_dir.clone(),
        env: one.env.clone(),
        volume_mounts: one.volume_mounts.clone(),
        security_context: one.security_context.clone(),
        termination_message_path: one.termination_message_path.clone(),
        termination_message_policy: one.termination_message_policy.clone(),
        stdin: one.stdin,
        stdin_once: one.stdin_once,
        tty: one.tty,
        ..Container::default()
    }
}
