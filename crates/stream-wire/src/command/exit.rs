use serde::Serialize;

/// How a command ended, for its client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It ran, and ended with this code: 128 + signal if a signal ended it.
    Code(i32),
    /// It could not be run, or its end could not be told; why, for a person.
    Failed(String),
}

impl Exit {
    /// What the error stream holds: a document from the fourth version of the protocol on, before
    /// that a text, which is empty after success.
    pub(super) fn to_error_stream(&self, has_status_document: bool) -> Vec<u8> {
        if has_status_document {
            // Strings and numbers always become JSON.
            return serde_json::to_vec(&self.status()).unwrap_or_default();
        }
        self.message().unwrap_or_default().into_bytes()
    }

    fn message(&self) -> Option<String> {
        match self {
            Self::Code(0) => None,
            Self::Code(code) => Some(format!(
                "command terminated with non-zero exit code: exit status {code}"
            )),
            Self::Failed(why) => Some(format!("Internal error occurred: {why}")),
        }
    }

    fn status(&self) -> Status {
        let message = self.message();
        match self {
            Self::Code(0) => Status {
                status: "Success",
                ..Status::default()
            },
            Self::Code(code) => Status {
                status: "Failure",
                message,
                reason: Some("NonZeroExitCode"),
                details: Some(Details::of(Some("ExitCode"), code.to_string())),
                ..Status::default()
            },
            Self::Failed(why) => Status {
                status: "Failure",
                message,
                reason: Some("InternalError"),
                details: Some(Details::of(None, why.clone())),
                code: Some(500),
                ..Status::default()
            },
        }
    }
}

/// Kubernetes' `metav1.Status`, as far as clients read it here.
#[derive(Default, Serialize)]
struct Status {
    metadata: Metadata,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u16>,
}

/// Always there, and always empty.
#[derive(Default, Serialize)]
struct Metadata {}

#[derive(Serialize)]
struct Details {
    causes: [Cause; 1],
}

#[derive(Serialize)]
struct Cause {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: String,
}

impl Details {
    const fn of(reason: Option<&'static str>, message: String) -> Self {
        Self {
            causes: [Cause { reason, message }],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(exit: &Exit, document: &str, text: &str) {
        let shown =
            |document| String::from_utf8_lossy(&exit.to_error_stream(document)).into_owned();
        assert_eq!(shown(true), document);
        assert_eq!(shown(false), text);
    }

    #[test]
    fn the_error_stream_is_as_clients_expect() {
        check(&Exit::Code(0), r#"{"metadata":{},"status":"Success"}"#, "");
        check(
            &Exit::Code(137),
            r#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code: exit status 137","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"137"}]}}"#,
            "command terminated with non-zero exit code: exit status 137",
        );
        check(
            &Exit::Failed("error executing command in container: gone".to_owned()),
            r#"{"metadata":{},"status":"Failure","message":"Internal error occurred: error executing command in container: gone","reason":"InternalError","details":{"causes":[{"message":"error executing command in container: gone"}]},"code":500}"#,
            "Internal error occurred: error executing command in container: gone",
        );
    }
}
