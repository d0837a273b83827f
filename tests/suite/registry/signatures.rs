//! Images that have to be signed: which of them run and are volumes, and what whoever may not use one
//! is told.

use std::path::PathBuf;

use burstlet_testkit::image::Blob;
use burstlet_testkit::signature::{self, Signer};

use super::*;

const OWNER: u8 = 1;
const STRANGER: u8 = 2;
const SCRIPT: &str = "cat /data/etc/group";

/// A directory with the owner's key, and the sections that ask for his signatures of all that a
/// registry has but what begins with `free`.
fn asked_for(registry: &Registry) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let key: PathBuf = dir.path().join("owner.pem");
    fs::write(&key, Signer::new(OWNER).public_pem()).unwrap();
    let (host, key) = (registry.host(), key.display());
    let section = format!("[images.signatures]\n\"{host}\" = [\"{key}\"]\n\"{host}/free\" = []\n");
    (dir, section)
}

/// Signs an image of `team/app` in its registry, as the latest one who does.
fn sign(registry: &Registry, by: u8, signed: &Blob) {
    let name = format!("{}/team/app", registry.host());
    let one = Signer::new(by).sign(signed, &name);
    let manifest = signature::manifest(&[one.layer]);
    registry.put_blob("team/app", &one.payload).unwrap();
    let tag = signature::tag(signed);
    registry.put_manifest("team/app", &tag, &manifest).unwrap();
}

/// Waits until a group's container is refused an image with these words.
fn refused_as(agent: &Agent, name: &str, words: &str) {
    agent.wait_until(name, "refused an image that is not signed", |group| {
        let waiting = &state(group)["waiting"];
        let message = waiting["message"].as_str();
        waiting["reason"] == "SignatureValidationFailed"
            && message.is_some_and(|message| message.contains(words))
    });
}

/// A group that shows what a volume has of an image.
fn shows(name: &str, reference: &str) -> Value {
    let mounts = json!([{"name": "data", "mountPath": "/data"}]);
    let group = with_container(shell_group(name, SCRIPT), "volumeMounts", mounts);
    let volumes =
        json!([{"name": "data", "image": {"reference": reference, "pullPolicy": "Always"}}]);
    with_spec(
        with_spec(group, "restartPolicy", json!("Never")),
        "volumes",
        volumes,
    )
}

#[test]
fn only_a_signed_image_runs_and_is_a_volume() {
    let registry = Registry::plain().unwrap();
    let (_dir, signatures) = asked_for(&registry);
    let more = [plain_section(&registry.host(), ""), signatures];
    let agent = agent_with(&more.concat());
    let [one, other] = ["one", "other"].map(image);
    let signed = registry.push("team/app", "signed", &one).unwrap();
    let unsigned = registry.push("team/app", "unsigned", &other).unwrap();
    let free = registry.push("free/app", "v1", &other).unwrap();
    sign(&registry, OWNER, &one.manifest);

    assert_eq!(
        says(&agent, &group_of(&signed, "signed", "Always")),
        "one\n"
    );
    assert_eq!(says(&agent, &group_of(&free, "free", "Always")), "other\n");
    let shown = says(&agent, &shows("shows", &signed));
    assert!(shown.contains("root:x:0:"), "{shown}");

    // What is here by another name needs its signature all the same.
    create_json(&agent, &group_of(&unsigned, "unsigned", "IfNotPresent"));
    create_json(&agent, &shows("hides", &unsigned));
    for name in ["unsigned", "hides"] {
        refused_as(&agent, name, "has no signature of it; have it signed");
    }
    let outcome = agent.ctl(&["pull", &unsigned]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("has to be signed"), "{outcome:?}");
    sign(&registry, STRANGER, &other.manifest);
    let outcome = agent.ctl(&["pull", &unsigned]);
    assert!(outcome.stderr.contains("none of the keys"), "{outcome:?}");

    // Once it is signed, they run: nobody has to create them anew.
    sign(&registry, OWNER, &other.manifest);
    for (name, expected) in [("unsigned", "other\n"), ("hides", "root:x:0:")] {
        agent.wait_until(name, "done", |g| g["status"]["finishedAt"].is_string());
        let said = agent.ok(&["logs", name]);
        assert!(said.contains(expected), "{said}");
        agent.ok(&["rm", name]);
    }
    agent.finish();
}

#[test]
fn what_is_here_already_needs_its_signature_once_it_is_asked_for() {
    let registry = Registry::plain().unwrap();
    let (_dir, signatures) = asked_for(&registry);
    let mut agent = Agent::start_with(&plain_section(&registry.host(), ""));
    let image = image("here");
    let reference = registry.push("team/app", "v1", &image).unwrap();
    let stays = with_container(
        group_of(&reference, "stays", "IfNotPresent"),
        "command",
        json!(["sleep", "1000"]),
    );
    create_json(&agent, &stays);
    let is_running = |group: &Value| group["status"]["phase"] == "Running";
    agent.wait_until("stays", "running", is_running);

    agent.stop();
    let config = fs::read_to_string(agent.config()).unwrap();
    fs::write(agent.config(), format!("{config}\n{signatures}")).unwrap();
    agent.launch();
    assert!(is_running(&agent.group("stays")), "what runs stays");
    for policy in ["Never", "IfNotPresent"] {
        create_json(&agent, &group_of(&reference, "new", policy));
        refused_as(&agent, "new", "has no signature of it");
        agent.ok(&["rm", "-f", "new"]);
    }
    sign(&registry, OWNER, &image.manifest);
    assert_eq!(
        says(&agent, &group_of(&reference, "new", "Never")),
        "here\n"
    );
    // What was found is kept: nobody has to answer for it any more.
    drop(registry);
    assert_eq!(
        says(&agent, &group_of(&reference, "again", "Never")),
        "here\n"
    );
    agent.ok(&["rm", "-f", "stays"]);
    agent.finish();
}
