#!/bin/bash
# down.sh STATE_DIR [--purge]: stops everything that up.sh and its pods started; --purge also removes the cluster's state,
# but not the programs in STATE_DIR/bin.
set -uo pipefail
state=$(realpath -m "$1")
stop() { # NAME: SIGTERM, then SIGKILL after 5 s
	local pid n
	pid=$(cat "$state/$1.pid" 2> /dev/null) || return
	kill "$pid" 2> /dev/null
	for n in $(seq 50); do kill -0 "$pid" 2> /dev/null || break; sleep 0.1; done
	kill -KILL "$pid" 2> /dev/null
	rm -f "$state/$1.pid"
}
for name in proxy provisioner coredns kubelet scheduler kcm apiserver etcd; do stop $name; done
ctr="ctr -a $state/containerd.sock -n k8s.io"
for task in $($ctr task ls -q 2> /dev/null); do $ctr task kill -s SIGKILL "$task" 2> /dev/null; done
for n in $(seq 40); do $ctr task ls 2> /dev/null | grep -q RUNNING || break; sleep 0.25; done
for task in $($ctr task ls -q 2> /dev/null); do $ctr task delete -f "$task" > /dev/null 2>&1; done
for c in $($ctr container ls -q 2> /dev/null); do $ctr container rm "$c" 2> /dev/null; done
stop containerd
sleep 0.5
grep -oE " $state/[^ ]*" /proc/self/mounts | sort -r | while read -r m; do umount "$m"; done
for ns in $(ip netns list 2> /dev/null | awk '/^cni-/ {print $1}'); do ip netns delete "$ns"; done
ip link delete cni0 2> /dev/null
ip link delete k8s0 2> /dev/null
rm -rf /var/lib/cni/networks/pods
nft list tables 2> /dev/null | awk '/kube-proxy/' | while read -r _ family name; do nft delete table "$family" "$name"; done
if [ "${2:-}" = --purge ]; then
	rm -rf "$state"/{containerd,containerd-state,etcd,pv,pki,kubelet,kubelet-pki,log,cni,kubeconfig,kubelet.yaml,audit.yaml,Corefile,containerd.toml}
fi
exit 0
