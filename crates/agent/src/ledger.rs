//! The ledger from outside: whether it is as it was written, and what a tenant may have of it.
//!
//! An agent may write meanwhile; what it has not finished is not there yet.

use std::io::{BufWriter, stdout};
use std::path::PathBuf;

use anyhow::Context;
use burstlet_metering::ledger::Inspected;
use burstlet_metering::verify::{Verified, verify};
use burstlet_metering::{Hex, extract};

use crate::cli::LedgerCommand;
use crate::config::Config;
use crate::metering::DIRECTORY;

/// Does what was asked, and says whether the ledger is as it was written.
///
/// # Errors
/// There is no ledger, it cannot be read, or a newer version wrote it.
pub(crate) fn look(config: &Config, command: LedgerCommand) -> anyhow::Result<bool> {
    let place = |directory: Option<PathBuf>| {
        let directory = directory.unwrap_or_else(|| config.state_dir.join(DIRECTORY));
        anyhow::ensure!(
            directory.is_dir(),
            "there is no ledger in {}",
            directory.display()
        );
        Ok(Inspected::new(&directory))
    };
    match command {
        LedgerCommand::Verify { heads, directory } => {
            let verified = verify(&place(directory)?, &heads.into_iter().collect())?;
            print!("{}", text(&verified));
            Ok(verified.is_whole())
        }
        LedgerCommand::Extract {
            namespace,
            directory,
        } => {
            let mut out = BufWriter::new(stdout().lock());
            let found = extract(&place(directory)?, &namespace, &mut out);
            let found = found.context("extract a namespace's records")?;
            Ok(found.damages.is_empty())
        }
    }
}

fn text(verified: &Verified) -> String {
    let scan = &verified.scan;
    let mut text = format!(
        "ledger   {}\nrecords  {} to {}, {} of them read\nhead     {}:{}\nepoch    {}\n",
        Hex(&scan.ledger.unwrap_or_default().0),
        scan.first_seq,
        scan.seq,
        verified.records,
        scan.seq,
        Hex(&scan.head),
        scan.epoch,
    );
    if let Some((segment, carry)) = scan.carried {
        text.push_str(&format!(
            "retired  segments up to {segment}, records up to {}; their sums are carried on\n",
            carry.through
        ));
    }
    for damage in &scan.damages {
        let (file, seq, what) = (&damage.file, damage.from_seq, &damage.what);
        text.push_str(&format!("DAMAGED  {file}, from record {seq} on: {what}\n"));
    }
    text.push_str(match verified.is_whole() {
        true => "whole: every record is as it was written\n",
        false => "NOT WHOLE\n",
    });
    text
}
