//! The audit trail from outside: whether it is as it was written.

use anyhow::Context;
use burstlet_access::{Verified, verify};

use crate::access::AUDIT;
use crate::cli::AuditCommand;
use crate::config::Config;

/// Does what was asked, and says whether the trail is as it was written.
///
/// # Errors
/// There is no trail, or it cannot be read.
pub(crate) fn look(config: &Config, command: AuditCommand) -> anyhow::Result<bool> {
    let AuditCommand::Verify { heads, directory } = command;
    let directory = directory.unwrap_or_else(|| config.state_dir.join(AUDIT));
    let place = directory.display();
    anyhow::ensure!(directory.is_dir(), "there is no audit trail in {place}");
    let verified = verify(&directory, config.access.audit_files_max, &heads);
    let verified = verified.with_context(|| format!("verify the audit trail in {place}"))?;
    print!("{}", text(&verified));
    Ok(verified.is_whole())
}

fn text(verified: &Verified) -> String {
    let mut text = format!(
        "lines    {} to {}\nhead     {}\n",
        verified.first.unwrap_or_default(),
        verified.head.seq,
        verified.head,
    );
    for (count, what) in [
        (verified.torn, "cut by an agent's end"),
        (verified.untied, "of before lines were tied together"),
    ] {
        if count > 0 {
            text.push_str(&format!("beside   {count} {what}\n"));
        }
    }
    for fault in &verified.faults {
        text.push_str(&format!("CHANGED  {fault}\n"));
    }
    text.push_str(match verified.is_whole() {
        true => "whole: every line is as it was written\n",
        false => "NOT WHOLE\n",
    });
    text
}
