//! The file of headers that go with every call to the collector: `name: value`, one on a line.

use anyhow::{Context, ensure};

/// Headers of one file.
const HEADERS_MAX: usize = 32;

/// Reads the lines; empty ones, and those that begin with `#`, say nothing.
///
/// # Errors
/// A line is no header. What it says is not told: it may be secret.
pub(super) fn parse(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut headers = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let header = line.split_once(':');
        let (name, value) = header.with_context(|| format!("line {number} has no colon"))?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    ensure!(
        headers.len() <= HEADERS_MAX,
        "there are more than {HEADERS_MAX} headers"
    );
    Ok(headers)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn lines_are_headers() {
        let text = "# of the collector\n\nAuthorization: Bearer a:b\n x-tenant:1 \n";
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = [
            header("authorization", "Bearer a:b"),
            header("x-tenant", "1"),
        ];
        assert_eq!(parse(text).unwrap(), expected);
        let error = parse("a: b\nsecret").unwrap_err().to_string();
        assert_eq!(error, "line 2 has no colon");
        assert!(parse(&"a: b\n".repeat(HEADERS_MAX + 1)).is_err());
    }
}
