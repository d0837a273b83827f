//! What users are promised of pods: the scheduler binds them, they run, and `kubectl` shows how.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::kubectl::Kubectl;
use crate::node::{IMAGE, Node, condition};

/// Lets a pod onto the node.
const TOLERATIONS: &str = "[{key: virtual-kubelet.io/provider, operator: Exists}]";

/// A pod whose one container runs `script`, with more lines of its `spec`.
pub(crate) fn pod(name: &str, script: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n{}{more}",
        template(script, 2)
    )
}

/// A pod's `spec`, indented.
pub(crate) fn template(script: &str, indent: usize) -> String {
    let lines = [
        format!("tolerations: {TOLERATIONS}"),
        "terminationGracePeriodSeconds: 1".to_owned(),
        "containers:".to_owned(),
        "- name: main".to_owned(),
        format!("  image: {IMAGE}"),
        "  imagePullPolicy: Never".to_owned(),
        format!("  command: [sh, -c, {script:?}]"),
    ];
    let indent = " ".repeat(indent);
    lines
        .iter()
        .map(|line| format!("{indent}{line}\n"))
        .collect()
}

pub(crate) fn running(admin: &Kubectl, name: &str) -> Value {
    let pod = admin.wait_until(&["pod", name], "ready", |pod| {
        pod.is_some_and(|pod| condition(pod, "Ready")["status"] == "True")
    });
    pod.unwrap()
}

pub(crate) fn phase(pod: Option<&Value>) -> &str {
    pod.and_then(|pod| pod["status"]["phase"].as_str())
        .unwrap_or_default()
}

/// What a script says in a pod's container, where it succeeds.
pub(crate) fn inside(node: &Node, name: &str, script: &str) -> String {
    let seen = node.borrow().ctl(&["exec", name, "--", "sh", "-c", script]);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    seen.stdout.trim().to_owned()
}

/// Waits until there is no such pod.
pub(crate) fn gone(admin: &Kubectl, name: &str) {
    admin.wait_until(&["pod", name], "gone", |pod| pod.is_none());
}

/// A bare pod runs, is shown with what it has, and goes when it is deleted.
pub(crate) fn a_pod_runs(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod(
        "bare",
        "trap 'exit 0' TERM; while true; do sleep 0.1; done",
        "",
    ));
    let seen = running(&admin, "bare");
    let status = &seen["status"];
    assert_eq!(status["phase"], "Running");
    assert_eq!(status["qosClass"], "BestEffort");
    assert_eq!(status["podIPs"][0]["ip"], status["podIP"]);
    assert!(status["podIP"].as_str().unwrap().starts_with("10."));
    assert!(status["startTime"].is_string() && status["hostIP"].is_string());
    let container = &status["containerStatuses"][0];
    assert!(
        container["state"]["running"]["startedAt"].is_string(),
        "{container}"
    );
    assert!(
        container["containerID"]
            .as_str()
            .unwrap()
            .starts_with("burstlet://")
    );
    for kind in [
        "PodReadyToStartContainers",
        "Initialized",
        "ContainersReady",
        "PodScheduled",
    ] {
        assert_eq!(condition(&seen, kind)["status"], "True", "{kind}");
    }
    let described = admin.run(&["describe", "pod", "bare"]);
    for reason in ["Scheduled", "Pulled", "Started"] {
        assert!(described.contains(reason), "{reason}: {described}");
    }
    let group = node.borrow().group("bare");
    assert_eq!(group["status"]["origin"], "kubernetes");
    let refused = node.borrow().ctl(&["stop", "bare"]);
    assert!(refused.stderr.contains("kubectl"), "{refused:?}");
    admin.run(&["delete", "pod", "bare"]);
    gone(&admin, "bare");
    assert_ne!(
        node.borrow().ctl(&["get", "bare"]).code,
        Some(0),
        "the group is left"
    );
}

/// What a pod has by reference is there: config maps, secrets, fields, its account's token.
pub(crate) fn a_pod_has_what_it_refers_to(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.run(&[
        "create",
        "configmap",
        "settings",
        "--from-literal=mode=fast",
        "--from-literal=price=$5",
    ]);
    admin.run(&[
        "create",
        "secret",
        "generic",
        "login",
        "--from-literal=password=s$cret",
    ]);
    let more = "    env:\n    \
                - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}\n    \
                - {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}\n    \
                - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}\n    \
                envFrom: [{prefix: S_, configMapRef: {name: settings}}]\n    \
                volumeMounts: [{name: hidden, mountPath: /hidden}]\n  \
                volumes: [{name: hidden, secret: {secretName: login}}]\n";
    admin.apply(&pod("referring", "sleep 1000", more));
    running(&admin, "referring");
    let account = "/var/run/secrets/kubernetes.io/serviceaccount";
    let script = format!(
        "echo $MODE $S_price $PASSWORD $NODE $KUBERNETES_SERVICE_HOST; cat /hidden/password; echo; \
         cat {account}/namespace; echo; grep -c CERTIFICATE {account}/ca.crt; cut -d. -f1 {account}/token"
    );
    let seen = node
        .borrow()
        .ok(&["exec", "referring", "--", "sh", "-c", &script]);
    let lines: Vec<&str> = seen.lines().collect();
    assert_eq!(lines[0], "fast $5 s$cret burst-1 10.97.0.1");
    assert_eq!(lines[1..4], ["s$cret", "default", "2"]);
    assert!(lines[4].starts_with("ey"), "no token: {seen}");
    admin.run(&["delete", "pod", "referring"]);
    admin.run(&["delete", "configmap/settings", "secret/login"]);
}

/// A pod waits for what is missing, says so, and runs when it comes.
pub(crate) fn a_pod_waits_for_what_is_missing(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let more = "    envFrom: [{configMapRef: {name: late}}]\n";
    admin.apply(&pod("waiting", "sleep 1000", more));
    let waiting = admin.wait_until(&["pod", "waiting"], "waiting for its config map", |pod| {
        let state = &pod.unwrap()["status"]["containerStatuses"][0]["state"]["waiting"];
        state["reason"] == "CreateContainerConfigError"
    });
    let waiting = waiting.unwrap();
    let state = &waiting["status"]["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(state["message"], "configmap \"late\" not found");
    assert_eq!(phase(Some(&waiting)), "Pending");
    admin.wait_until(&["events"], "told", |events| {
        let mut events = events.unwrap()["items"].as_array().unwrap().iter();
        events.any(|event| {
            event["reason"] == "Failed"
                && event["message"] == "Error: configmap \"late\" not found"
                && event["involvedObject"]["name"] == "waiting"
        })
    });
    admin.run(&["create", "configmap", "late"]);
    running(&admin, "waiting");
    admin.run(&["delete", "pod/waiting", "configmap/late"]);
}

/// A pod that asks for what is not done fails with the field's path, and is not run.
pub(crate) fn a_pod_is_refused_with_its_path(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("refused", "sleep 1000", "  hostPID: true\n"));
    let pod = admin.wait_until(&["pod", "refused"], "refused", |pod| phase(pod) == "Failed");
    let status = &pod.unwrap()["status"];
    assert_eq!(status["reason"], "NotSupported");
    assert!(
        status["message"].as_str().unwrap().contains("spec.hostPID"),
        "{status}"
    );
    admin.run(&["delete", "pod", "refused"]);
    gone(&admin, "refused");
}

/// A container is started again by its own rules, whatever its pod's policy says.
pub(crate) fn rules_start_containers_again(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let script = "test -e /mark/once && exit 0; touch /mark/once; exit 42";
    let more = "    restartPolicy: Never\n    \
                restartPolicyRules:\n    \
                - {action: Restart, exitCodes: {operator: In, values: [42]}}\n    \
                volumeMounts: [{name: mark, mountPath: /mark}]\n  \
                restartPolicy: Never\n  \
                volumes: [{name: mark, emptyDir: {}}]\n";
    admin.apply(&pod("ruled", script, more));
    let ended = admin.wait_until(&["pod", "ruled"], "over", |pod| {
        matches!(phase(pod), "Succeeded" | "Failed")
    });
    let status = &ended.unwrap()["status"];
    assert_eq!(status["phase"], "Succeeded", "{status}");
    assert_eq!(status["containerStatuses"][0]["restartCount"], 1);
    admin.run(&["delete", "pod", "ruled"]);
    gone(&admin, "ruled");
}

/// A Job runs its pods to their end, and a failure is tried again.
pub(crate) fn a_job_completes(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let template = template("echo $JOB_COMPLETION_INDEX", 6);
    admin.apply(&format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: once}}\nspec:\n  completions: 3\n  \
         parallelism: 2\n  completionMode: Indexed\n  template:\n    spec:\n{template}      restartPolicy: Never\n"
    ));
    admin.run(&[
        "wait",
        "job/once",
        "--for=condition=complete",
        "--timeout=60s",
    ]);
    let pods = admin.get(&["pods", "-l", "job-name=once"]).unwrap();
    for pod in pods["items"].as_array().unwrap() {
        assert_eq!(phase(Some(pod)), "Succeeded");
        let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"];
        assert_eq!(
            (&ended["exitCode"], &ended["reason"]),
            (&0.into(), &"Completed".into())
        );
    }
    admin.run(&["delete", "job", "once"]);
}

/// A Deployment rolls out, rolls on to another template, and back.
pub(crate) fn a_deployment_rolls_out_and_back(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    let deployment = |script| {
        let template = template(script, 6);
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 3\n  \
             selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    \
             spec:\n{template}"
        )
    };
    let rolled_out = || admin.run(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    admin.apply(&deployment("sleep 1001"));
    rolled_out();
    admin.apply(&deployment("sleep 1002"));
    rolled_out();
    admin.run(&["rollout", "undo", "deployment/web"]);
    rolled_out();
    let pods = ["pods", "-l", "app=web"];
    admin.wait_until(&pods, "the first template's only", |pods| {
        let pods = pods.unwrap()["items"].as_array().unwrap();
        let command = |pod: &Value| pod["spec"]["containers"][0]["command"][2] == "sleep 1001";
        pods.len() == 3 && pods.iter().all(command)
    });
    admin.run(&["delete", "deployment", "web"]);
    admin.wait_until(&pods, "gone", |pods| {
        pods.unwrap()["items"] == serde_json::json!([])
    });
}

/// A deleted pod has its grace period, unless it is deleted by force.
pub(crate) fn deletion_gives_grace(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let stubborn = "trap '' TERM; while true; do sleep 0.1; done";
    // Longer than a host name may be.
    let patient = format!("patient-{}", "x".repeat(100));
    for name in [&patient, "forced"] {
        admin.apply(&pod(name, stubborn, ""));
        running(&admin, name);
    }
    let began = std::time::Instant::now();
    admin.run(&["delete", "pod", &patient, "--grace-period=3"]);
    gone(&admin, &patient);
    assert!(
        began.elapsed().as_secs() >= 3,
        "it had {:?}",
        began.elapsed()
    );
    admin.run(&["delete", "pod", "forced", "--grace-period=0", "--force"]);
    let deadline = std::time::Instant::now() + crate::kubectl::PATIENCE;
    while node.borrow().ctl(&["get", "forced"]).code == Some(0) {
        assert!(
            std::time::Instant::now() < deadline,
            "the group of a forced deletion is left"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

/// The agent is killed and started again: pods go on, those deleted meanwhile end.
pub(crate) fn pods_outlive_the_agent(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    let names: Vec<String> = (0..5).map(|n| format!("steady-{n}")).collect();
    for name in &names {
        admin.apply(&pod(name, "sleep 1000", ""));
    }
    let before: Vec<Value> = names.iter().map(|name| running(&admin, name)).collect();
    let token = "sha256sum /var/run/secrets/kubernetes.io/serviceaccount/token";
    let token = || {
        node.borrow()
            .ok(&["exec", "steady-2", "--", "sh", "-c", token])
    };
    let token_before = token();
    node.borrow_mut().crash();
    admin.run(&["delete", "pod", "steady-0", "--wait=false"]);
    admin.run(&["delete", "pod", "steady-1", "--grace-period=0", "--force"]);
    node.borrow_mut().launch();
    gone(&admin, "steady-0");
    let ip = |pod: &Value| pod["status"]["podIP"].clone();
    for (name, before) in names.iter().zip(&before).skip(2) {
        let after = running(&admin, name);
        let status = |pod: &Value| pod["status"]["containerStatuses"][0].clone();
        assert_eq!(status(&after), status(before), "{name} was started again");
        assert_eq!(ip(&after), ip(before));
    }
    let left = |name: &str| node.borrow().ctl(&["get", name]).code == Some(0);
    let deadline = std::time::Instant::now() + crate::kubectl::PATIENCE;
    while left("steady-1") {
        assert!(
            std::time::Instant::now() < deadline,
            "the group of a deleted pod is left"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // The new agent does not know when the token was issued: it asks for another.
    let deadline = std::time::Instant::now() + crate::kubectl::PATIENCE;
    while token() == token_before {
        assert!(
            std::time::Instant::now() < deadline,
            "the token is never renewed"
        );
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let after = running(&admin, "steady-2");
    assert_eq!(after["status"]["containerStatuses"][0]["restartCount"], 0);
    for name in &names[2..] {
        admin.run(&["delete", "pod", name]);
    }
}
