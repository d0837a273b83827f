//! What operators are promised of many sessions at once: the agent stays small, and forgets them.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::clients::pods;
use crate::cluster::Cluster;
use crate::kubectl::PATIENCE;
use crate::node::Node;
use crate::pods::{pod, running};

/// Sessions that are open together.
const SESSIONS: usize = 200;
/// What the agent may take for them.
const GROWTH_KIB_MAX: u64 = 64 << 10;

/// A session; its command ends with its input.
struct Open {
    _session: AttachedProcess,
    _stdin: Box<dyn Send>,
}

/// 200 commands run at once, each with its own streams.
pub(crate) fn sessions(cluster: &Cluster, node: &Node) {
    let admin = cluster.admin();
    admin.apply(&pod("crowd", "exec sleep 1000", ""));
    running(&admin, "crowd");
    let pid = node.borrow().pid();
    let before = resident_kib(pid);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let opened = async {
        let pods = pods(&admin).await;
        let mut opening: JoinSet<Open> = (0..SESSIONS)
            .map(|number| open(pods.clone(), number))
            .collect();
        let mut open = Vec::new();
        while let Some(session) = opening.join_next().await {
            open.push(session.unwrap());
        }
        open
    };
    let open = runtime
        .block_on(async { timeout(3 * PATIENCE, opened).await })
        .unwrap();
    let grown = resident_kib(pid).saturating_sub(before);
    let listed = node.borrow().ok(&["exec", "crowd", "--", "ps"]);
    let commands = listed.lines().filter(|line| line.ends_with(" cat"));
    assert_eq!(commands.count(), SESSIONS, "{listed}");
    println!("{SESSIONS} sessions take {grown} KiB of the agent's memory");
    assert!(grown < GROWTH_KIB_MAX, "{grown} KiB");
    runtime.block_on(async { drop(open) });
    admin.wait_for("no command is left", || {
        let listed = node.borrow().ctl(&["exec", "crowd", "--", "ps"]);
        listed.code == Some(0) && !listed.stdout.lines().any(|line| line.ends_with(" cat"))
    });
    admin.run(&["delete", "pod", "crowd"]);
}

/// A session whose command has answered.
async fn open(pods: Api<Pod>, number: usize) -> Open {
    let params = AttachParams::default().stdin(true).stderr(false);
    let mut session = pods.exec("crowd", ["cat"], &params).await.unwrap();
    let word = format!("session {number:03}\n");
    let (mut stdin, mut stdout) = (session.stdin().unwrap(), session.stdout().unwrap());
    stdin.write_all(word.as_bytes()).await.unwrap();
    stdin.flush().await.unwrap();
    let mut heard = vec![0; word.len()];
    stdout.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, word.as_bytes());
    Open {
        _session: session,
        _stdin: Box::new(stdin),
    }
}

/// Memory of a process that is in use.
fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut lines = status.lines();
    let line = lines.find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}
