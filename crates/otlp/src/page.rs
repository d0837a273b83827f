//! A page of metrics as Prometheus reads it, in OTLP's words: the same families, names, labels and
//! numbers.
//!
//! | there       | here                                                              |
//! |-------------|-------------------------------------------------------------------|
//! | `counter`   | a cumulative, monotonic sum                                       |
//! | `gauge`     | a gauge                                                           |
//! | `histogram` | a cumulative histogram: counts between the bounds, not below them |
//!
//! Numbers of a page are decimals; OTLP has doubles.

mod sample;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, Sum,
};

use crate::record::{Value, pair};
use crate::send::Batch;
use sample::{Labels, Sample};

/// Points of one batch: what a collector takes at once by default is four times as much.
const POINTS_MAX: usize = 4096;

/// When a page was made, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the totals began at zero; 0 if nobody knows, as they are older than the program.
    pub start_ns: u64,
    /// The moment of the page.
    pub now_ns: u64,
}

/// Why a page cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the metrics cannot be read: {what}")]
pub struct PageError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: &'static str,
}

/// The families of a page in Prometheus' own text form.
///
/// # Errors
/// A line is not of that form.
pub fn families(page: &str, times: Times) -> Result<Vec<Metric>, PageError> {
    let mut families: Vec<Family> = Vec::new();
    let mut help = "";
    for (number, line) in page.lines().enumerate() {
        let bad = |what| PageError {
            line: number + 1,
            what,
        };
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or(bad("a type without a name"))?;
            families.push(Family {
                name,
                help,
                kind: Kind::parse(kind).ok_or(bad("a type that nobody knows"))?,
                samples: Vec::new(),
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            let family = families.last_mut().ok_or(bad("a sample of no family"))?;
            family.samples.push(Sample::parse(line).map_err(bad)?);
        }
    }
    Ok(families.iter().map(|family| family.metric(times)).collect())
}

/// The families in batches that a collector takes; one that is larger is in several.
#[must_use]
pub fn batches(families: Vec<Metric>) -> Vec<Batch> {
    let mut batches: Vec<Vec<Metric>> = Vec::new();
    let mut room = 0;
    for mut family in families {
        while let Some(points) = count(&family).filter(|points| *points > 0) {
            if room == 0 {
                batches.push(Vec::new());
                room = POINTS_MAX;
            }
            let rest = split_off(&mut family, room.min(points));
            room -= room.min(points);
            if let Some(batch) = batches.last_mut() {
                batch.push(std::mem::replace(&mut family, rest));
            }
        }
    }
    batches.into_iter().map(Batch::Metrics).collect()
}

fn count(family: &Metric) -> Option<usize> {
    match family.data.as_ref()? {
        Data::Gauge(gauge) => Some(gauge.data_points.len()),
        Data::Sum(sum) => Some(sum.data_points.len()),
        Data::Histogram(histogram) => Some(histogram.data_points.len()),
        _ => None,
    }
}

/// Leaves so many points to a family, and gives it again with the others.
fn split_off(family: &mut Metric, points: usize) -> Metric {
    let data = family.data.as_mut().map(|data| match data {
        Data::Gauge(gauge) => Data::Gauge(Gauge {
            data_points: gauge.data_points.split_off(points),
        }),
        Data::Sum(sum) => Data::Sum(Sum {
            data_points: sum.data_points.split_off(points),
            aggregation_temporality: sum.aggregation_temporality,
            is_monotonic: sum.is_monotonic,
        }),
        Data::Histogram(histogram) => Data::Histogram(Histogram {
            data_points: histogram.data_points.split_off(points),
            aggregation_temporality: histogram.aggregation_temporality,
        }),
        other => other.clone(),
    });
    Metric {
        name: family.name.clone(),
        description: family.description.clone(),
        unit: family.unit.clone(),
        data,
        ..Metric::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Debug)]
struct Family<'p> {
    name: &'p str,
    help: &'p str,
    kind: Kind,
    samples: Vec<Sample<'p>>,
}

impl Kind {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "counter" => Some(Self::Counter),
            "gauge" => Some(Self::Gauge),
            "histogram" => Some(Self::Histogram),
            _ => None,
        }
    }
}

impl Family<'_> {
    fn metric(&self, times: Times) -> Metric {
        let cumulative = AggregationTemporality::Cumulative.into();
        let numbers = |start_ns| {
            let points = self.samples.iter();
            points
                .map(|sample| sample.point(start_ns, times.now_ns))
                .collect()
        };
        let data = match self.kind {
            Kind::Gauge => Data::Gauge(Gauge {
                data_points: numbers(0),
            }),
            Kind::Counter => Data::Sum(Sum {
                data_points: numbers(times.start_ns),
                aggregation_temporality: cumulative,
                is_monotonic: true,
            }),
            Kind::Histogram => Data::Histogram(Histogram {
                data_points: self.histograms(times),
                aggregation_temporality: cumulative,
            }),
        };
        Metric {
            name: self.name.to_owned(),
            description: self.help.to_owned(),
            unit: unit(self.name).to_owned(),
            data: Some(data),
            ..Metric::default()
        }
    }

    /// A histogram for each set of labels but the bound's.
    fn histograms(&self, times: Times) -> Vec<HistogramDataPoint> {
        let mut all: BTreeMap<Labels, Buckets> = BTreeMap::new();
        for sample in &self.samples {
            let (labels, bound) = sample.without_bound();
            let of = all.entry(labels).or_default();
            match sample.name.strip_prefix(self.name) {
                Some("_bucket") => of.below.extend(bound.map(|bound| (bound, sample.value))),
                Some("_sum") => of.sum = sample.value,
                Some("_count") => of.count = sample.value,
                _ => {}
            }
        }
        let points = all.into_iter();
        points
            .map(|(labels, buckets)| buckets.point(&labels, times))
            .collect()
    }
}

impl Sample<'_> {
    fn point(&self, start_ns: u64, now_ns: u64) -> NumberDataPoint {
        NumberDataPoint {
            attributes: attributes(&self.labels),
            start_time_unix_nano: start_ns,
            time_unix_nano: now_ns,
            value: Some(Number::AsDouble(self.value)),
            ..NumberDataPoint::default()
        }
    }
}

/// A histogram's numbers as they stand on the page.
#[derive(Debug, Default)]
struct Buckets {
    /// Bounds, and how many are not above them.
    below: Vec<(f64, f64)>,
    sum: f64,
    count: f64,
}

impl Buckets {
    fn point(self, labels: &Labels<'_>, times: Times) -> HistogramDataPoint {
        let mut before = 0;
        let below = self.below.iter().map(|(_, count)| whole(*count));
        let counts = below.map(|count| count.saturating_sub(std::mem::replace(&mut before, count)));
        HistogramDataPoint {
            attributes: attributes(labels),
            start_time_unix_nano: times.start_ns,
            time_unix_nano: times.now_ns,
            count: whole(self.count),
            sum: Some(self.sum),
            bucket_counts: counts.collect(),
            // What is above all bounds has none.
            explicit_bounds: self
                .below
                .iter()
                .map(|(bound, _)| *bound)
                .filter(|bound| bound.is_finite())
                .collect(),
            ..HistogramDataPoint::default()
        }
    }
}

/// A count is a whole number, written as a decimal.
fn whole(count: f64) -> u64 {
    count.max(0.0) as u64
}

fn attributes(labels: &Labels<'_>) -> Vec<KeyValue> {
    let text =
        |(label, text): (&&str, &String)| pair((*label).to_owned(), Value::Text(text.clone()));
    labels.iter().map(text).collect()
}

/// The unit that a metric's name ends in, in the words of UCUM.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match name.rsplit('_').next() {
        Some("seconds") if !name.ends_with("byte_seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests;
