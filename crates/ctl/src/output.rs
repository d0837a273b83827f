//! Standard output: tables for people, JSON, YAML or names for programs.

use std::io::{self, Write};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};

/// `-o FORMAT`.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
}

/// How to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For people with wide windows
    Wide,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
    /// Names only, one on a line
    Name,
}

impl Format {
    /// Whether it is for people.
    pub(crate) fn is_table(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

/// What a list of things looks like in each format.
pub(crate) struct Listing<'a, T> {
    /// The kind of the whole, as `ContainerGroupList`.
    pub(crate) kind: &'a str,
    /// The things.
    pub(crate) items: &'a [T],
    /// The document of one thing.
    pub(crate) document: fn(&T) -> Result<Value>,
    /// The name of one thing.
    pub(crate) name: fn(&T) -> String,
}

impl<T> Listing<'_, T> {
    /// The text in a format, with `table` for the tables.
    pub(crate) fn render(
        &self,
        format: Format,
        table: impl FnOnce(bool) -> String,
    ) -> Result<String> {
        Ok(match format {
            Format::Table => table(false),
            Format::Wide => table(true),
            Format::Name => self
                .items
                .iter()
                .map(|item| (self.name)(item) + "\n")
                .collect(),
            Format::Json => json_text(&self.documents()?)?,
            Format::Yaml => yaml_text(&self.documents()?)?,
        })
    }

    fn documents(&self) -> Result<Value> {
        let items = self
            .items
            .iter()
            .map(self.document)
            .collect::<Result<Vec<_>>>()?;
        Ok(json!({"apiVersion": API_VERSION, "kind": self.kind, "items": items}))
    }
}

/// The version that documents carry.
pub(crate) const API_VERSION: &str = "burstlet.dev/v1";

/// A message as a document that can be created from again.
pub(crate) fn document(kind: &str, message: &impl Serialize) -> Result<Value> {
    let mut value = json!({"apiVersion": API_VERSION, "kind": kind});
    let message = serde_json::to_value(message).context("write JSON")?;
    if let (Some(to), Value::Object(from)) = (value.as_object_mut(), message) {
        to.extend(from);
    }
    Ok(value)
}

/// Pretty JSON with a newline.
pub(crate) fn json_text(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).context("write JSON")? + "\n")
}

/// YAML with a newline.
pub(crate) fn yaml_text(value: &impl Serialize) -> Result<String> {
    let text = serde_saphyr::to_string(value).context("write YAML")?;
    Ok(text.trim_end().to_owned() + "\n")
}

/// Writes to standard output at once.
pub(crate) fn print(text: impl AsRef<[u8]>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref())
        .and_then(|()| out.flush())
        .context("write to standard output")
}
