//! Where the control plane's programs come from: `KUBEBUILDER_ASSETS`, or built once from the Go
//! module beside this file and kept in cargo's target directory, as are CoreDNS, Helm and clients.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::fcntl::{Flock, FlockArg};

use crate::cluster::METRICS_SERVER;

/// What a control plane is made of, and what it is driven by.
const NAMES: [&str; 5] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];
/// Who leads Services to pods.
const KUBE_PROXY: &str = "kube-proxy";
/// The release that the module's `go.mod` names; clients and tests parse what a server says of it.
const VERSION: &str = "v1.36.3";
/// Helm's package; its module's `go.mod` has the version.
const HELM: &str = "helm.sh/helm/v4/cmd/helm";
/// Python's client, as pip names it.
const PYTHON_CLIENT: &str = "kubernetes==37.0.2";

/// A directory with all programs.
pub(crate) fn directory() -> PathBuf {
    if let Some(given) = std::env::var_os("KUBEBUILDER_ASSETS") {
        let given = PathBuf::from(given);
        let missing: Vec<&str> = NAMES
            .into_iter()
            .filter(|name| !given.join(name).exists())
            .collect();
        assert!(
            missing.is_empty(),
            "KUBEBUILDER_ASSETS={} lacks {missing:?}; unset it to have them built",
            given.display()
        );
        return given;
    }
    control_plane()
}

/// A Python that has the client for Kubernetes, installed once from PyPI.
pub(crate) fn python() -> PathBuf {
    let cache = target_directory().join("python-clients");
    fs::create_dir_all(&cache).unwrap();
    let lock = fs::File::open(&cache).unwrap();
    let _turn = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let directory = cache.join(PYTHON_CLIENT.replace("==", "-"));
    let python = directory.join("bin/python");
    if !directory.exists() {
        // It counts when all is there. Its interpreter finds its packages wherever it is.
        let new = cache.join("new");
        let _ = fs::remove_dir_all(&new);
        let quietly = |program: &Path, args: &[&str]| {
            let done = Command::new(program).args(args).status();
            assert!(
                done.is_ok_and(|status| status.success()),
                "{} {args:?} failed: hack/test installs python3-venv",
                program.display()
            );
        };
        let new_path = new.to_str().unwrap();
        quietly(Path::new("python3"), &["-m", "venv", new_path]);
        let pip = ["-m", "pip", "install", "--quiet", PYTHON_CLIENT];
        quietly(&new.join("bin/python"), &pip);
        fs::rename(&new, &directory).unwrap();
    }
    python
}

/// Helm, built once from the Go module beside this file.
pub(crate) fn helm() -> PathBuf {
    let module = modules().join("helm");
    let made = kept("helm", &module, &["go.mod", "go.sum"], |module, new| {
        build(module, HELM, "-s -w", &new.join("helm"));
    });
    made.join("helm")
}

/// A client on client-go's executors.
pub(crate) fn go_client() -> PathBuf {
    let module = modules().join("clients/go");
    let sources = ["go.mod", "go.sum", "main.go"];
    let made = kept("go-client", &module, &sources, |module, new| {
        build(module, ".", "-s -w", &new.join("client"));
    });
    made.join("client")
}

/// Who tells what pods use, which `kubectl top` and autoscalers ask. It is part of the program that the
/// control plane is.
pub(crate) fn metrics_server() -> PathBuf {
    control_plane().join(METRICS_SERVER)
}

/// Who leads Services to pods; part of that program, too.
pub(crate) fn kube_proxy() -> PathBuf {
    control_plane().join(KUBE_PROXY)
}

/// Who knows the names of Services, built once from the Go module beside this file.
pub(crate) fn coredns() -> PathBuf {
    let module = modules().join("coredns");
    let sources = ["go.mod", "go.sum", "main.go"];
    let made = kept("coredns", &module, &sources, |module, new| {
        build(module, ".", "-s -w", &new.join("coredns"));
    });
    made.join("coredns")
}

/// The control plane, one program with many names.
fn control_plane() -> PathBuf {
    let sources = ["go.mod", "go.sum", "main.go"];
    let module = modules().join("controlplane");
    kept("controlplane", &module, &sources, |module, new| {
        let flags = ["k8s.io/component-base", "k8s.io/client-go/pkg"].map(|package| {
            let package = format!("{package}/version");
            format!(
                "-X {package}.gitVersion={VERSION} -X {package}.gitMajor=1 -X {package}.gitMinor=36"
            )
        });
        let flags = format!("-s -w {}", flags.join(" "));
        build(module, ".", &flags, &new.join("controlplane"));
        for name in NAMES.into_iter().chain([KUBE_PROXY, METRICS_SERVER]) {
            symlink("controlplane", new.join(name)).unwrap();
        }
    })
}

/// Makes what is not there yet. The directory's name says from what, so that a change of the module
/// makes it anew; of several suites that start together, one makes it and the others wait.
fn kept(name: &str, module: &Path, sources: &[&str], make: impl FnOnce(&Path, &Path)) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    for source in sources {
        fs::read(module.join(source)).unwrap().hash(&mut hasher);
    }
    VERSION.hash(&mut hasher);
    let cache = target_directory().join(name);
    fs::create_dir_all(&cache).unwrap();
    let lock = fs::File::open(&cache).unwrap();
    let _turn = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let directory = cache.join(format!("{:016x}", hasher.finish()));
    if !directory.exists() {
        let new = cache.join("new");
        let _ = fs::remove_dir_all(&new);
        fs::create_dir(&new).unwrap();
        make(module, &new);
        fs::rename(&new, &directory).unwrap();
    }
    directory
}

/// Builds a package of a Go module.
fn build(module: &Path, package: &str, flags: &str, program: &Path) {
    println!("building {}: some minutes, once", module.display());
    let built = Command::new("go")
        .current_dir(module)
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .args(["build", "-trimpath", "-ldflags", flags, "-o"])
        .arg(program)
        .arg(package)
        .status()
        .expect("Go 1.26 is needed: hack/test installs it");
    assert!(built.success(), "{} cannot be built", module.display());
}

fn modules() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kube")
}

/// Where cargo builds: this program is in `TARGET/PROFILE/deps`.
fn target_directory() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}
