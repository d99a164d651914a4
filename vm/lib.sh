# Shared by the scripts in vm/; sourced from that directory.
# shellcheck shell=bash

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/revertkit
ROOT=$(dirname "$PWD")
STATE=$ROOT/.vagrant
MACHINE=${REVERTKIT_VM:-primary}
SSH_CONFIG=$STATE/$MACHINE.ssh

# Exit codes, listed in docs/vm.md.
CANNOT_RUN=69
TIMED_OUT=124

export VAGRANT_CWD=$ROOT VAGRANT_DEFAULT_PROVIDER=libvirt VAGRANT_CHECKPOINT_DISABLE=1
export LIBVIRT_DEFAULT_URI=qemu:///system

say() { echo "vm: $*" >&2; }
fail() { say "$*"; exit 1; }

# stage WORDS COMMAND…: say what is being done, keep its output for when it fails, say how long it took.
stage() {
    local words=$1 begin=$SECONDS log status=0
    shift
    log=$(mktemp)
    echo -n "vm: $words … " >&2
    set +e # not `|| status=$?`, which would also switch errexit off inside a function
    (set -e; "$@") >"$log" 2>&1
    status=$?
    set -e
    if ((status == 0)); then
        echo "$((SECONDS - begin)) s" >&2
    else
        { echo "failed after $((SECONDS - begin)) s (exit $status)"; grep -v $'^\tfrom ' "$log" | tail -n 60; } >&2
    fi
    rm -f "$log"
    return "$status"
}

# The Vagrantfile names the domain the same way.
identity() { echo -n "$ROOT/$MACHINE" | md5sum | cut -c1-6; }
DOMAIN=revertkit-$(identity)-$MACHINE
CONTROL=$CACHE/$(identity).ssh

running() { [[ $(timeout 20 virsh domstate "$DOMAIN" 2>/dev/null) == running* ]]; }

guest() { ssh -F "$SSH_CONFIG" "$MACHINE" "$@"; }

# Forget the shared connection: after a reset nobody answers at its other end.
hang_up() { [[ ! -S $CONTROL ]] || ssh -F "$SSH_CONFIG" -O exit "$MACHINE" 2>/dev/null || rm -f "$CONTROL"; }

# answers SECONDS: wait that long for the guest to accept a login.
answers() {
    local deadline=$((SECONDS + $1))
    until guest -o ConnectTimeout=15 -o ConnectionAttempts=1 true </dev/null 2>/dev/null; do
        ((SECONDS < deadline)) || return "$TIMED_OUT"
        sleep 1
    done
}

# booted SECONDS: wait that long for volume groups, pools and services; names what failed.
booted() {
    answers "$1" || { say "no login within $1 s"; return "$TIMED_OUT"; }
    local state
    state=$(guest timeout "$1" systemctl is-system-running --wait </dev/null || true)
    [[ $state == running ]] && return
    say "the guest is ${state:-silent}; failed units:"
    guest systemctl list-units --failed --plain --no-legend </dev/null >&2 || true
    [[ $state == degraded ]]
}

HOST_PACKAGES=(mmdebstrap qemu-system-x86 qemu-utils vagrant vagrant-libvirt libvirt-daemon-system
    libvirt-daemon libvirt-clients dnsmasq-base iptables dbus rsync openssh-client)
missing_packages() {
    local package
    for package in "${HOST_PACKAGES[@]}"; do
        dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}
# Elsewhere than on Debian the commands decide.
lacks_packages() {
    if command -v dpkg-query >/dev/null; then
        [[ -n $(missing_packages) ]]
    else
        local tool
        for tool in qemu-system-x86_64 vagrant virsh rsync; do
            command -v "$tool" >/dev/null || return 0
        done
        return 1
    fi
}
host_packages() {
    export DEBIAN_FRONTEND=noninteractive
    timeout --foreground 600 apt-get update -q
    # shellcheck disable=SC2046 # names of packages, one word each
    timeout --foreground 1800 apt-get install -qy --no-install-recommends $(missing_packages)
}
packages_hint() {
    local names
    names=$(command -v dpkg-query >/dev/null && missing_packages || printf '%s\n' "${HOST_PACKAGES[@]}")
    echo "install (named as on Debian):" $names
}
libvirt_answers() { timeout 20 virsh version >/dev/null 2>&1; }
bus_answers() {
    timeout 20 dbus-send --system --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId >/dev/null 2>&1
}
services_run() { libvirt_answers && { [[ -d /run/systemd/system ]] || { bus_answers && pidof virtlogd >/dev/null; }; }; }
