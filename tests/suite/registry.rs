//! Images from Debian's `docker-registry`, pulled by the agent for `burstctl` and for groups.

mod lure;
mod signatures;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use burstlet_proto::v1::pull_image_response::Progress;
use burstlet_proto::v1::{PullImageRequest, PullImageResponse};
use burstlet_testkit::image::{BuiltImage, ImageBuilder};
use burstlet_testkit::registry::{Auth, Options, PASSWORD, Registry, USERNAME};
use burstlet_tests::{Agent, Setup};
use serde_json::{Value, json};

use super::{agent_with, create_json, shell_group, state, with_container, with_spec};
use lure::Lure;

/// Busybox that says `words` unless it is told something else.
fn image(words: &str) -> BuiltImage {
    let builder = ImageBuilder::busybox().unwrap();
    builder.cmd(&["echo", words]).build().unwrap()
}

/// The section of a registry that speaks plain HTTP, with more keys.
fn plain_section(host: &str, more: &str) -> String {
    format!("[registries.\"{host}\"]\nplain_http = true\n{more}\n")
}

/// A group that says what its image says, and ends.
fn group_of(reference: &str, name: &str, policy: &str) -> Value {
    let mut group = shell_group(name, "");
    let main = &mut group["spec"]["containers"][0];
    main.as_object_mut().unwrap().remove("command");
    let group = with_container(group, "image", json!(reference));
    let group = with_container(group, "imagePullPolicy", json!(policy));
    with_spec(group, "restartPolicy", json!("Never"))
}

/// What a group's image says.
fn says(agent: &Agent, group: &Value) -> String {
    create_json(agent, group);
    let name = group["metadata"]["name"].as_str().unwrap();
    agent.ok(&["wait", name, "--timeout", "30s"]);
    let said = agent.ok(&["logs", name]);
    agent.ok(&["rm", name]);
    said
}

/// Creates a group that cannot have its image, and gives the reason and the message.
fn refused(agent: &Agent, group: &Value) -> (String, String) {
    create_json(agent, group);
    let name = group["metadata"]["name"].as_str().unwrap();
    let waiting = agent.wait_until(name, "refused its image", |group| {
        let reason = state(group)["waiting"]["reason"].as_str();
        reason.is_some_and(|reason| reason.contains("Image"))
    });
    let waiting = &state(&waiting)["waiting"];
    agent.ok(&["rm", "-f", name]);
    let text = |key: &str| waiting[key].as_str().unwrap().to_owned();
    (text("reason"), text("message"))
}

/// A directory with what the agent is to find there: a password, and a credential helper.
fn secrets(token: &Registry) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("password"), PASSWORD).unwrap();
    let answer = json!({"ServerURL": token.host(), "Username": USERNAME, "Secret": PASSWORD});
    let helper = dir.path().join("docker-credential-suite");
    let script = format!(
        "#!/bin/sh\n[ \"$1 $(cat)\" = 'get {}' ] && echo '{answer}'\n",
        token.host()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o700)).unwrap();
    let config = json!({"credHelpers": {token.host(): "suite"}});
    fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    dir
}

#[test]
fn every_kind_of_registry_is_pulled_from() {
    let start = |auth, tls| Registry::start(Options { auth, tls }).unwrap();
    let basic = start(Auth::Basic, false);
    let token = start(Auth::Token, false);
    let own = start(Auth::Basic, true);
    let dir = secrets(&token);
    let at = dir.path().display();
    let more = [
        plain_section(&basic.host(), ""),
        plain_section(&token.host(), ""),
        format!(
            "[registries.\"{}\"]\nca_file = \"{}\"\nusername = \"{USERNAME}\"\npassword_file = \"{at}/password\"\n",
            own.host(),
            own.ca_file().display()
        ),
        format!("[images]\ndocker_config = \"{at}/config.json\"\n"),
    ];
    let path = format!("{at}:{}", std::env::var("PATH").unwrap());
    let agent = Agent::start_as(Setup {
        more: &more.concat(),
        environment: &[("PATH", &path)],
        ..Setup::default()
    });

    let built = image("own authority");
    let reference = own.push("team/app", "v1", &built).unwrap();
    let pulled = agent.ok(&["pull", &reference]);
    assert!(pulled.contains(&built.manifest.digest), "{pulled}");
    assert_eq!(
        says(&agent, &group_of(&reference, "own", "Never")),
        "own authority\n"
    );

    let reference = token.push("team/app", "v1", &image("token")).unwrap();
    assert_eq!(
        says(&agent, &group_of(&reference, "token", "Always")),
        "token\n"
    );
    assert!(token.tokens_given() > 0);

    let reference = basic.push("team/app", "v1", &image("basic")).unwrap();
    let without = agent.ctl(&["pull", &reference]);
    assert_eq!(without.code, Some(1), "{without:?}");
    let with = [
        "pull",
        "--quiet",
        "--username",
        USERNAME,
        "--password-stdin",
        &reference,
    ];
    let wrong = agent.ctl_with(&with, b"wrong\n");
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(!agent.log().contains("wrong"), "{}", agent.log());
    agent.ok_with(&with, PASSWORD.as_bytes());
    // It is here, but only for who has shown that the registry lets him have it.
    let mut foreign = group_of(&reference, "foreign", "IfNotPresent");
    foreign["metadata"]["namespace"] = json!("other");
    let text = foreign.to_string();
    agent.ok_with(&["create", "-f", "-"], text.as_bytes());
    let events = || agent.ok(&["events", "-n", "other", "foreign"]);
    let deadline = std::time::Instant::now() + burstlet_tests::PATIENCE;
    while !events().contains("Failed to pull image") {
        assert!(std::time::Instant::now() < deadline, "{}", events());
    }
    agent.ok(&["rm", "-f", "-n", "other", "foreign"]);
    let credential =
        json!([{"registry": basic.host(), "username": USERNAME, "password": PASSWORD}]);
    let known = with_spec(
        group_of(&reference, "known", "Always"),
        "registryCredentials",
        credential,
    );
    assert_eq!(says(&agent, &known), "basic\n");
    agent.finish();
}

#[test]
fn mirrors_policies_and_progress() {
    let (origin, mirror) = (Registry::plain().unwrap(), Registry::plain().unwrap());
    let mirrors = format!("mirrors = [\"127.0.0.1:1\", \"{}\"]", mirror.host());
    let more = [
        plain_section(&origin.host(), &mirrors),
        plain_section(&mirror.host(), ""),
        plain_section("127.0.0.1:1", ""),
    ];
    let agent = Agent::start_with(&more.concat());

    // One mirror is down, the other has all but the layer.
    let (first, second) = (image("first"), image("second"));
    let reference = origin.push("app", "v1", &second).unwrap();
    for layer in &first.layers {
        origin.put_blob("app", layer).unwrap();
    }
    mirror.put_manifest("app", "v1", &first.manifest).unwrap();
    mirror.put_blob("app", &first.config).unwrap();
    let bytes = first.layers[0].bytes.len() as u64;
    let told = progress(&agent, &reference);
    let image = told.iter().find_map(|told| match told {
        Progress::Image(image) => Some(image),
        Progress::Layers(_) => None,
    });
    assert_eq!(image.unwrap().digest, first.manifest.digest);
    let layers = told.iter().filter_map(|told| match told {
        Progress::Layers(progress) => progress.layers.first(),
        Progress::Image(_) => None,
    });
    let seen: Vec<_> = layers.map(|l| (l.done_bytes, l.total_bytes)).collect();
    let sound = |&(done, total): &(u64, u64)| total == bytes && done <= total;
    assert!(
        !seen.is_empty() && seen.iter().all(sound),
        "{seen:?} of {bytes}"
    );

    drop(mirror);
    for (policy, expected) in [
        ("IfNotPresent", "first\n"),
        ("Always", "second\n"),
        ("Never", "second\n"),
    ] {
        let group = group_of(&reference, "policy", policy);
        assert_eq!(says(&agent, &group), expected, "{policy}");
    }
    let absent = origin.reference("app", "v2");
    let (reason, message) = refused(&agent, &group_of(&absent, "absent", "Never"));
    assert_eq!(reason, "ErrImageNeverPull", "{message}");
    let (reason, message) = refused(&agent, &group_of(&absent, "absent", "Always"));
    assert!(
        ["ErrImagePull", "ImagePullBackOff"].contains(&&*reason),
        "{reason}"
    );
    assert!(message.contains("app:v2"), "{message}");
    agent.finish();
}

/// Pulls over the API and gives all that was told.
fn progress(agent: &Agent, reference: &str) -> Vec<Progress> {
    let api = agent.api();
    let request = PullImageRequest {
        image: reference.to_owned(),
        pull_policy: "Always".to_owned(),
        ..PullImageRequest::default()
    };
    api.run(async {
        let mut answers = api.images().pull(request).await.unwrap().into_inner();
        let mut told = Vec::new();
        while let Some(PullImageResponse { progress }) = answers.message().await.unwrap() {
            told.extend(progress);
        }
        told
    })
}

#[test]
fn nobody_is_led_to_a_private_address() {
    let lure = Lure::start();
    let agent = Agent::start_with(&plain_section(&lure.host(), ""));
    for (repository, expected) in [
        (lure::REDIRECTED, "at the non-public address 127.0.0.2"),
        (lure::TOKEN, "which is not followed: a token server must be"),
    ] {
        let reference = format!("{}/{repository}:v1", lure.host());
        let outcome = agent.ctl(&["pull", &reference]);
        assert_eq!(outcome.code, Some(1), "{outcome:?}");
        assert!(outcome.stderr.contains(expected), "{outcome:?}");
    }
    assert!(!lure.was_followed(), "the agent connected to it");
    agent.finish();
}
