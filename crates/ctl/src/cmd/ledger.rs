//! `ledger`: how far it is, and whether every record is as it was written.

use anyhow::{Context, Result};
use burstlet_proto::v1::{HeadRequest, PublishedHead, VerifyRequest, VerifyResponse};

use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::print;

/// The verbs of `ledger`.
#[derive(clap::Subcommand, Debug)]
pub(crate) enum Command {
    /// Print the last record's number and the head that proves all up to it, as NUMBER:HEAD
    Head,
    /// Let the agent read all of the ledger; ends with 1 if anything is not as it was written
    Verify(Args),
}

/// The flags of `ledger verify`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// A head that was printed or scraped at some time: the ledger must have passed through it
    #[arg(long = "head", value_name = "NUMBER:HEAD", value_parser = head)]
    heads: Vec<PublishedHead>,
}

pub(crate) async fn run(command: &Command, client: &Client) -> Result<Exit> {
    match command {
        Command::Head => {
            let answer = client.metering().head(HeadRequest {}).await;
            let head = answer.context("ask for the ledger's head")?.into_inner();
            print(format!("{}:{}\n", head.sequence, head.head))?;
            Ok(Exit::SUCCESS)
        }
        Command::Verify(args) => {
            let heads = args.heads.clone();
            let answer = client.metering().verify(VerifyRequest { heads }).await;
            let verified = answer.context("verify the ledger")?.into_inner();
            print(text(&verified))?;
            Ok(match verified.damages.is_empty() {
                true => Exit::SUCCESS,
                false => Exit::FAILURE,
            })
        }
    }
}

fn head(text: &str) -> Result<PublishedHead, String> {
    let parsed = text.split_once(':').and_then(|(sequence, head)| {
        Some(PublishedHead {
            sequence: sequence.parse().ok()?,
            head: head.to_owned(),
        })
    });
    parsed.ok_or_else(|| "must be NUMBER:HEAD".to_owned())
}

fn text(verified: &VerifyResponse) -> String {
    let ledger = verified.ledger.clone().unwrap_or_default();
    let mut text = format!(
        "Ledger:   {}\nRecords:  {} to {}, {} of them read\nHead:     {}:{}\nEpoch:    {}\n",
        ledger.ledger,
        verified.first_sequence,
        ledger.sequence,
        verified.records,
        ledger.sequence,
        ledger.head,
        ledger.epoch,
    );
    if let Some(since) = &ledger.complete_since {
        let since = human::moment(since);
        text.push_str(&format!(
            "Retired:  what ended before {since}; its sums are carried on\n"
        ));
    }
    for damage in &verified.damages {
        text.push_str(&format!(
            "DAMAGED:  {}, from record {} on: {}\n",
            damage.file, damage.from_sequence, damage.what
        ));
    }
    text.push_str(match verified.damages.is_empty() {
        true => "Every record is as it was written.\n",
        false => "The ledger is not as it was written.\n",
    });
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_proto::v1::{LedgerDamage, LedgerHead};

    use super::*;
    use crate::cmd::fixtures::at;

    #[test]
    fn people_see_what_is_wrong() {
        let whole = VerifyResponse {
            ledger: Some(LedgerHead {
                ledger: "0d2894bd72af5ba03762f384c975e61c".to_owned(),
                sequence: 1400,
                head: "9f".repeat(32),
                epoch: 3,
                complete_since: Some(at(-3600, 0)),
            }),
            first_sequence: 1201,
            records: 200,
            damages: Vec::new(),
        };
        insta::assert_snapshot!("ledger_whole", text(&whole));
        let damages = vec![LedgerDamage {
            file: "segment-0000000002".to_owned(),
            from_sequence: 1388,
            what: "its hash does not follow from the records before it".to_owned(),
        }];
        insta::assert_snapshot!("ledger_damaged", text(&VerifyResponse { damages, ..whole }));
    }

    #[test]
    fn heads_are_a_number_and_a_hash() {
        assert_eq!(head("7:ab").unwrap().sequence, 7);
        assert!(head("ab").is_err() && head("x:ab").is_err());
    }
}
