//! `validate`: what the server would say to files.

use anyhow::{Context, Result};
use burstlet_proto::v1::{ValidateRequest, ValidateResponse};
use serde_json::json;

use super::create::{definition, finding_text};
use crate::client::Client;
use crate::error::Exit;
use crate::files::FileArgs;
use crate::output::{Format, OutputArgs, json_text, print, yaml_text};

/// The flags of `validate`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    files: FileArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// Fails if a document would be refused.
pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let mut answers = Vec::new();
    for document in args.files.read()? {
        let definition = Some(definition(&document.value, client.namespace()));
        let answer = client
            .groups()
            .validate(ValidateRequest { definition })
            .await;
        let answer = answer.with_context(|| format!("validate {}", document.place))?;
        answers.push((document.place, answer.into_inner()));
    }
    print(render(&answers, args.output.output)?)?;
    let all_valid = answers.iter().all(|(_, answer)| answer.valid);
    Ok(if all_valid {
        Exit::SUCCESS
    } else {
        Exit::FAILURE
    })
}

fn render(answers: &[(String, ValidateResponse)], format: Format) -> Result<String> {
    let document = |(place, answer): &(String, ValidateResponse)| json!({"file": place, "valid": answer.valid, "findings": answer.findings});
    match format {
        Format::Table | Format::Wide => Ok(answers.iter().map(text).collect()),
        Format::Name => Ok(answers
            .iter()
            .filter(|(_, answer)| !answer.valid)
            .map(|(place, _)| format!("{place}\n"))
            .collect()),
        Format::Json => json_text(&answers.iter().map(document).collect::<Vec<_>>()),
        Format::Yaml => yaml_text(&answers.iter().map(document).collect::<Vec<_>>()),
    }
}

fn text((place, answer): &(String, ValidateResponse)) -> String {
    let mut text = match answer.valid {
        true => format!("{place}: good\n"),
        false => format!("{place}: would be refused\n"),
    };
    for finding in &answer.findings {
        let level = if finding.level == "Refused" {
            "refused"
        } else {
            "warning"
        };
        text.push_str(&format!("  {level}: {}\n", finding_text(finding)));
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use burstlet_proto::v1::Finding;

    use super::*;

    fn answers() -> [(String, ValidateResponse); 2] {
        let finding = |level: &str, path: &str, message: &str, way_out: &str| Finding {
            level: level.to_owned(),
            path: path.to_owned(),
            rule: "UnknownField".to_owned(),
            message: message.to_owned(),
            way_out: way_out.to_owned(),
            control: String::new(),
        };
        let findings = vec![
            finding(
                "Refused",
                "spec.containers[0].imge",
                "is not known",
                "did you mean `image`?",
            ),
            finding("Warned", "spec.nodeSelector", "has no effect here", ""),
        ];
        [
            (
                "good.yaml".to_owned(),
                ValidateResponse {
                    valid: true,
                    findings: vec![],
                },
            ),
            (
                "bad.yaml#2".to_owned(),
                ValidateResponse {
                    valid: false,
                    findings,
                },
            ),
        ]
    }

    #[test]
    fn every_finding_is_a_line() {
        insta::assert_snapshot!(render(&answers(), Format::Table).unwrap());
    }

    #[test]
    fn programs_get_all_of_it() {
        insta::assert_snapshot!(render(&answers(), Format::Json).unwrap());
        assert_eq!(render(&answers(), Format::Name).unwrap(), "bad.yaml#2\n");
    }
}
