use std::io;

use anyhow::{Context, anyhow};
use tonic_types::ErrorDetails;

use super::*;

fn refused() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("Invalid", "burstlet.dev", std::collections::HashMap::new());
    details.add_bad_request_violation(
        "spec.containers[0].imge",
        "is not known: did you mean image?",
    );
    details.add_bad_request_violation("spec.x\u{1b}[2J", "must\nnot be");
    let text = "the group is refused: 2 fields";
    Status::with_error_details(Code::InvalidArgument, text, details)
}

fn with_reason(reason: &str) -> anyhow::Error {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason, "burstlet.dev", std::collections::HashMap::new());
    let status = Status::with_error_details(Code::FailedPrecondition, "cannot run", details);
    anyhow::Error::from(status).context("run the command in web")
}

#[test]
fn failures_say_what_to_do() {
    let texts = [
        anyhow::Error::from(refused()).context("create the group of web.yaml"),
        anyhow::Error::from(Status::not_found("no group web in default")).context("get web"),
        anyhow::Error::from(Status::unimplemented("")).context("export web"),
        anyhow::Error::from(Status::internal("record is corrupt")).context("stop web"),
        anyhow!("a plain one"),
        Err::<(), _>(io::Error::from(ErrorKind::NotFound))
            .context("read web.yaml")
            .unwrap_err(),
    ];
    let texts: Vec<String> = texts.iter().map(render).collect();
    insta::assert_snapshot!(texts.join("---\n"));
}

#[test]
fn a_refused_field_is_told_once() {
    let refused = |message: &str, fields: &[&str]| {
        let mut details = ErrorDetails::new();
        for field in fields {
            details.add_bad_request_violation(*field, "is wrong (write x)");
        }
        let status = Status::with_error_details(Code::InvalidArgument, message, details);
        render(&anyhow::Error::from(status).context("create web"))
    };
    assert_eq!(
        refused("one field refused: spec.a: is wrong (write x)", &["spec.a"]),
        "create web: one field refused: spec.a: is wrong (write x)\n"
    );
    assert_eq!(
        refused("start: is wrong (write x)", &["start"]),
        "create web: start: is wrong (write x)\n"
    );
    assert_eq!(
        refused(
            "2 fields refused: spec.a: is wrong (write x)",
            &["spec.a", "spec.b"]
        ),
        "create web: 2 fields refused\n  spec.a: is wrong (write x)\n  spec.b: is wrong (write x)\n"
    );
}

#[tokio::test]
async fn no_agent_is_told_with_the_way_out() {
    use clap::Parser;
    let dir = tempfile::tempdir().unwrap();
    let address = dir.path().join("none.sock").display().to_string();
    let cli = crate::cli::Cli::try_parse_from(["burstctl", "--address", &address, "get"]).unwrap();
    let fault = crate::client::Client::connect(&cli.connection)
        .await
        .err()
        .unwrap();
    let text = render(&fault).replace(&address, "/SOCKET");
    insta::assert_snapshot!(text);
    assert_eq!(exit_of(&fault, Exit::FAILURE), Exit::FAILURE);
    assert_eq!(exit_of(&fault, Exit::OWN_FAILURE), Exit::OWN_FAILURE);
}

#[tokio::test]
async fn tcp_needs_certificates() {
    use clap::Parser;
    let ca = tempfile::NamedTempFile::new().unwrap();
    let ca = ca.path().to_str().unwrap();
    for (more, words) in [
        (&[][..], "give --tls-ca"),
        (
            &["--tls-ca", ca],
            "--tls-cert and --tls-key, or --token-file",
        ),
        (
            &["--tls-ca", ca, "--tls-cert", ca],
            "--tls-cert and --tls-key, or --token-file",
        ),
    ] {
        let args = ["burstctl", "--address", "tcp://127.0.0.1:1"];
        let args = args.iter().chain(more).chain(&["get"]);
        let cli = crate::cli::Cli::try_parse_from(args).unwrap();
        let connected = crate::client::Client::connect(&cli.connection).await;
        let fault = connected.err().unwrap();
        assert_eq!(exit_of(&fault, Exit::FAILURE), Exit::USAGE);
        assert!(render(&fault).contains(words), "{}", render(&fault));
    }
}

#[test]
fn codes_tell_whose_fault_it_is() {
    let code = |fault: &anyhow::Error| exit_of(fault, Exit::OWN_FAILURE);
    assert_eq!(code(&with_reason("CommandNotFound")), Exit::NOT_FOUND);
    assert_eq!(
        code(&with_reason("CommandNotExecutable")),
        Exit::CANNOT_INVOKE
    );
    assert_eq!(code(&with_reason("NotRunning")), Exit::OWN_FAILURE);
    assert_eq!(
        exit_of(&with_reason("CommandNotFound"), Exit::FAILURE),
        Exit::FAILURE
    );
    let usage = anyhow::Error::from(UsageError("x".to_owned()));
    assert_eq!(code(&usage), Exit::OWN_FAILURE);
    assert_eq!(exit_of(&usage, Exit::FAILURE), Exit::USAGE);
    let pipe = anyhow::Error::from(io::Error::from(ErrorKind::BrokenPipe)).context("write");
    assert_eq!(code(&pipe), Exit::BROKEN_PIPE);
    let shown = ExitError {
        text: String::new(),
        exit: Exit(3),
    };
    assert_eq!(code(&shown.into()), Exit(3));
}

#[test]
fn container_codes_keep_eight_bits() {
    let codes = [0, 7, 137, 256, -1].map(|code| Exit::of_container(code).0);
    assert_eq!(codes, [0, 7, 137, 0, 255]);
}
