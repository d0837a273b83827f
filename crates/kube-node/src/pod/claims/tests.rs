use super::*;
use crate::pod::seen::tests::pod;

const UID: &str = "0b1f5e4e-0000-4000-8000-000000000001";

/// A pod with one volume, `data`.
fn with(volume: &Value) -> Pod {
    let mut named = json!({"name": "data"});
    for (word, source) in volume.as_object().unwrap() {
        named[word] = source.clone();
    }
    pod(json!({"metadata": {"name": "web-0", "uid": UID}, "spec": {"volumes": [named]}}))
}

fn claiming() -> Pod {
    with(&json!({"persistentVolumeClaim": {"claimName": "disk"}}))
}

/// A claim that is bound to a volume with this specification.
fn bound(spec: &Value) -> Claim {
    let mut volume = json!({"metadata": {"name": "pv-1"}, "spec": spec});
    volume["spec"]["claimRef"] = json!({"uid": "c-1"});
    Claim {
        claim: json!({
            "metadata": {"uid": "c-1"},
            "spec": {"volumeName": "pv-1"},
            "status": {"phase": "Bound"},
        }),
        volume: Some(volume),
    }
}

fn local() -> Value {
    json!({"local": {"path": "/srv/a"}, "volumeMode": "Filesystem"})
}

fn resolved(pod: &Pod, name: &str, claim: Option<Claim>) -> Result<Value, Unusable> {
    let mut fetched = Fetched {
        node: json!({"labels": {"disk": "fast"}}),
        ..Fetched::default()
    };
    fetched
        .claims
        .extend(claim.map(|claim| (name.to_owned(), claim)));
    let mut volumes = resolve(pod, &pod.spec(), &fetched)?;
    Ok(volumes.remove("data").unwrap())
}

/// What is found of the claim that [`claiming`] refers to.
fn check(claim: Option<Claim>, expected: &Result<Value, Unusable>) {
    assert_eq!(resolved(&claiming(), "disk", claim), *expected);
}

fn waits(problem: &str) -> Result<Value, Unusable> {
    Err(Unusable::Yet(format!(
        "Unable to attach or mount volumes: unmounted volumes=[data]: error processing PVC \
         shop/disk: {problem}"
    )))
}

#[test]
fn paths_of_this_machine() {
    let expected = json!({"persistent": {
        "path": "/srv/a", "type": "Directory", "readOnly": false, "followsFsGroup": true,
    }});
    check(Some(bound(&local())), &Ok(expected));
    let made = json!({
        "hostPath": {"path": "/srv/b", "type": "DirectoryOrCreate"},
        "capacity": {"storage": "10Gi"},
    });
    let reading = json!({"persistentVolumeClaim": {"claimName": "disk", "readOnly": true}});
    let expected = json!({"persistent": {
        "path": "/srv/b", "type": "DirectoryOrCreate", "readOnly": true, "capacity": "10Gi",
    }});
    let found = resolved(&with(&reading), "disk", Some(bound(&made)));
    assert_eq!(found, Ok(expected));
}

#[test]
fn exports_are_left_to_who_mounts_them() {
    let nfs = bound(&json!({"nfs": {"server": "files", "path": "/x", "readOnly": true}}));
    let expected = json!({"nfs": {"server": "files", "path": "/x", "readOnly": true}});
    check(Some(nfs), &Ok(expected));
}

#[test]
fn what_is_not_mounted_is_named() {
    let csi = json!({"csi": {"driver": "ebs.example.com"}, "capacity": {}, "accessModes": []});
    let block = json!({"local": {"path": "/dev/sdb"}, "volumeMode": "Block"});
    let mut options = local();
    options["mountOptions"] = json!(["noatime"]);
    for (spec, word) in [
        (csi, "of the kind csi (ebs.example.com),"),
        (json!({"iscsi": {"lun": 1}}), "of the kind iscsi,"),
        (block, "volumeMode Block"),
        (options, "mountOptions"),
    ] {
        let Err(Unusable::Ever(text)) = resolved(&claiming(), "disk", Some(bound(&spec))) else {
            panic!("{word}: not refused");
        };
        let begin = "Pod was rejected: spec.volumes[0]: the claim \"disk\" is ";
        assert!(text.starts_with(begin) && text.contains(word), "{text}");
    }
}

#[test]
fn a_claim_is_waited_for() {
    check(None, &waits("persistentvolumeclaim \"disk\" not found"));
    let mut claim = bound(&local());
    claim.claim["status"]["phase"] = "Pending".into();
    check(Some(claim.clone()), &waits("PVC is not bound"));
    claim.claim["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    check(Some(claim), &waits("PVC is being deleted"));
    let mut gone = bound(&local());
    gone.volume = None;
    check(Some(gone), &waits("persistentvolume \"pv-1\" not found"));
    let mut others = bound(&local());
    others.volume.as_mut().unwrap()["spec"]["claimRef"]["uid"] = "c-2".into();
    let problem = "PersistentVolume \"pv-1\" is not bound to the claim";
    check(Some(others), &waits(problem));
}

#[test]
fn a_claim_that_is_made_for_a_pod_is_its_own() {
    let pod = with(&json!({"ephemeral": {"volumeClaimTemplate": {}}}));
    assert_eq!(
        names("web-0", &pod.spec()),
        ["web-0-data".to_owned()].into()
    );
    let mut claim = bound(&local());
    let foreign = resolved(&pod, "web-0-data", Some(claim.clone()));
    let Err(Unusable::Yet(text)) = foreign else {
        panic!("another's claim is taken");
    };
    let problem = "PVC shop/web-0-data was not created for pod shop/web-0 (pod is not owner)";
    assert!(text.ends_with(problem), "{text}");
    claim.claim["metadata"]["ownerReferences"] = json!([{"uid": UID, "controller": true}]);
    assert!(resolved(&pod, "web-0-data", Some(claim)).is_ok());
}

#[test]
fn a_volume_is_used_where_it_may_be() {
    let mut spec = local();
    let term = |value: &str| {
        json!({"required": {"nodeSelectorTerms": [{"matchExpressions": [
            {"key": "disk", "operator": "In", "values": [value]},
        ]}]}})
    };
    spec["nodeAffinity"] = term("fast");
    assert!(resolved(&claiming(), "disk", Some(bound(&spec))).is_ok());
    spec["nodeAffinity"] = term("slow");
    let text = "MountVolume.NodeAffinity check failed for volume \"pv-1\" : no matching \
                NodeSelectorTerms";
    check(Some(bound(&spec)), &Err(Unusable::Yet(text.to_owned())));
}

#[test]
fn what_a_group_has_it_keeps() {
    let source = json!({"persistent": {"path": "/srv/a", "type": "Directory"}});
    let mut volume = source.clone();
    volume["name"] = "data".into();
    let group = json!({"spec": {"volumes": [volume, {"name": "tmp", "emptyDir": {}}]}});
    assert_eq!(kept(&group), [("data".to_owned(), source)].into());
}
