//! Group files: YAML or JSON, several documents in one, from files or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// `-f FILE`.
#[derive(clap::Args, Debug)]
pub(crate) struct FileArgs {
    /// A file of ContainerGroups or Pods in YAML or JSON; `-` is standard input
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// One document, and where it was found.
#[derive(Debug, PartialEq)]
pub(crate) struct Document {
    /// For messages: `web.yaml`, `web.yaml#2`.
    pub(crate) place: String,
    pub(crate) value: Value,
}

impl FileArgs {
    /// Every document of every file, in order.
    pub(crate) fn read(&self) -> Result<Vec<Document>> {
        let mut documents = Vec::new();
        for path in &self.files {
            let place = path.display().to_string();
            let text = read(path).with_context(|| format!("read {place}"))?;
            documents.extend(parse(&place, &text)?);
        }
        ensure!(!documents.is_empty(), "the files hold no group");
        Ok(documents)
    }
}

fn read(path: &Path) -> Result<String> {
    let mut text = String::new();
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(path)?),
    };
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    ensure!(
        text.len() as u64 <= FILE_BYTES_MAX,
        "it is larger than {FILE_BYTES_MAX} bytes"
    );
    Ok(text)
}

/// The documents of a text. JSON is YAML; the rules are those of kubectl where YAML's versions
/// differ: `0644` is octal.
fn parse(place: &str, text: &str) -> Result<Vec<Document>> {
    let options = serde_saphyr::options! {
        legacy_octal_numbers: true,
        strict_booleans: true,
    };
    let values: Vec<Value> = serde_saphyr::from_multiple_with_options(text, options)
        .with_context(|| format!("read {place} as YAML or JSON"))?;
    let mut flat = Vec::new();
    for value in values {
        flatten(place, value, &mut flat)?;
    }
    let one = flat.len() == 1;
    let document = |(at, value)| Document {
        place: if one {
            place.to_owned()
        } else {
            format!("{place}#{}", at + 1)
        },
        value,
    };
    Ok(flat.into_iter().enumerate().map(document).collect())
}

/// Takes lists apart, as `get -o yaml` and kubectl write them; empty documents are nothing.
fn flatten(place: &str, value: Value, out: &mut Vec<Value>) -> Result<()> {
    let is_list = value
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|k| k.ends_with("List"));
    match value {
        Value::Null => {}
        Value::Object(mut list) if is_list => match list.remove("items") {
            Some(Value::Array(items)) => out.extend(items),
            _ => bail!("{place} holds a list without items"),
        },
        Value::Object(_) => out.push(value),
        _ => bail!("{place} holds something that is not a group: expected `key: value` lines"),
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: &[(&str, Value)]) {
        let found = parse("f", text).unwrap();
        let found: Vec<_> = found.into_iter().map(|d| (d.place, d.value)).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(p, v)| ((*p).to_owned(), v.clone()))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn documents_are_yaml_or_json_and_many() {
        check("kind: Pod\n", &[("f", json!({"kind": "Pod"}))]);
        check(
            "{\"kind\": \"Pod\", \"a\": [1, \"2\"]}",
            &[("f", json!({"kind": "Pod", "a": [1, "2"]}))],
        );
        check(
            "---\na: 1\n---\n---\nb: 2\n",
            &[("f#1", json!({"a": 1})), ("f#2", json!({"b": 2}))],
        );
        check(
            "kind: List\nitems: [{a: 1}, {b: 2}]\n",
            &[("f#1", json!({"a": 1})), ("f#2", json!({"b": 2}))],
        );
        check("", &[]);
    }

    #[test]
    fn words_and_numbers_are_read_as_kubectl_does() {
        check(
            "mode: 0644\nport: 80\n",
            &[("f", json!({"mode": 420, "port": 80}))],
        );
        check(
            "a: \"80\"\nb: yes\nc: true\nd: 1.10\n",
            &[("f", json!({"a": "80", "b": "yes", "c": true, "d": 1.1}))],
        );
    }

    #[test]
    fn what_is_no_group_is_refused_with_its_place() {
        let fault = |text| format!("{:#}", parse("web.yaml", text).unwrap_err());
        assert!(fault("just text").starts_with("web.yaml holds something that is not a group"));
        assert!(fault("kind: List\n").contains("list without items"));
        assert!(fault("a: 1\na: 2\n").contains("read web.yaml as YAML or JSON"));
        assert!(fault("a: [1\n").contains("read web.yaml as YAML or JSON"));
    }
}
