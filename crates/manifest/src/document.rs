//! The field matrix as a page for people.

use std::fmt::Write as _;

use crate::matrix::{Row, rows, tally};
use crate::schema::{Shape, Support};

const HEAD: &str = "# Fields

<!-- Generated from the field matrix of the crate `burstlet-manifest`; do not edit. -->

Every field of a `ContainerGroup` (`apiVersion: burstlet.dev/v1`) and of a Kubernetes `v1` Pod, and
what becomes of it in a group that is created directly:

- **Done**: it counts.
- **Policy**: it counts where the operator's `[policy]` allows what it says, and is refused elsewhere.
- **Warned**: it has no effect; the answer says so.
- **Refused**: a group that has it is not accepted; the answer says what to write instead.
- **Ignored**: the server's own to say; a value given is left out, and the answer says so.

A field that is not in this table is refused, with the name that is most like it. All findings come
at once, each with its JSON path. Words marked with ◆ are Burstlet's own; a Pod does not have them.
Values marked with ● are secret: they are never shown again.

";

/// The page: every row of the matrix, in the order of the document.
#[must_use]
pub fn document() -> String {
    let rows = rows();
    let mut page = HEAD.to_owned();
    let counts: Vec<_> = tally(&rows)
        .iter()
        .map(|(support, count)| format!("{count} {}", support.as_str().to_lowercase()))
        .collect();
    page.push_str(&format!(
        "{} fields: {}.\n\n",
        rows.len(),
        counts.join(", ")
    ));
    page.push_str("| field | value | support | |\n|---|---|---|---|\n");
    for row in &rows {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "{}", line(row));
    }
    page
}

fn line(row: &Row) -> String {
    let field = row.field;
    let marks = [(field.own, " ◆"), (field.secret, " ●")];
    let marks: String = marks
        .iter()
        .filter(|(set, _)| *set)
        .map(|(_, mark)| *mark)
        .collect();
    let value = match field.support {
        Support::Done | Support::Policy => shape(field.shape),
        _ => "",
    };
    let way_out = match field.way_out {
        "" => String::new(),
        way_out => format!(" *{way_out}*"),
    };
    let note = field.note.replace('|', "\\|");
    let support = field.support.as_str();
    format!(
        "| `{}`{marks} | {value} | {support} | {note}{way_out} |",
        row.path
    )
}

const fn shape(shape: Shape) -> &'static str {
    match shape {
        Shape::Text => "text",
        Shape::Number => "number",
        Shape::Flag => "true or false",
        Shape::Quantity => "quantity",
        Shape::NumberOrText => "number or name",
        Shape::TextList => "texts",
        Shape::NumberList => "numbers",
        Shape::TextMap => "texts by key",
        Shape::Base64Map => "base64 by key",
        Shape::Object(_) => "object",
        Shape::List(_) => "objects",
        Shape::Opaque => "",
    }
}
