//! A control plane on loopback and free ports, with its own authority: RBAC and the Node authorizer,
//! NodeRestriction and bootstrap tokens, as kubeadm configures them.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::kubectl::Kubectl;
use crate::pki::{Authority, Subject};
use crate::programs;

/// How long the control plane may take to come up, or to go down.
const PATIENCE: Duration = Duration::from_secs(120);
/// A bootstrap token: its id and its secret.
const TOKEN: (&str, &str) = ("abcdef", "0123456789abcdef");
/// The range that Services have their addresses from.
const SERVICES: &str = "10.97.0.0/16";
/// Its program.
const API_SERVER: &str = "kube-apiserver";
/// What the API server is called from inside the cluster.
const API_NAMES: [&str; 6] = [
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "10.97.0.1",
];

/// A running control plane; dropping it ends it.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
    authority: Authority,
    server: String,
    /// In the order of their start.
    running: Vec<(&'static str, Child)>,
}

/// An API server that is stopped.
pub(crate) struct Paused(Pid);

impl Cluster {
    /// Starts a control plane and waits until it answers and its controllers work.
    pub(crate) fn start() -> Self {
        let programs = programs::directory();
        let directory = tempfile::Builder::new()
            .prefix("burstlet-kube-")
            .tempdir()
            .unwrap();
        let authority = Authority::new(&directory.path().join("pki"));
        let [api, etcd, peers] = free_ports();
        let mut cluster = Self {
            programs,
            server: format!("https://127.0.0.1:{api}"),
            running: Vec::new(),
            directory,
            authority,
        };
        cluster.issue();
        cluster.start_etcd(etcd, peers);
        cluster.start_api_server(api, etcd);
        cluster.wait("the API server is ready", |cluster| {
            cluster
                .admin()
                .try_run(&["get", "--raw", "/readyz"])
                .is_ok()
        });
        cluster.start_controllers();
        cluster.configure();
        cluster.wait("the default service account is there", |cluster| {
            cluster
                .admin()
                .try_run(&["get", "serviceaccount", "default"])
                .is_ok()
        });
        cluster
    }

    /// A directory that goes with the cluster.
    pub(crate) fn scratch(&self) -> &Path {
        self.directory.path()
    }

    /// Where its programs are, `kubectl` among them.
    pub(crate) fn programs(&self) -> &Path {
        &self.programs
    }

    /// The certificate of the authority of everybody here.
    pub(crate) fn authority(&self) -> String {
        self.authority.file("ca.crt")
    }

    /// `kubectl` for who may do everything.
    pub(crate) fn admin(&self) -> Kubectl {
        self.kubectl("admin")
    }

    /// `kubectl` with the identity of a node.
    pub(crate) fn as_node(&self, node: &str) -> Kubectl {
        self.node_kubeconfig(node);
        self.kubectl(node)
    }

    /// A kubeconfig with the identity of a node.
    pub(crate) fn node_kubeconfig(&self, node: &str) -> PathBuf {
        let subject = Subject {
            name: &format!("system:node:{node}"),
            groups: &["system:nodes"],
            hosts: &[],
        };
        self.authority.issue(node, &subject);
        self.authority.kubeconfig(node, &self.server)
    }

    /// A node's certificate that is good until then, and its key, as PEM; in the files that the node's
    /// kubeconfig names, too.
    pub(crate) fn node_certificate(&self, node: &str, until: SystemTime) -> String {
        let subject = Subject {
            name: &format!("system:node:{node}"),
            groups: &["system:nodes"],
            hosts: &[],
        };
        self.authority.issue_until(node, &subject, until);
        let read = |suffix| fs::read_to_string(self.authority.file(&format!("{node}.{suffix}")));
        format!("{}{}", read("crt").unwrap(), read("key").unwrap())
    }

    /// A kubeconfig with which a new node asks for its certificate.
    pub(crate) fn bootstrap_kubeconfig(&self) -> PathBuf {
        let token = format!("{}.{}", TOKEN.0, TOKEN.1);
        self.authority
            .token_kubeconfig("bootstrap", &self.server, &token)
    }

    /// `kubectl` without credentials.
    pub(crate) fn nobody(&self) -> Kubectl {
        Kubectl::new(self.programs.join("kubectl"), PathBuf::from("/dev/null"))
    }

    /// `kubectl` with a bootstrap token.
    pub(crate) fn as_bootstrap(&self) -> Kubectl {
        self.bootstrap_kubeconfig();
        self.kubectl("bootstrap")
    }

    fn kubectl(&self, who: &str) -> Kubectl {
        let config = PathBuf::from(self.authority.file(&format!("{who}.kubeconfig")));
        Kubectl::new(self.programs.join("kubectl"), config)
    }

    fn issue(&self) {
        let ca = &self.authority;
        let client = |name, groups| Subject {
            name,
            groups,
            hosts: &[],
        };
        ca.issue("admin", &client("admin", &["system:masters"]));
        ca.issue(
            "controllers",
            &client("system:kube-controller-manager", &[]),
        );
        ca.issue("scheduler", &client("system:kube-scheduler", &[]));
        ca.issue(
            "kubelet-client",
            &client("kube-apiserver-kubelet-client", &[]),
        );
        let server = Subject {
            name: "kube-apiserver",
            groups: &[],
            hosts: &API_NAMES,
        };
        ca.issue("apiserver", &server);
        ca.key_pair("accounts");
        for who in ["admin", "controllers", "scheduler"] {
            ca.kubeconfig(who, &self.server);
        }
    }

    fn start_etcd(&mut self, clients: u16, peers: u16) {
        let url = |port| format!("http://127.0.0.1:{port}");
        let data = self.directory.path().join("etcd").display().to_string();
        let args = [
            format!("--data-dir={data}"),
            format!("--listen-client-urls={}", url(clients)),
            format!("--advertise-client-urls={}", url(clients)),
            format!("--listen-peer-urls={}", url(peers)),
            format!("--initial-advertise-peer-urls={}", url(peers)),
            format!("--initial-cluster=default={}", url(peers)),
            // What is lost in a power cut is a test's.
            "--unsafe-no-fsync".to_owned(),
        ];
        self.spawn("etcd", &args);
    }

    fn start_api_server(&mut self, port: u16, etcd: u16) {
        let ca = &self.authority;
        let args = [
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            // Never dialled: nothing here leads the Service `kubernetes` anywhere.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--client-ca-file={}", ca.file("ca.crt")),
            format!("--tls-cert-file={}", ca.file("apiserver.crt")),
            format!("--tls-private-key-file={}", ca.file("apiserver.key")),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", ca.file("accounts.pub")),
            format!(
                "--service-account-signing-key-file={}",
                ca.file("accounts.key")
            ),
            format!("--service-cluster-ip-range={SERVICES}"),
            "--authorization-mode=Node,RBAC".to_owned(),
            "--enable-admission-plugins=NodeRestriction".to_owned(),
            "--enable-bootstrap-token-auth".to_owned(),
            format!(
                "--kubelet-client-certificate={}",
                ca.file("kubelet-client.crt")
            ),
            format!("--kubelet-client-key={}", ca.file("kubelet-client.key")),
            format!("--kubelet-certificate-authority={}", ca.file("ca.crt")),
            "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--audit-policy-file={}", self.audit_policy().display()),
            format!("--audit-log-path={}", self.audit_log().display()),
        ];
        self.spawn(API_SERVER, &args);
    }

    /// What nodes have written, one JSON object in a line for each request.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn audit_policy(&self) -> PathBuf {
        let path = self.directory.path().join("audit.yaml");
        fs::write(&path, include_str!("audit.yaml")).unwrap();
        path
    }

    fn start_controllers(&mut self) {
        let ca = &self.authority;
        let as_who = |who: &str| {
            let config = ca.file(&format!("{who}.kubeconfig"));
            [
                "kubeconfig",
                "authentication-kubeconfig",
                "authorization-kubeconfig",
            ]
            .map(|flag| format!("--{flag}={config}"))
        };
        let mut controllers: Vec<String> = as_who("controllers").into();
        controllers.extend([
            "--use-service-account-credentials".to_owned(),
            format!(
                "--service-account-private-key-file={}",
                ca.file("accounts.key")
            ),
            format!("--root-ca-file={}", ca.file("ca.crt")),
            format!("--cluster-signing-cert-file={}", ca.file("ca.crt")),
            format!("--cluster-signing-key-file={}", ca.file("ca.key")),
            "--controllers=*,bootstrapsigner,tokencleaner".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            // A claim that finds no volume is looked at again so often.
            "--pvclaimbinder-sync-period=1s".to_owned(),
        ]);
        let mut scheduler: Vec<String> = as_who("scheduler").into();
        scheduler.extend([
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ]);
        self.spawn("kube-controller-manager", &controllers);
        self.spawn("kube-scheduler", &scheduler);
    }

    /// What kubeadm creates so that nodes can join and be asked.
    fn configure(&self) {
        let objects = include_str!("cluster.yaml")
            .replace("TOKEN_ID", TOKEN.0)
            .replace("TOKEN_SECRET", TOKEN.1);
        self.admin().apply(&objects);
    }

    /// Stops the API server until what is returned is dropped: it is there, and says nothing.
    pub(crate) fn pause(&self) -> Paused {
        let mut running = self.running.iter();
        let (_, server) = running.find(|(name, _)| *name == API_SERVER).unwrap();
        let server = Pid::from_raw(server.id().cast_signed());
        kill(server, Signal::SIGSTOP).unwrap();
        Paused(server)
    }

    fn spawn(&mut self, name: &'static str, args: &[String]) {
        let log = fs::File::create(self.log_file(name)).unwrap();
        // Whatever ends us ends them too.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(self.programs.join(name))
            .args(args)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.running.push((name, child));
    }

    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(self) {
            let ended = self
                .running
                .iter_mut()
                .find_map(|(name, child)| child.try_wait().unwrap().map(|_| *name));
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "{what}: not in time, or {ended:?} has ended\n{}",
                self.logs()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn log_file(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }

    /// The last lines of each program's log.
    fn logs(&self) -> String {
        let last = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(10)..].join("\n")
        };
        let logs = self
            .running
            .iter()
            .map(|(name, _)| format!("--- {name}\n{}", last(&self.log_file(name))));
        logs.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        kill(self.0, Signal::SIGCONT).unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The last started goes first: what needs the API server should not miss it.
        while let Some((_, child)) = self.running.pop() {
            end(child);
        }
    }
}

fn end(mut child: Child) {
    let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
    let deadline = Instant::now() + Duration::from_secs(5);
    while Instant::now() < deadline {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Ports that were free a moment ago.
fn free_ports<const N: usize>() -> [u16; N] {
    // All held at once, so that they differ.
    let held = std::array::from_fn::<_, N, _>(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
