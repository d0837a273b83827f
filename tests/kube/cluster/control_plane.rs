//! The control plane's programs: their certificates, and how they are started, as kubeadm does both.

use super::{API_SERVER, Cluster, METRICS_SERVER};
use crate::pki::Subject;

/// The range that Services have their addresses from.
const SERVICES: &str = "10.97.0.0/16";
/// The range that nodes are allotted their pods' addresses from.
pub(crate) const PODS: &str = "10.244.0.0/16";
/// The API server where it asks others in somebody's name.
const PROXY: &str = "front-proxy-client";
/// What the API server is called from inside the cluster.
const API_NAMES: [&str; 6] = [
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "10.97.0.1",
];

impl Cluster {
    pub(super) fn issue(&self) {
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
        ca.issue(METRICS_SERVER, &client(METRICS_SERVER, &[]));
        ca.kubeconfig(METRICS_SERVER, &self.server);
        let proxy = client(PROXY, &[]);
        self.proxies.issue("proxy", &proxy);
        let address = self.address.to_string();
        let server = Subject {
            name: "kube-apiserver",
            groups: &[],
            hosts: &[&API_NAMES[..], &[address.as_str()]].concat(),
        };
        ca.issue("apiserver", &server);
        ca.key_pair("accounts");
        for who in ["admin", "controllers", "scheduler"] {
            ca.kubeconfig(who, &self.server);
        }
    }

    pub(super) fn start_etcd(&mut self, clients: u16, peers: u16) {
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
        self.run("etcd", &args);
    }

    pub(super) fn start_api_server(&mut self, port: u16, etcd: u16) {
        let ca = &self.authority;
        let args = [
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            format!("--secure-port={port}"),
            format!("--bind-address={}", self.address),
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
        let all = [&args[..], &self.service_flags(), &self.proxy_flags()];
        self.run(API_SERVER, &all.concat());
    }

    /// Where the Service `kubernetes` leads: the address of the API server, or nowhere if no pod reaches
    /// that.
    fn service_flags(&self) -> Vec<String> {
        if !self.address.is_loopback() {
            return vec![format!("--advertise-address={}", self.address)];
        }
        vec![
            // Never dialled.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ]
    }

    /// How the API server says to others who asks.
    fn proxy_flags(&self) -> [String; 7] {
        let of = &self.proxies;
        [
            format!("--proxy-client-cert-file={}", of.file("proxy.crt")),
            format!("--proxy-client-key-file={}", of.file("proxy.key")),
            format!("--requestheader-client-ca-file={}", of.file("ca.crt")),
            format!("--requestheader-allowed-names={PROXY}"),
            "--requestheader-username-headers=X-Remote-User".to_owned(),
            "--requestheader-group-headers=X-Remote-Group".to_owned(),
            "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        ]
    }

    /// What makes a program ask as somebody, and ask the API server who asks itself.
    pub(crate) fn identity_flags(&self, who: &str) -> [String; 3] {
        let config = self.authority.file(&format!("{who}.kubeconfig"));
        let flags = [
            "kubeconfig",
            "authentication-kubeconfig",
            "authorization-kubeconfig",
        ];
        flags.map(|flag| format!("--{flag}={config}"))
    }

    pub(super) fn start_controllers(&mut self) {
        let ca = &self.authority;
        let mut controllers: Vec<String> = self.identity_flags("controllers").into();
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
            // What nodes may take for their pods.
            "--allocate-node-cidrs=true".to_owned(),
            format!("--cluster-cidr={PODS}"),
            "--node-cidr-mask-size=24".to_owned(),
            // How soon what pods use counts, and a pod that has just begun.
            "--horizontal-pod-autoscaler-sync-period=2s".to_owned(),
            "--horizontal-pod-autoscaler-cpu-initialization-period=1s".to_owned(),
            "--horizontal-pod-autoscaler-initial-readiness-delay=1s".to_owned(),
            // A claim that finds no volume is looked at again so often.
            "--pvclaimbinder-sync-period=1s".to_owned(),
        ]);
        let mut scheduler: Vec<String> = self.identity_flags("scheduler").into();
        scheduler.extend([
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ]);
        self.run("kube-controller-manager", &controllers);
        self.run("kube-scheduler", &scheduler);
    }
}
