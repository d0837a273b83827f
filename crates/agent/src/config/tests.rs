use std::io::Write;

use burstlet_model::{Bytes, MilliCpu, Namespace};

use super::*;

const SHIPPED: &str = include_str!("../../../../runtime-config/burstlet.toml");

/// Tables whose keys are the operator's.
const BY_NAME: [&str; 3] = ["devices", "quotas", "registries"];

/// Loads `text` as a file together with `variables`; an error as its text, without the file's path.
pub(super) fn check(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let path = file.path().display().to_string();
    load(Some(file.path()), variables).map_err(|error| error.to_string().replace(&path, "FILE"))
}

/// The shipped file with its commented-out keys put in.
fn uncommented() -> String {
    let is_key = |line: &str| {
        line.strip_prefix('#').is_some_and(|rest| {
            rest.starts_with(|c: char| c.is_ascii_lowercase() || "[\"".contains(c))
        })
    };
    SHIPPED
        .lines()
        .map(|line| if is_key(line) { &line[1..] } else { line })
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn the_shipped_file_states_the_defaults() {
    assert_eq!(check(SHIPPED, &[]), Ok(Config::default()));
    let mut full = check(&uncommented(), &[]).unwrap();
    let signatures = std::mem::take(&mut full.images.signatures);
    let release = AbsolutePath::constant("/etc/burstlet/keys/release.pem");
    let example = [
        ("registry.example.com".to_owned(), vec![release]),
        ("registry.example.com/playground".to_owned(), vec![]),
    ];
    assert_eq!(signatures, example.into());
    let registry = full.registries.remove("registry.example.com:5000");
    assert_eq!(registry, Some(Registry::default()));
    let quota = full
        .quotas
        .remove(&Whose::Namespace(Namespace::new("shop").unwrap()));
    let example = Quota {
        groups: Some(20),
        cpu: Some(MilliCpu(8000)),
        memory: Some(Bytes(16 << 30)),
        streams: Some(200),
        pulls_per_minute: Some(60),
    };
    assert_eq!(quota, Some(example), "the example has every key");
    let devices = std::mem::take(&mut full.devices);
    let nodes: Vec<_> = devices.places().map(|place| place.path).collect();
    let example = ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl"];
    assert_eq!(nodes, example.map(Path::new));
    assert_eq!(full, Config::default());
}

#[test]
fn a_collector_is_a_url_and_is_told_what_is_named() {
    let config = check("", &[("BURSTLET_OTLP_ENDPOINT", "http://a:4317")]).unwrap();
    let signals = [OtlpSignal::Logs, OtlpSignal::Metrics, OtlpSignal::Events];
    assert!(signals.iter().all(|signal| config.otlp.tells(*signal)));
    assert!(!Config::default().otlp.tells(OtlpSignal::Logs), "nobody is");
    let some = "[otlp]\nendpoint = 'https://a:4317'\nsignals = ['events']\n";
    let config = check(some, &[]).unwrap();
    let told = signals.map(|signal| config.otlp.tells(signal));
    assert_eq!(told, [false, false, true]);
    let asked = "[otlp]\nendpoint = 'https://a:4317'\nsignals = ['audit']\n";
    let told = [some, asked].map(|text| check(text, &[]).unwrap().otlp.tells(OtlpSignal::Audit));
    assert_eq!(told, [false, true], "only who is named hears who did what");
    for (text, problem) in [
        ("endpoint = 'a:4317'", "must begin with http:// or https://"),
        (
            "endpoint = 'http://a:1'\nca_file = '/ca.pem'",
            "ca_file is for",
        ),
        ("interval_s = 0", "interval_s must be from 1 to 3600"),
        ("signals = ['traces']", "unknown variant `traces`"),
    ] {
        let error = check(&format!("[otlp]\n{text}"), &[]).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}

#[test]
fn levels_are_words_or_tables_and_follow_from_the_wider_ones() {
    use burstlet_manifest::{Door, Modes, Standard};
    let of = |text: &str, door, namespace: &str| {
        let config = check(&format!("[policy]\n{text}"), &[]).unwrap();
        config.policy.standards(door).of(namespace)
    };
    let [privileged, baseline, restricted] = Standard::ALL;
    for door in [Door::Direct, Door::Kubernetes] {
        assert_eq!(of("", door, "shop"), Modes::enforcing(baseline));
    }
    let word = "kubernetes = 'restricted'";
    let enforced = of(word, Door::Kubernetes, "shop");
    assert_eq!(enforced, Modes::enforcing(restricted));
    assert_eq!(of(word, Door::Direct, "shop"), Modes::enforcing(baseline));
    let table = "direct = { warn = 'restricted', audit = 'baseline' }\n\
                 [policy.namespaces]\n\
                 ops = { direct = 'privileged' }\nshop = { direct = { warn = 'privileged' } }";
    let modes = |enforce, warn, audit| Modes {
        enforce,
        warn,
        audit,
    };
    for (namespace, expected) in [
        ("other", modes(baseline, restricted, baseline)),
        ("ops", modes(privileged, restricted, baseline)),
        ("shop", modes(baseline, privileged, baseline)),
    ] {
        assert_eq!(of(table, Door::Direct, namespace), expected, "{namespace}");
    }
    let variable = [("BURSTLET_POLICY_DIRECT", "privileged")];
    let config = check("", &variable).unwrap();
    let modes = config.policy.standards(Door::Direct).modes;
    assert_eq!(modes, Modes::enforcing(privileged));
}

/// Where a level leaves paths of the host to others, those that are listed keep their bounds.
#[test]
fn paths_of_the_host_lead_where_a_level_lets_them() {
    let text =
        "[policy]\nhost_paths = ['/srv']\nnamespaces = { ops = { kubernetes = 'privileged' } }";
    let config = check(text, &[]).unwrap();
    let roots = |namespace| config.policy.host_roots(namespace).collect::<Vec<_>>();
    assert_eq!(roots("shop"), [Path::new("/srv")]);
    assert_eq!(roots("ops"), [Path::new("/srv"), Path::new("/")]);
}

#[test]
fn quotas_are_of_a_namespace_or_of_all_others() {
    let config = check(
        "[quotas.\"*\"]\ngroups = 3\n[quotas.shop]\ncpu = \"1500m\"",
        &[],
    )
    .unwrap();
    let others = config.quotas[&Whose::Others];
    assert_eq!((others.groups, others.cpu), (Some(3), None));
    let shop = config.quotas[&Whose::Namespace(Namespace::new("shop").unwrap())];
    assert_eq!((shop.groups, shop.cpu), (None, Some(MilliCpu(1500))));
}

#[test]
fn the_shipped_file_documents_every_key() {
    let documented: toml::Table = toml::from_str(&uncommented()).unwrap();
    // An unknown key makes serde list the known ones.
    let known = |text: &str| -> Vec<String> {
        let error = check(text, &[]).unwrap_err();
        error
            .split('`')
            .skip(3)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    for key in known("nonsense = 1") {
        assert!(documented.contains_key(&key), "{key} is not documented");
        if documented[&key].is_table() && !BY_NAME.contains(&&*key) {
            for inner in known(&format!("[{key}]\nnonsense = 1")) {
                assert!(
                    documented[&key].as_table().unwrap().contains_key(&inner),
                    "[{key}] {inner}"
                );
            }
        }
    }
}

#[test]
fn errors_name_their_place() {
    for (text, expected) in [
        ("\nsate_dir = \"/x\"", "FILE:2:1: unknown field `sate_dir`"),
        (
            "[network]\n  brige = \"x\"",
            "FILE:2:3: unknown field `brige`",
        ),
        (
            "state_dir = \"relative\"",
            "FILE:1:13: must be an absolute path",
        ),
        (
            "state_dir = \"/a/../b\"",
            "FILE:1:13: must be an absolute path",
        ),
        ("[network]\nsubnet = \"10.0.0.0/40\"", "FILE:2:10: "),
        (
            "[network]\nbridge = \"a-name-that-is-too-long\"",
            "FILE:2:10: must be 1 to 15",
        ),
        (
            "[capacity]\nreserved_cpu = \"lots\"",
            "FILE:2:16: \"lots\" is not a quantity",
        ),
        (
            "[api]\nlisten = \"localhost\"",
            "FILE:2:10: must be ADDRESS:PORT",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:1\"",
            "configuration: [api] listen needs cert_file",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:1\"",
            "configuration: [admin] listen",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:1\"\ncert_file = \"/c\"\nkey_file = \"/k\"",
            "configuration: [admin] listen",
        ),
        (
            "[admin]\ncert_file = \"/c\"",
            "configuration: [admin] cert_file and key_file",
        ),
        (
            "[registries.\"r.io\"]\nusername = \"me\"",
            "configuration: [registries.\"r.io\"] username and",
        ),
        (
            "[quotas.\"Not One\"]\ngroups = 1",
            "FILE:1:9: \"Not One\" is no",
        ),
        ("[quotas.shop]\ngruops = 1", "FILE:2:1: unknown field"),
        (
            "[access]\ntrust_domain = \"A B\"",
            "FILE:2:16: must be 1 to 255 lower-case",
        ),
        (
            "[access.oidc]\nissuer = \"https://x\"",
            "configuration: [access.oidc] has no rules",
        ),
        (
            "[access.oidc]\nissuer = \"http://x\"",
            "configuration: [access.oidc] issuer must be",
        ),
        (
            "[[access.oidc.rules]]\nclaim = \"a\"\nvalue = \"b\"\nrole = \"root\"",
            "FILE:4:8: \"root\" is none of viewer",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:1\"\ncert_file = \"/c\"\nkey_file = \"/k\"",
            "configuration: [api] listen needs client_ca_file",
        ),
        (
            "[api]\nlisten = \"127.0.0.1:1\"\ncert_file = \"/c\"\nkey_file = \"/k\"\nclient_crl_file = \"/l\"\n[access.oidc]\nissuer = \"https://x\"\naudience = \"b\"\nrules = [{ claim = \"a\", value = \"b\", role = \"viewer\" }]",
            "configuration: [api] client_crl_file needs client_ca_file",
        ),
        (
            "[access]\naudit_files_max = 1",
            "configuration: [access] audit_files_max",
        ),
        (
            "[sandbox]\nid_base = 1000",
            "configuration: [sandbox] id_base",
        ),
        (
            "[images]\ngc_low_percent = 0",
            "FILE:2:18: must be from 1 to 100",
        ),
        (
            "[kubernetes]\nstream_idle_s = 0",
            "configuration: [kubernetes] stream_idle_s",
        ),
        (
            "[kubernetes]\nlisten = \"10250\"",
            "FILE:2:10: must be ADDRESS:PORT",
        ),
        (
            "[policy]\ndirect = \"open\"",
            "FILE:2:10: \"open\" is none of privileged, baseline, restricted",
        ),
        (
            "[policy]\ndirect = { enforced = \"baseline\" }",
            "FILE:2:12: unknown field `enforced`",
        ),
        (
            "[policy]\nnamespaces = { \"A b\" = {} }",
            "configuration: [policy.namespaces.\"A b\"]",
        ),
        (
            "[isolation]\nuser_namespaces = \"never\"",
            "FILE:2:19: unknown variant `never`",
        ),
        ("x = ", "FILE:1:"),
    ] {
        let error = check(text, &[]).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn variables_decide_over_the_file() {
    let config = check(
        "state_dir = \"/a\"\n[network]\nbridge = \"br1\"",
        &[
            ("BURSTLET_STATE_DIR", "/b"),
            ("BURSTLET_NETWORK_SUBNET", "10.1.0.0/24"),
            ("BURSTLET_CAPACITY_QUEUE_MAX", "7"),
            ("BURSTLET_NETWORK_DNS_UPSTREAMS", "[\"127.0.0.1\"]"),
            ("BURSTLET_ADDRESS", "unix:///x"),
            ("OTHER", "1"),
        ],
    )
    .unwrap();
    assert_eq!(config.state_dir.to_str(), Some("/b"));
    assert_eq!(config.network.bridge.0, "br1");
    assert_eq!(config.network.subnet.to_string(), "10.1.0.0/24");
    assert_eq!(config.capacity.queue_max, 7);
    assert_eq!(config.network.dns_upstreams.len(), 1);
    let error = check("", &[("BURSTLET_NETWORK_MTU", "many")]).unwrap_err();
    assert!(
        error.starts_with("environment variable BURSTLET_NETWORK_MTU: "),
        "{error}"
    );
    let error = check("", &[("BURSTLET_NONSENSE", "1")]).unwrap_err();
    assert!(
        error.starts_with("environment variable BURSTLET_NONSENSE: unknown field"),
        "{error}"
    );
}

#[test]
fn budgets_are_read_whole_or_refused_with_their_place() {
    let full = "[[billing.budgets]]
        name = 'team-a'
        tag = 'costcenter=42'
        amount = '12.50'
        period = 'month'
        thresholds = [
            { percent = 80, action = 'tell' },
            { percent = 100, action = 'refuse-new' },
            { percent = 120, action = 'stop', grace_s = 30 },
        ]";
    let config = check(full, &[]).unwrap();
    let budget = &config.billing.budgets[0].0;
    assert_eq!(budget.limit.to_string(), "12.5");
    assert_eq!(budget.thresholds.len(), 3);
    let one = |rest: &str| {
        format!("[[billing.budgets]]\nname = 'b'\nperiod = 'day'\nthresholds = []\n{rest}")
    };
    assert!(check(&one("core_seconds = '3600'\nnamespace = 'a'"), &[]).is_ok());
    for (rest, problem) in [
        ("", "an amount or core_seconds"),
        (
            "amount = '1'\ncore_seconds = '1'",
            "an amount or core_seconds",
        ),
        ("amount = '0'", "more than nothing"),
        ("amount = 'much'", "much"),
        ("amount = '1'\nnamespace = 'a'\ntag = 'b=c'", "not both"),
        ("amount = '1'\ntag = 'b'", "NAME=VALUE"),
    ] {
        let error = check(&one(rest), &[]).unwrap_err();
        assert!(
            error.starts_with("FILE:") && error.contains(problem),
            "{error}"
        );
    }
    let odd = full.replace("'tell'", "'tell', grace_s = 1");
    assert!(check(&odd, &[]).unwrap_err().contains("only the action"));
    let short = format!("[billing]\nkeep_days = 31\n{full}");
    assert!(
        check(&short, &[])
            .unwrap_err()
            .contains("keep_days is below 32")
    );
    let twice = format!("{full}\n{full}");
    assert!(
        check(&twice, &[])
            .unwrap_err()
            .contains("two budgets are called team-a")
    );
}

#[test]
fn processors_are_given_alone_only_where_nothing_is_oversold() {
    assert!(!Config::default().processors.exclusive);
    let config = check("", &[("BURSTLET_PROCESSORS_EXCLUSIVE", "true")]).unwrap();
    assert!(config.processors.exclusive);
    for (reserved, kept) in [("1m", 1), ("200m", 1), ("1", 1), ("1001m", 2), ("4", 4)] {
        let text = format!("[capacity]\nreserved_cpu = '{reserved}'\n");
        let capacity = check(&text, &[]).unwrap().capacity;
        assert_eq!(Processors::kept(&capacity), kept, "{reserved}");
    }
    for (capacity, problem) in [
        ("reserved_cpu = '0'", "needs a [capacity] reserved_cpu"),
        ("overcommit_percent = 101", "exclude each other"),
    ] {
        let text = format!("[processors]\nexclusive = true\n[capacity]\n{capacity}\n");
        let error = check(&text, &[]).unwrap_err();
        assert!(error.contains(problem), "{error}");
        check(&text.replace("true", "false"), &[]).unwrap();
    }
}
