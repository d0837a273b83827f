//! `budgets`: what may be spent, what was, and what happens about it.

use anyhow::{Context, Result};
use burstlet_proto::v1::{Budget, BudgetThreshold, BudgetsRequest};

use crate::billing::{Format, OutputArgs, csv, rounded};
use crate::client::Client;
use crate::error::Exit;
use crate::human;
use crate::output::{json_text, print};
use crate::table::Table;

/// The flags of `budgets`.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only this one
    name: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

pub(crate) async fn run(args: &Args, client: &Client) -> Result<Exit> {
    let request = BudgetsRequest {
        name: args.name.clone().unwrap_or_default(),
    };
    let answer = client.metering().budgets(request).await;
    let budgets = answer.context("ask for the budgets")?.into_inner().budgets;
    if budgets.is_empty() && args.output.output == Format::Table {
        eprintln!("there are no budgets: the operator sets them in [billing] budgets");
        return Ok(Exit::SUCCESS);
    }
    print(match args.output.output {
        Format::Json => json_text(&budgets)?,
        Format::Csv => csv(&exact(&budgets)),
        Format::Table => table(&budgets),
    })?;
    Ok(Exit::SUCCESS)
}

fn table(budgets: &[Budget]) -> String {
    let mut table = Table::new([
        "BUDGET",
        "FOR",
        "SPENT",
        "OF",
        "UNIT",
        "USED",
        "PER HOUR",
        "FORECAST",
        "UNTIL",
        "ACTION",
        "THRESHOLDS",
    ]);
    for budget in budgets {
        table.row([
            budget.name.clone(),
            whose(budget),
            rounded(&budget.spent, 4),
            budget.limit.clone(),
            budget.unit.clone(),
            used(budget),
            rounded(&budget.hourly, 4),
            rounded(&budget.forecast, 4),
            budget
                .period_until
                .as_ref()
                .map(human::moment)
                .unwrap_or_default(),
            budget.action.clone(),
            thresholds(&budget.thresholds),
        ]);
    }
    table.render("")
}

fn whose(budget: &Budget) -> String {
    match (budget.namespace.as_str(), budget.tag.as_str()) {
        ("", "") => "everybody".to_owned(),
        ("", tag) => format!("tag {tag}={}", budget.tag_value),
        (namespace, _) => format!("namespace {namespace}"),
    }
}

/// The share that is spent, for people.
fn used(budget: &Budget) -> String {
    match (budget.spent.parse::<f64>(), budget.limit.parse::<f64>()) {
        (Ok(spent), Ok(limit)) if limit > 0.0 => format!("{:.1}%", 100.0 * spent / limit),
        _ => String::new(),
    }
}

/// What happens where; what has happened is marked.
fn thresholds(thresholds: &[BudgetThreshold]) -> String {
    let show = |threshold: &BudgetThreshold| {
        let mark = if threshold.reached { "*" } else { "" };
        format!("{}%{mark} {}", threshold.percent, threshold.action)
    };
    thresholds.iter().map(show).collect::<Vec<_>>().join(", ")
}

fn exact(budgets: &[Budget]) -> Vec<Vec<String>> {
    let heading = [
        "budget",
        "namespace",
        "tag",
        "tag_value",
        "period",
        "period_from",
        "spent",
        "limit",
        "unit",
        "hourly",
        "forecast",
        "action",
    ];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for budget in budgets {
        let from = budget.period_from.as_ref();
        rows.push(vec![
            budget.name.clone(),
            budget.namespace.clone(),
            budget.tag.clone(),
            budget.tag_value.clone(),
            budget.period.clone(),
            from.map(human::moment).unwrap_or_default(),
            budget.spent.clone(),
            budget.limit.clone(),
            budget.unit.clone(),
            budget.hourly.clone(),
            budget.forecast.clone(),
            budget.action.clone(),
        ]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::fixtures::at;

    fn budgets() -> [Budget; 2] {
        let threshold = |percent, action: &str, reached| BudgetThreshold {
            percent,
            action: action.into(),
            grace_seconds: 0,
            reached,
        };
        let money = Budget {
            name: "team-a".into(),
            namespace: "team-a".into(),
            unit: "USD".into(),
            limit: "250".into(),
            period: "month".into(),
            period_from: Some(at(-86_400, 0)),
            period_until: Some(at(86_400, 0)),
            spent: "203.456789012345678".into(),
            hourly: "0.0250281511168".into(),
            forecast: "204.0574646391488".into(),
            thresholds: vec![threshold(80, "tell", true), threshold(100, "stop", false)],
            action: "tell".into(),
            ..Budget::default()
        };
        let cores = Budget {
            name: "batch".into(),
            tag: "costcenter".into(),
            tag_value: "42".into(),
            unit: "core-seconds".into(),
            limit: "3600".into(),
            period: "day".into(),
            spent: "0".into(),
            hourly: "0".into(),
            forecast: "0".into(),
            ..Budget::default()
        };
        [money, cores]
    }

    #[test]
    fn people_get_a_table_and_spreadsheets_every_digit() {
        insta::assert_snapshot!("budgets", table(&budgets()));
        let csv = csv(&exact(&budgets())).replace("\r\n", "\n");
        insta::assert_snapshot!("budgets_csv", csv);
        let everybody = Budget::default();
        assert_eq!(
            (whose(&everybody), used(&everybody)),
            ("everybody".into(), String::new())
        );
    }
}
