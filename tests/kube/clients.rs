//! What is promised to users of other clients than `kubectl`: those of Rust and of Python, which
//! speak other versions of the protocols, and that of Go without an API server between.

use std::path::Path;
use std::process::Command;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, AttachedProcess};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::kubectl::{Kubectl, PATIENCE, feed};
use crate::node::{NAME, Node, port_of};
use crate::pods::{pod, running};
use crate::programs;

/// Serves one page.
const SERVE: &str = "mkdir /tmp/www && echo the page > /tmp/www/page && \
                     exec httpd -f -p 8080 -h /tmp/www";

/// The client of Python: exec by bytes and by base64, and port-forward.
pub(crate) fn python(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    start(&admin);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kube/clients/client.py");
    let ended = Command::new("timeout")
        .arg("120")
        .arg(programs::python())
        .arg(script)
        .args(["box", "web"])
        .env("KUBECONFIG", admin.config())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{complaints}");
    admin.run(&["delete", "pod", "box", "web"]);
}

/// The executors of client-go, straight at the node's port.
pub(crate) fn go(cluster: &Cluster, _: &Node) {
    const SCRIPT: &str = "cat%3B%20echo%20err%20%3E%262%3B%20exit%205";
    let admin = cluster.admin();
    admin.apply(&pod("box", "exec sleep 1000", ""));
    running(&admin, "box");
    let port = port_of(&admin.get(&["node", NAME]).unwrap());
    let url = format!(
        "https://127.0.0.1:{port}/exec/default/box/main?input=1&output=1&error=1\
         &command=sh&command=-c&command={SCRIPT}"
    );
    // More than a frame, and than a window.
    let sent = "to and fro\n".repeat(100_000);
    for protocol in ["spdy", "websocket"] {
        let mut client = Command::new("timeout");
        client
            .arg("60")
            .arg(programs::go_client())
            .arg(admin.config())
            .args([&url, protocol]);
        let ended = feed(client, sent.as_bytes());
        assert_eq!(
            (ended.code, &*ended.stderr),
            (Some(5), "err\n"),
            "{protocol}"
        );
        assert!(ended.stdout == sent.as_bytes(), "{protocol}");
    }
    admin.run(&["delete", "pod", "box"]);
}

/// The client of Rust: exec, attach and port-forward.
pub(crate) fn rust(cluster: &Cluster, _: &Node) {
    let admin = cluster.admin();
    start(&admin);
    admin.apply(&pod("echo", "cat", "    stdin: true\n"));
    running(&admin, "echo");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let all = async {
        let pods = pods(&admin).await;
        commands(&pods).await;
        attach(&pods).await;
        forward(&pods).await;
    };
    runtime
        .block_on(async { timeout(2 * PATIENCE, all).await })
        .unwrap();
    admin.run(&["delete", "pod", "box", "web", "echo"]);
}

fn start(admin: &Kubectl) {
    admin.apply(&pod("box", "exec sleep 1000", ""));
    let when_it_listens = "    readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}\n";
    admin.apply(&pod("web", SERVE, when_it_listens));
    running(admin, "box");
    running(admin, "web");
}

/// The pods of the cluster, for the client of Rust.
pub(crate) async fn pods(admin: &Kubectl) -> Api<Pod> {
    let kubeconfig = Kubeconfig::read_from(admin.config()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Api::default_namespaced(Client::try_from(config.unwrap()).unwrap())
}

async fn commands(pods: &Api<Pod>) {
    let params = AttachParams::default().stdin(true).stderr(true);
    let script = "read line; echo got $line; echo err >&2; exit 5";
    let mut session = pods
        .exec("box", ["sh", "-c", script], &params)
        .await
        .unwrap();
    let mut stdin = session.stdin().unwrap();
    stdin.write_all(b"words\n").await.unwrap();
    stdin.flush().await.unwrap();
    let status = session.take_status().unwrap();
    assert_eq!(stdout(&mut session).await, "got words\n");
    let mut errors = String::new();
    let mut stderr = session.stderr().unwrap();
    stderr.read_to_string(&mut errors).await.unwrap();
    assert_eq!(errors, "err\n");
    assert_eq!(exit_code(&status.await.unwrap()), Some("5".to_owned()));
    session.join().await.unwrap();
}

async fn attach(pods: &Api<Pod>) {
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut session = pods.attach("echo", &params).await.unwrap();
    let mut stdin = session.stdin().unwrap();
    stdin.write_all(b"to and fro\n").await.unwrap();
    stdin.flush().await.unwrap();
    let mut heard = [0; 11];
    let mut stdout = session.stdout().unwrap();
    stdout.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"to and fro\n");
    session.abort();
}

async fn forward(pods: &Api<Pod>) {
    let mut forwarder = pods.portforward("web", &[8080]).await.unwrap();
    let mut stream = forwarder.take_stream(8080).unwrap();
    let request = b"GET /page HTTP/1.0\r\nHost: web\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nthe page\n"), "{answer}");
    // What it makes of an end that both sides come to at once is its own affair.
    forwarder.abort();
}

async fn stdout(session: &mut AttachedProcess) -> String {
    let mut text = String::new();
    let mut stdout = session.stdout().unwrap();
    stdout.read_to_string(&mut text).await.unwrap();
    text
}

fn exit_code(status: &Status) -> Option<String> {
    let causes = status.details.as_ref()?.causes.as_ref()?;
    let cause = causes
        .iter()
        .find(|cause| cause.reason.as_deref() == Some("ExitCode"))?;
    cause.message.clone()
}
