#!/bin/bash
# prepare.sh WHAT...: makes sure that this machine has what building (build), unit tests (unit) and the test cluster
# (cluster) need; installs missing Debian packages. Prints nothing when all is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"
root=$(cd "$here/../.." && pwd)

declare -A packages=(
	[build]="gcc make musl-tools dpkg-dev libjsmn-dev binutils python3 ca-certificates"
	[unit]="clang clang-format libev-dev libcurl4-openssl-dev libmbedtls-dev"
	[cluster]="containerd runc containernetworking-plugins iptables nftables iproute2 procps openssl mmdebstrap python3-pytest python3-pytest-xdist python3-psycopg2 python3-yaml curl jq"
)
[ "$(uname -s)" = Linux ] || fail "this needs Linux with Debian 12 or 13; on another system use a Debian virtual machine"
command -v apt-get > /dev/null || fail "this needs Debian 12 or 13 (apt-get was not found)"
wanted=
for what in "$@"; do wanted+=" ${packages[$what]}"; done
missing=
for p in $wanted; do
	dpkg-query -W -f '${Status}' "$p" 2> /dev/null | grep -q 'ok installed' || missing+=" $p"
done
for what in "$@"; do
	case $what in
	cluster) [ "$(id -u)" = 0 ] || fail "the test cluster needs root (it starts containerd and a kubelet); run this as root, or set KUBECONFIG to a cluster of yours and YES=1" ;;
	esac
done
if [ -n "$missing" ]; then
	[ "$(id -u)" = 0 ] || fail "missing Debian packages, and only root can install them: apt-get install$missing"
	step "$root/build/log/apt-update.log" "apt-get update" apt-get update
	export DEBIAN_FRONTEND=noninteractive
	step "$root/build/log/apt-install.log" "apt-get install$missing" apt-get install -y --no-install-recommends $missing
fi
# libFuzzer's and the sanitizers' runtime has clang's version in its name.
for what in "$@"; do
	if [ "$what" = unit ]; then
		v=$(clang --version | sed -n 's/.*version \([0-9]*\).*/\1/p' | head -n 1)
		if ! dpkg-query -W -f '${Status}' "libclang-rt-$v-dev" 2> /dev/null | grep -q 'ok installed'; then
			[ "$(id -u)" = 0 ] || fail "missing Debian package, and only root can install it: apt-get install libclang-rt-$v-dev"
			step "$root/build/log/apt-clang-rt.log" "apt-get install libclang-rt-$v-dev" \
				apt-get install -y --no-install-recommends "libclang-rt-$v-dev"
		fi
	fi
done
