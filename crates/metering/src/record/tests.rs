use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use burstlet_model::{BootTime, Bytes, ContainerName, GroupName, MilliCpu, Name, Namespace};
use burstlet_model::{GroupUid, WallTime};

use super::*;

fn allocation() -> impl Strategy<Value = Allocation> {
    let amounts = (any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>());
    (amounts, any::<u32>(), "[a-z0-9]{0,8}", any::<u32>()).prop_map(
        |((cpu, memory, ephemeral, volumes), gpus, gpu_model, ports)| Allocation {
            cpu: MilliCpu(cpu),
            memory: Bytes(memory),
            ephemeral: Bytes(ephemeral),
            gpus,
            gpu_model,
            ports,
            volumes: Bytes(volumes),
        },
    )
}

fn opened() -> impl Strategy<Value = SessionFact> {
    let group = ("[a-z]{1,9}", "[a-z]{1,9}(\\.[a-z]{1,9})?");
    let lists = (
        btree_map("\\PC{0,9}", "\\PC{0,9}", 0..5),
        vec("\\PC{0,20}", 0..4),
    );
    (group, "\\PC{0,9}", lists, any::<bool>(), allocation()).prop_map(
        |((namespace, name), owner, (tags, images), spot, allocation)| {
            SessionFact::Opened(Box::new(Opened {
                group: GroupName {
                    namespace: Namespace::new(namespace).unwrap(),
                    name: Name::new(name).unwrap(),
                },
                owner,
                tags,
                images,
                os: "linux".to_owned(),
                arch: "amd64".to_owned(),
                scheduling: match spot {
                    true => Scheduling::Spot,
                    false => Scheduling::OnDemand,
                },
                isolation: "container".to_owned(),
                allocation,
            }))
        },
    )
}

fn used() -> impl Strategy<Value = SessionFact> {
    let counters = (any::<u64>(), any::<u128>(), any::<u64>(), any::<u64>());
    (counters, any::<(u64, u64)>(), any::<bool>()).prop_map(|(counters, net, is_final)| {
        let (cpu_us, memory_byte_ns, memory_sampled_ns, memory_peak) = counters;
        SessionFact::Used(Used {
            cpu_us,
            memory_byte_ns,
            memory_sampled_ns,
            memory_peak,
            net_received: net.0,
            net_sent: net.1,
            is_final,
        })
    })
}

fn session_fact() -> impl Strategy<Value = SessionFact> {
    prop_oneof![
        opened(),
        used(),
        vec(any::<(u64, bool)>(), 0..40).prop_map(|values| {
            let mut samples = Samples::default();
            for (value, of_cpu) in values {
                match of_cpu {
                    true => samples.cpu.count(value),
                    false => samples.memory.count(value),
                }
            }
            SessionFact::Sampled(samples)
        }),
        allocation().prop_map(SessionFact::Resized),
        prop::sample::select(&State::ALL).prop_map(SessionFact::Entered),
        prop::sample::select(&Close::ALL).prop_map(SessionFact::Closed),
        Just(SessionFact::Adopted),
        (any::<u32>(), "\\PC{0,30}", any::<u64>(), any::<u64>()).prop_map(
            |(number, image, ns, bytes)| SessionFact::Pulled(Pull {
                number,
                image,
                ns,
                bytes,
            })
        ),
        ("[a-z]{1,9}", any::<u32>()).prop_map(|(container, number)| {
            let container = ContainerName::new(container).unwrap();
            SessionFact::Restarted(Restart { container, number })
        }),
        any::<(u64, u64)>().prop_map(|(from, to)| SessionFact::Missed(Gap {
            from: BootTime(from),
            to: BootTime(to),
            reason: GapReason::HostRestarted,
        })),
    ]
}

fn fact() -> impl Strategy<Value = Fact> {
    let session = ("[a-z0-9]{1,9}", any::<u32>(), session_fact()).prop_map(|(uid, start, fact)| {
        let uid = GroupUid::new(uid).unwrap();
        Fact::Session {
            id: SessionId { uid, start },
            fact,
        }
    });
    let book = ("\\PC{0,9}", any::<[u8; 32]>(), any::<i64>(), "\\PC{0,99}");
    let book = book.prop_map(|(name, version, effective, text)| {
        Fact::BookInstalled(BookText {
            name,
            version,
            effective: WallTime(effective),
            text,
        })
    });
    prop_oneof![
        9 => session,
        1 => book,
        1 => "\\PC{0,9}".prop_map(|version| Fact::EpochBegan { version }),
        1 => Just(Fact::EpochEnded),
        1 => Just(Fact::ClockStepped),
        1 => any::<(u64, [u8; 32])>()
            .prop_map(|(through, hash)| Fact::Carried(Carry { through, hash })),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    let header = any::<(u64, u32, [u8; 16], [u8; 16], u64, i64)>();
    (header, fact()).prop_map(|((seq, epoch, salt, boot_id, boot, wall), fact)| Record {
        seq,
        epoch,
        salt,
        at: Moment {
            boot_id: BootId(boot_id),
            stamp: Stamp {
                boot: BootTime(boot),
                wall: WallTime(wall),
            },
        },
        fact,
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(record in any_record()) {
        let body = record.encode().unwrap();
        prop_assert_eq!(Record::decode(&body), Ok(record));
    }

    /// One meaning has one form: whatever is accepted is written again as it was.
    #[test]
    fn what_is_read_is_canonical(
        record in any_record(),
        change in any::<(prop::sample::Index, u8)>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let body = record.encode().unwrap();
        let mut changed = body.clone();
        let at = change.0.index(changed.len());
        changed[at] ^= change.1;
        if let Ok(other) = Record::decode(&changed) {
            prop_assert_eq!(other.encode().unwrap(), changed);
        }
        prop_assert!(Record::decode(&body[..cut.index(body.len())]).is_err());
        let longer = [&body[..], &[0]].concat();
        prop_assert_eq!(Record::decode(&longer), Err(DecodeError::Trailing(1)));
    }

    #[test]
    fn reading_never_panics(body in vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&body);
    }
}

fn of(fact: Fact) -> Record {
    Record {
        seq: 7,
        epoch: 2,
        salt: [3; 16],
        at: Moment::default(),
        fact,
    }
}

/// The bytes as `FORMAT.md` has them: they must never change for this schema.
#[test]
fn the_bytes_are_those_of_the_format() {
    let fact = Fact::Session {
        id: SessionId {
            uid: GroupUid::new("g1").unwrap(),
            start: 1,
        },
        fact: SessionFact::Entered(State::Running),
    };
    let mut record = of(fact);
    record.at.stamp.boot = BootTime(0x0102_0304);
    record.at.stamp.wall = WallTime(-2);
    let mut expected = vec![1, 17, 7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
    expected.extend([3; 16]);
    expected.extend([0; 16]);
    expected.extend([4, 3, 2, 1, 0, 0, 0, 0]);
    expected.extend([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    expected.extend([2, 0, 0, 0, b'g', b'1', 1, 0, 0, 0, 5]);
    assert_eq!(record.encode().unwrap(), expected);
}

#[test]
fn a_newer_schema_is_refused_by_name() {
    let mut body = of(Fact::EpochEnded).encode().unwrap();
    body[0] = SCHEMA + 1;
    let error = Record::decode(&body).unwrap_err();
    assert_eq!(error.kind(), burstlet_model::ErrorKind::Unsupported);
    assert!(error.to_string().contains("run the newer version"));
    body[0] = 0;
    assert_eq!(Record::decode(&body), Err(DecodeError::NoSchema));
}

/// What a schema has not is in the next one: whoever knows only the former says so, and takes it for no
/// damage.
#[test]
fn a_record_has_the_first_schema_that_can_say_it() {
    let closed = |why| {
        of(Fact::Session {
            id: SessionId {
                uid: GroupUid::new("g1").unwrap(),
                start: 1,
            },
            fact: SessionFact::Closed(why),
        })
    };
    for why in Close::ALL {
        let record = closed(why);
        let mut body = record.encode().unwrap();
        let expected = if why == Close::SpotEvicted { 2 } else { 1 };
        assert_eq!(body[0], expected, "{why:?}");
        assert_eq!(Record::decode(&body), Ok(record));
        body[0] = 3 - expected;
        assert_eq!(Record::decode(&body), Err(DecodeError::Invalid("schema")));
    }
}

#[test]
fn what_has_no_room_is_refused() {
    let version = "v".repeat(TEXT_BYTES_MAX + 1);
    let error = of(Fact::EpochBegan { version }).encode().unwrap_err();
    assert!(matches!(
        error,
        EncodeError::TooLong {
            max: TEXT_BYTES_MAX,
            ..
        }
    ));
}
