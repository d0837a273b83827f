//! What the verbs about the ledger have in common: what is asked about, decimals, and CSV.
//!
//! The agent's numbers are decimals as text, every digit of which counts. Programs get them as they
//! are; people get them rounded.

use anyhow::{Context, Result};
use burstlet_proto::v1::{UsageRequest, UsageResponse};
use clap::ValueEnum;
use pbjson_types::Timestamp;

use crate::client::{Client, group_ref};
use crate::human;

/// `-o FORMAT` of these verbs.
#[derive(clap::Args, Clone, Copy, Debug)]
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
    /// For programs: everything
    Json,
    /// For spreadsheets: the table with every digit
    Csv,
}

/// Whose use is asked about, and when.
#[derive(clap::Args, Debug)]
pub(crate) struct Scope {
    /// Only this group
    name: Option<String>,
    /// Of all namespaces
    #[arg(short = 'A', long, conflicts_with = "name")]
    all_namespaces: bool,
    /// From when on: 24h ago, or 2030-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Up to when
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// One row for each: namespace, group, uid, owner, image or tag:NAME [default: namespace with
    /// -A, else group]
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<String>,
    /// Only groups with this tag
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = parse_tag)]
    tags: Vec<(String, String)>,
}

impl Scope {
    /// What the rows are told apart by.
    pub(crate) fn by(&self) -> Vec<String> {
        match (self.by.is_empty(), self.all_namespaces) {
            (false, _) => self.by.clone(),
            (true, true) => vec!["namespace".to_owned()],
            (true, false) => vec!["group".to_owned()],
        }
    }

    /// Asks the agent.
    pub(crate) async fn ask(&self, client: &Client) -> Result<UsageResponse> {
        let request = self.request(client.namespace())?;
        let answer = client.metering().usage(request).await;
        Ok(answer.context("ask what was used")?.into_inner())
    }

    /// From when on, and up to when.
    pub(crate) fn window(&self) -> Result<(Option<Timestamp>, Option<Timestamp>)> {
        let now = human::now();
        let moment = |text: &Option<String>| {
            let moment = text.as_deref().map(|text| human::parse_moment(text, &now));
            moment.transpose().map_err(anyhow::Error::msg)
        };
        let since = moment(&self.since).context("read --since")?;
        Ok((since, moment(&self.until).context("read --until")?))
    }

    fn request(&self, namespace: &str) -> Result<UsageRequest> {
        let (since, until) = self.window()?;
        let group = self.name.as_deref().map(|name| group_ref(namespace, name));
        let group = group.unwrap_or_default();
        let namespace = match (&self.name, self.all_namespaces) {
            (Some(_), _) => group.namespace,
            (None, true) => String::new(),
            (None, false) => namespace.to_owned(),
        };
        Ok(UsageRequest {
            since,
            until,
            by: self.by(),
            namespace,
            group: group.name,
            uid: group.uid,
            tags: self.tags.iter().cloned().collect(),
        })
    }
}

fn parse_tag(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("a tag is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A decimal rounded to a number of fraction digits, half to even, all of them shown. What is no
/// decimal is shown as it is.
pub(crate) fn rounded(text: &str, digits: usize) -> String {
    round(text, digits).unwrap_or_else(|| text.to_owned())
}

fn round(text: &str, digits: usize) -> Option<String> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let kept = fraction.get(..digits.min(fraction.len()))?;
    let rest = fraction.get(kept.len()..)?;
    let scaled: u128 = format!("{whole}{kept:0<digits$}").parse().ok()?;
    let tail = rest.trim_end_matches('0');
    let up = match tail.cmp("5") {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => scaled % 2 == 1,
        std::cmp::Ordering::Greater => true,
    };
    let all = format!("{:0>width$}", scaled + u128::from(up), width = digits + 1);
    let (whole, fraction) = all.split_at_checked(all.len() - digits)?;
    Some(if digits == 0 {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    })
}

/// An amount with its currency, for people.
pub(crate) fn money(amount: &str, currency: &str) -> String {
    format!("{} {}", rounded(amount, 6), human::clean(currency))
}

/// A decimal number of bytes or byte-seconds in thousand millions.
pub(crate) fn giga(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = format!("{whole:0>10}");
    let (billions, rest) = whole.split_at_checked(whole.len() - 9).unwrap_or(("", ""));
    format!("{billions}.{rest}{fraction}")
}

/// Rows as RFC 4180 has it.
pub(crate) fn csv(rows: &[Vec<String>]) -> String {
    let quoted = |cell: &String| match cell.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell.clone(),
    };
    let line = |row: &Vec<String>| row.iter().map(quoted).collect::<Vec<_>>().join(",") + "\r\n";
    rows.iter().map(line).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clap::Parser;

    use super::*;

    #[test]
    fn decimals_are_rounded_half_to_even() {
        for (text, digits, expected) in [
            ("0.0405", 2, "0.04"),
            ("0.125", 2, "0.12"),
            ("0.135", 2, "0.14"),
            ("0.1250001", 2, "0.13"),
            ("9.999", 2, "10.00"),
            ("7", 3, "7.000"),
            ("2.5", 0, "2"),
            ("-1", 2, "-1"),
        ] {
            assert_eq!(rounded(text, digits), expected, "{text}");
        }
        assert_eq!(rounded(&giga("11811160065.073741824"), 3), "11.811");
        assert_eq!(rounded(&giga("5"), 9), "0.000000005");
    }

    #[test]
    fn cells_are_quoted_where_they_must() {
        let rows = [vec!["a".to_owned(), "b,\"c\"".to_owned()]];
        assert_eq!(csv(&rows), "a,\"b,\"\"c\"\"\"\r\n");
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        scope: Scope,
    }

    fn request(line: &str) -> UsageRequest {
        let words = line.split(' ').filter(|word| !word.is_empty());
        let line = Line::try_parse_from(std::iter::once("x").chain(words)).unwrap();
        line.scope.request("team").unwrap()
    }

    #[test]
    fn what_is_asked_about_follows_from_the_flags() {
        let asked = request("");
        assert_eq!(
            (&*asked.namespace, &*asked.by),
            ("team", &["group".to_owned()][..])
        );
        let asked = request("-A --tag a=b=c");
        assert_eq!(
            (&*asked.namespace, &*asked.by),
            ("", &["namespace".to_owned()][..])
        );
        assert_eq!(asked.tags["a"], "b=c");
        let asked = request("other/web --by uid,tag:x --since 1970-01-01T00:00:05Z");
        assert_eq!((&*asked.namespace, &*asked.group), ("other", "web"));
        assert_eq!(asked.by, ["uid", "tag:x"]);
        assert_eq!(asked.since.unwrap().seconds, 5);
        assert!(Line::try_parse_from(["x", "--tag", "a"]).is_err());
    }
}
