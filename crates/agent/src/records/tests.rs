use std::collections::BTreeMap;
use std::sync::Arc;

use burstlet_model::spec::{ResourceList, Resources};
use burstlet_model::status::{
    ContainerState, ContainerStatus, Desired, Event, ExitStatus, GroupStatus, ImagePull,
    LaunchTimeline, Phase, Session, Severity,
};
use burstlet_model::{
    BootTime, Bytes, ContainerName, Device, Digest, Lease, MilliCpu, Stamp, WallTime,
};
use burstlet_supervisor::record::{Definition, Origin};

use super::*;
use crate::config::Config;
use crate::machine::Machine;

const SOURCE: &str = r#"{"apiVersion":"burstlet.dev/v1","kind":"ContainerGroup","metadata":{"name":"web","namespace":"shop"},"spec":{"hostNetwork":true,"hostUsers":true,"containers":[{"name":"a","image":"r.io/a:1"}]}}"#;

fn rules() -> Rules {
    Rules::new(
        &Config::default(),
        &Machine {
            cpu: MilliCpu(2000),
            memory: Bytes(1 << 30),
            devices: BTreeMap::new(),
        },
    )
}

fn stamp(n: u64) -> Stamp {
    Stamp {
        boot: BootTime(n),
        wall: WallTime(n.cast_signed() + 7),
    }
}

fn container(name: &str, state: ContainerState) -> ContainerStatus {
    ContainerStatus {
        name: ContainerName::new(name).unwrap(),
        image: "r.io/a:1".to_owned(),
        image_digest: Some(Digest::new(format!("sha256:{}", "ab".repeat(32))).unwrap()),
        state,
        last_exit: Some(exit()),
        restart_count: 3,
        started: true,
        ready: true,
        user: Some((1, 2, vec![3])),
        resources: Some(resources()),
    }
}

fn resources() -> Resources {
    let list = ResourceList {
        cpu: Some(MilliCpu(100)),
        memory: Some(Bytes(1 << 20)),
        ephemeral_storage: None,
        pids: Some(10),
    };
    Resources {
        requests: list,
        limits: ResourceList::default(),
    }
}

fn exit() -> ExitStatus {
    ExitStatus {
        code: 137,
        signal: Some(9),
        reason: "OOMKilled".to_owned(),
        message: "bye".to_owned(),
        started_at: Some(stamp(3)),
        finished_at: stamp(4),
    }
}

fn record(uid: &str) -> GroupRecord {
    let uid = GroupUid::new(uid).unwrap();
    // Privileges that the rules of today would refuse: what was accepted stays.
    let spec = rules()
        .retranslate(SOURCE, &uid, Origin::Kubernetes)
        .unwrap()
        .spec;
    let status = GroupStatus {
        desired: Desired::Stopped,
        phase: Phase::Stopping,
        reason: "r".to_owned(),
        message: "m".to_owned(),
        queue_position: None,
        ip: Some("10.0.0.2".parse().unwrap()),
        initialized: true,
        ready: false,
        init_containers: vec![container("i", ContainerState::Terminated(exit()))],
        containers: vec![
            container(
                "a",
                ContainerState::Running {
                    started_at: stamp(5),
                    pid: 6,
                },
            ),
            container(
                "b",
                ContainerState::Waiting {
                    reason: "x".to_owned(),
                    message: "y".to_owned(),
                },
            ),
        ],
        ephemeral_containers: vec![container("e", ContainerState::Terminated(exit()))],
        created_at: WallTime(8),
        finished_at: Some(stamp(9)),
        timeline: LaunchTimeline {
            accepted: Some(stamp(1)),
            ready: Some(stamp(2)),
            pulls: vec![ImagePull {
                image: "r.io/a:1".to_owned(),
                bytes: 1,
                layers_cached: 2,
                layers: 3,
                duration: std::time::Duration::from_nanos(4),
                unpack: std::time::Duration::from_nanos(5),
            }],
            begun_again: Some(stamp(8)),
            ..LaunchTimeline::default()
        },
        sessions: vec![Session {
            opened: stamp(1),
            closed: None,
        }],
        resources: Some(resources()),
        resize: None,
        lease: Some(Lease {
            resource: "example.com/gpu".parse().unwrap(),
            devices: vec![
                Device {
                    nodes: vec!["/dev/a".into(), "/dev/b".into()],
                },
                Device {
                    nodes: vec!["/dev/c".into()],
                },
            ],
        }),
        processors: None,
    };
    let event = Event {
        at: WallTime(1),
        severity: Severity::Warning,
        reason: "BackOff".to_owned(),
        message: "again".to_owned(),
        container: Some(ContainerName::new("a").unwrap()),
        count: 2,
    };
    GroupRecord {
        uid,
        definition: Definition {
            spec: Arc::new(spec),
            source: Arc::from(SOURCE),
            origin: Origin::Kubernetes,
        },
        request_id: Some("req".to_owned()),
        created: stamp(1),
        status,
        ends_by: Some(BootTime(9)),
        events: vec![event],
    }
}

#[test]
fn what_is_saved_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path()).unwrap();
    let saved = record("u1");
    records.save(&saved, || {}).unwrap();
    let loaded = records.load(&rules()).unwrap();
    assert!(loaded.corrupt.is_empty(), "{:?}", loaded.corrupt);
    let [found] = loaded.records.as_slice() else {
        panic!("{} records", loaded.records.len())
    };
    assert_eq!(found.status, saved.status);
    assert_eq!(found.events, saved.events);
    assert_eq!(found.definition.spec, saved.definition.spec);
    assert_eq!(
        (&found.request_id, found.created, found.ends_by),
        (&saved.request_id, saved.created, saved.ends_by)
    );
    records.remove(&saved.uid).unwrap();
    assert!(!records.dir(&saved.uid).exists());
    records.remove(&saved.uid).unwrap();
}

#[test]
fn what_cannot_be_read_is_set_aside_and_never_taken_for_absent() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path()).unwrap();
    for uid in ["good", "torn", "moved"] {
        records.save(&record(uid), || {}).unwrap();
    }
    let file = |uid: &str, name: &str| dir.path().join("groups").join(uid).join(name);
    let text = std::fs::read_to_string(file("torn", RECORD)).unwrap();
    std::fs::write(file("torn", RECORD), &text[..text.len() / 2]).unwrap();
    std::fs::copy(file("good", RECORD), file("moved", RECORD)).unwrap();
    std::fs::create_dir(dir.path().join("groups/never")).unwrap();
    for _ in 0..2 {
        let loaded = records.load(&rules()).unwrap();
        assert_eq!(loaded.records.len(), 1);
        assert_eq!(loaded.corrupt.len(), 2, "{:?}", loaded.corrupt);
        assert_eq!(loaded.orphans, [GroupUid::new("never").unwrap()]);
        assert!(file("torn", SET_ASIDE).exists());
    }
}

#[test]
fn what_was_written_is_gone_on_from_though_it_was_not_durable_yet() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path()).unwrap();
    let file = |uid: &str, name: &str| dir.path().join("groups").join(uid).join(name);
    for uid in ["newer", "torn", "first"] {
        records.save(&record(uid), || {}).unwrap();
    }
    let mut newer = record("newer");
    newer.request_id = Some("newer".to_owned());
    let mut seen = None;
    let look = || seen = Some(std::fs::read(file("newer", &file::pending(RECORD))).unwrap());
    let old = std::fs::read(file("newer", RECORD)).unwrap();
    records.save(&newer, look).unwrap();
    // As an agent leaves it that is killed between the two steps.
    std::fs::write(file("newer", RECORD), old).unwrap();
    std::fs::write(file("newer", &file::pending(RECORD)), seen.unwrap()).unwrap();
    let text = std::fs::read(file("torn", RECORD)).unwrap();
    std::fs::write(
        file("torn", &file::pending(RECORD)),
        &text[..text.len() / 2],
    )
    .unwrap();
    std::fs::rename(file("first", RECORD), file("first", &file::pending(RECORD))).unwrap();

    for _ in 0..2 {
        let loaded = records.load(&rules()).unwrap();
        assert!(loaded.corrupt.is_empty(), "{:?}", loaded.corrupt);
        let mut found: Vec<_> = (loaded.records.iter())
            .map(|record| (record.uid.as_str(), record.request_id.as_deref()))
            .collect();
        found.sort_unstable();
        let expected = [
            ("first", Some("req")),
            ("newer", Some("newer")),
            ("torn", Some("req")),
        ];
        assert_eq!(found, expected);
        assert!(!file("newer", &file::pending(RECORD)).exists());
    }
}

#[test]
fn definitions_are_sealed_and_those_of_the_version_before_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path()).unwrap();
    records.save(&record("u1"), || {}).unwrap();
    let path = dir.path().join("groups/u1").join(RECORD);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("hostNetwork"), "{text}");

    // The key is gone: nobody goes on as if there were no groups.
    let key = dir.path().join("host.key");
    let moved = dir.path().join("elsewhere");
    std::fs::rename(&key, &moved).unwrap();
    let gone = Records::open(dir.path());
    assert!(matches!(gone, Err(VaultError::Gone { .. })), "{gone:?}");
    std::fs::rename(moved, key).unwrap();

    let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = old.as_object_mut().unwrap();
    fields.remove("sealed");
    fields.insert("version".to_owned(), 1.into());
    fields.insert("source".to_owned(), SOURCE.into());
    std::fs::write(&path, old.to_string()).unwrap();
    let records = Records::open(dir.path()).unwrap();
    let loaded = records.load(&rules()).unwrap();
    assert!(loaded.corrupt.is_empty(), "{:?}", loaded.corrupt);
    assert_eq!(&*loaded.records[0].definition.source, SOURCE);
}

/// What an agent makes of a record's file: what it tells of the group, or that it was set aside.
fn made_of(records: &Records, bytes: &[u8]) -> Option<GroupRecord> {
    let dir = records.dir(&GroupUid::new("u1").unwrap());
    for name in [RECORD, SET_ASIDE] {
        // Not replaced: disks take their time for that.
        let _ = std::fs::remove_file(dir.join(name));
    }
    std::fs::write(dir.join(RECORD), bytes).unwrap();
    let mut loaded = records.load(&rules()).unwrap();
    let counts = (
        loaded.records.len(),
        loaded.corrupt.len(),
        loaded.orphans.len(),
    );
    assert!(matches!(counts, (1, 0, 0) | (0, 1, 0)), "{counts:?}");
    loaded.records.pop()
}

#[test]
fn whatever_becomes_of_a_record_the_agent_starts_and_no_group_becomes_another() {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(dir.path()).unwrap();
    let whole = record("u1");
    records.save(&whole, || {}).unwrap();
    let bytes = std::fs::read(records.dir(&whole.uid).join(RECORD)).unwrap();
    let is_same = |found: &GroupRecord| {
        (&found.uid, &found.definition.source) == (&whole.uid, &whole.definition.source)
    };
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 7);
        let found = made_of(&records, &flipped);
        assert!(found.as_ref().is_none_or(is_same), "byte {at}");
        assert!(made_of(&records, &bytes[..at]).is_none(), "cut at {at}");
        let doubled = [&bytes[..at], &bytes[at / 2..]].concat();
        let found = made_of(&records, &doubled);
        assert!(found.as_ref().is_none_or(is_same), "doubled at {at}");
    }
    assert!(made_of(&records, &bytes).is_some());
}
