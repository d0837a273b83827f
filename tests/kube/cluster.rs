//! A control plane on free ports, with its own authority: RBAC and the Node authorizer, NodeRestriction
//! and bootstrap tokens, as kubeadm configures them.

mod control_plane;

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub(crate) use self::control_plane::PODS;
use crate::kubectl::Kubectl;
use crate::pki::{Authority, Subject};
use crate::programs;

/// How long the control plane may take to come up, or to go down.
const PATIENCE: Duration = Duration::from_secs(120);
/// A bootstrap token: its id and its secret.
const TOKEN: (&str, &str) = ("abcdef", "0123456789abcdef");
/// Where pods find the API server.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 97, 0, 1);
/// Who tells what pods use, as a user and as a program.
pub(crate) const METRICS_SERVER: &str = "metrics-server";
/// Its program.
const API_SERVER: &str = "kube-apiserver";

/// A running control plane; dropping it ends it.
pub(crate) struct Cluster {
    directory: tempfile::TempDir,
    programs: PathBuf,
    authority: Authority,
    /// Who vouches for the API server where it asks others in somebody's name.
    proxies: Authority,
    /// Where the API server and nodes are reached.
    address: Ipv4Addr,
    server: String,
    /// In the order of their start.
    running: Vec<(&'static str, Child)>,
}

/// An API server that is stopped.
pub(crate) struct Paused(Pid);

/// A program that runs beside the control plane.
pub(crate) struct Beside(Child);

impl Cluster {
    /// Starts a control plane on loopback and waits until it answers and its controllers work.
    pub(crate) fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST)
    }

    /// Starts one at an address of this host. If pods reach that, the API server's Service leads there.
    pub(crate) fn start_at(address: Ipv4Addr) -> Self {
        let programs = programs::directory();
        let directory = tempfile::Builder::new()
            .prefix("burstlet-kube-")
            .tempdir()
            .unwrap();
        let authority = Authority::new(&directory.path().join("pki"));
        let proxies = Authority::new(&directory.path().join("proxies"));
        let [api, etcd, peers] = free_ports();
        let mut cluster = Self {
            programs,
            address,
            server: format!("https://{address}:{api}"),
            running: Vec::new(),
            directory,
            authority,
            proxies,
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

    /// Where its API server and its nodes are reached.
    pub(crate) const fn address(&self) -> Ipv4Addr {
        self.address
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
        self.kubeconfig(node, &format!("system:node:{node}"), &["system:nodes"])
    }

    /// A kubeconfig with the identity of a user, whose files have this name.
    pub(crate) fn kubeconfig(&self, file: &str, user: &str, groups: &[&str]) -> PathBuf {
        let subject = Subject {
            name: user,
            groups,
            hosts: &[],
        };
        self.authority.issue(file, &subject);
        self.authority.kubeconfig(file, &self.server)
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

    /// What nodes have written, one JSON object in a line for each request.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    fn audit_policy(&self) -> PathBuf {
        let path = self.directory.path().join("audit.yaml");
        fs::write(&path, include_str!("audit.yaml")).unwrap();
        path
    }

    /// What kubeadm creates so that nodes can join and be asked.
    fn configure(&self) {
        let objects = include_str!("cluster.yaml")
            .replace("TOKEN_ID", TOKEN.0)
            .replace("TOKEN_SECRET", TOKEN.1);
        self.admin().apply(&objects);
    }

    /// Starts a further program of the cluster's, which ends when what is returned is dropped.
    pub(crate) fn start_beside(&self, program: &Path, args: &[String]) -> Beside {
        Beside(self.spawn(program, args))
    }

    /// Stops the API server until what is returned is dropped: it is there, and says nothing.
    pub(crate) fn pause(&self) -> Paused {
        let mut running = self.running.iter();
        let (_, server) = running.find(|(name, _)| *name == API_SERVER).unwrap();
        let server = Pid::from_raw(server.id().cast_signed());
        kill(server, Signal::SIGSTOP).unwrap();
        Paused(server)
    }

    fn run(&mut self, name: &'static str, args: &[String]) {
        let child = self.spawn(&self.programs.join(name), args);
        self.running.push((name, child));
    }

    fn spawn(&self, program: &Path, args: &[String]) -> Child {
        let name = program.file_name().unwrap().to_str().unwrap();
        let log = fs::File::create(self.log_file(name)).unwrap();
        // Whatever ends us ends them too.
        Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(args)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
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
        let logs = self
            .running
            .iter()
            .map(|(name, _)| format!("--- {name}\n{}", last(&self.log_file(name))));
        logs.collect::<Vec<_>>().join("\n")
    }
}

/// The last lines of a file.
fn last(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

impl Drop for Beside {
    fn drop(&mut self) {
        end(&mut self.0);
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
        while let Some((_, mut child)) = self.running.pop() {
            end(&mut child);
        }
    }
}

fn end(child: &mut Child) {
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
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    // All held at once, so that they differ.
    let held = std::array::from_fn::<_, N, _>(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}
