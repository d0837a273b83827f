use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;

use super::*;

const TIMES: Times = Times {
    start_ns: 5,
    now_ns: 9,
};
const PAGE: &str = "\
# HELP cost_total What groups cost.
# TYPE cost_total counter
cost_total{namespace=\"a\",tag=\"4\\\"2\\\\\\n}\"} 0.000061875000005625
cost_total{namespace=\"b\"} 2
# HELP room_bytes Room.
# TYPE room_bytes gauge
room_bytes 8589934592
# HELP sync_seconds How long.
# TYPE sync_seconds histogram
sync_seconds_bucket{stage=\"x\",le=\"0.5\"} 2
sync_seconds_bucket{stage=\"x\",le=\"1\"} 2
sync_seconds_bucket{stage=\"x\",le=\"+Inf\"} 5
sync_seconds_sum{stage=\"x\"} 7.25
sync_seconds_count{stage=\"x\"} 5
";

fn texts(attributes: &[KeyValue]) -> Vec<(&str, &str)> {
    let text = |pair: &KeyValue| match pair.value.as_ref().unwrap().value.as_ref().unwrap() {
        Any::StringValue(text) => text.as_str().to_owned().leak() as &str,
        other => panic!("{other:?}"),
    };
    let pairs = attributes.iter();
    pairs.map(|pair| (pair.key.as_str(), text(pair))).collect()
}

#[test]
fn a_page_keeps_its_families() {
    let families = families(PAGE, TIMES).unwrap();
    let names = families
        .iter()
        .map(|f| (&*f.name, &*f.description, &*f.unit));
    assert_eq!(
        names.collect::<Vec<_>>(),
        [
            ("cost_total", "What groups cost.", ""),
            ("room_bytes", "Room.", "By"),
            ("sync_seconds", "How long.", "s"),
        ]
    );
    let Some(Data::Sum(sum)) = &families[0].data else {
        panic!("{families:?}")
    };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    let [first, second] = &sum.data_points[..] else {
        panic!("{sum:?}")
    };
    assert_eq!(
        texts(&first.attributes),
        [("namespace", "a"), ("tag", "4\"2\\\n}")]
    );
    assert_eq!(
        first.value,
        Some(Number::AsDouble(0.000_061_875_000_005_625))
    );
    assert_eq!((second.start_time_unix_nano, second.time_unix_nano), (5, 9));
    let Some(Data::Gauge(gauge)) = &families[1].data else {
        panic!("{families:?}")
    };
    let [point] = &gauge.data_points[..] else {
        panic!("{gauge:?}")
    };
    assert_eq!(point.value, Some(Number::AsDouble(8_589_934_592.0)));
    assert_eq!(point.start_time_unix_nano, 0, "a gauge has no beginning");
}

#[test]
fn buckets_count_what_is_between_their_bounds() {
    let families = families(PAGE, TIMES).unwrap();
    let Some(Data::Histogram(histogram)) = &families[2].data else {
        panic!("{families:?}")
    };
    let [point] = &histogram.data_points[..] else {
        panic!("{histogram:?}")
    };
    assert_eq!(texts(&point.attributes), [("stage", "x")]);
    assert_eq!(point.explicit_bounds, [0.5, 1.0]);
    assert_eq!(point.bucket_counts, [2, 0, 3]);
    assert_eq!((point.count, point.sum), (5, Some(7.25)));
}

/// What is too much for one batch is in several, and every point in one of them.
#[test]
fn large_families_go_in_several_batches() {
    let mut page = String::from("# TYPE empty counter\n# TYPE a gauge\na 1\n# TYPE b counter\n");
    for number in 0..2 * POINTS_MAX {
        page.push_str(&format!("b{{number=\"{number}\"}} {number}\n"));
    }
    let batches = batches(families(&page, TIMES).unwrap());
    let points = |batch: &Batch| {
        let Batch::Metrics(families) = batch else {
            panic!()
        };
        families.iter().filter_map(count).sum::<usize>()
    };
    let counts: Vec<usize> = batches.iter().map(points).collect();
    assert_eq!(counts, [POINTS_MAX, POINTS_MAX, 1]);
    let Batch::Metrics(last) = &batches[2] else {
        panic!()
    };
    let Some(Data::Sum(sum)) = &last[0].data else {
        panic!("{last:?}")
    };
    let number = (2 * POINTS_MAX - 1).to_string();
    assert_eq!(
        texts(&sum.data_points[0].attributes),
        [("number", &*number)]
    );
    assert!(sum.is_monotonic && last[0].name == "b");
}

#[test]
fn what_is_no_page_is_told_with_its_line() {
    for (page, line) in [
        ("a 1", 1),
        ("# TYPE a counter\na", 2),
        ("# TYPE a counter\na{b=\"c} 1", 2),
        ("# TYPE a counter\na{b} 1", 2),
        ("# TYPE a counter\na{} x", 2),
        ("# TYPE a summary", 1),
        ("# TYPE a", 1),
    ] {
        assert_eq!(families(page, TIMES).unwrap_err().line, line, "{page}");
    }
}

proptest::proptest! {
    /// Whatever the page says, reading it ends, and a label comes back as it was.
    #[test]
    fn labels_come_back(value in ".*") {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let page = format!("# TYPE a gauge\na{{b=\"{escaped}\"}} 1\n");
        // A line ends where the page's reader says so, and nowhere else.
        proptest::prop_assume!(!value.contains('\r'));
        let families = families(&page, TIMES).unwrap();
        let Some(Data::Gauge(gauge)) = &families[0].data else { panic!() };
        proptest::prop_assert_eq!(texts(&gauge.data_points[0].attributes), [("b", &*value)]);
    }

    #[test]
    fn anything_is_read_or_refused(page in "(# TYPE a (gauge|histogram)\n)?[a-z{}\"=\\\\, \n0-9]*") {
        let _ = families(&page, TIMES);
    }
}
