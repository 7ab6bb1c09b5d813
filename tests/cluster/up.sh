#!/bin/bash
# up.sh STATE_DIR: starts a one-node Kubernetes on this machine, with what build.sh put into STATE_DIR/bin, and waits until the
# node is Ready (about 5 s). Does nothing when it is up. Admin's kubeconfig: STATE_DIR/kubeconfig; audit log: STATE_DIR/log/audit.log.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); . "$here/lib.sh"
state=$(realpath -m "$1"); bin=$state/bin; pki=$state/pki
node=10.250.0.1 pods=10.244.0.0/24 services=10.96.0.0/16 api=10.96.0.1

[ ${#state} -le 80 ] || fail "the path $state is too long for unix sockets (80 characters); clone into a shorter one"
alive() { local pid; pid=$(cat "$state/$1.pid" 2> /dev/null) && kill -0 "$pid" 2> /dev/null; }
all_alive() { local n; for n in containerd etcd apiserver kcm scheduler kubelet proxy coredns provisioner; do alive $n || return 1; done; }
if all_alive && "$bin/kubectl" --kubeconfig "$state/kubeconfig" get --raw /readyz > /dev/null 2>&1; then exit 0; fi
ls "$state"/*.pid > /dev/null 2>&1 && "$here/down.sh" "$state" # half of it is left from before: start afresh
if ss -Hltn "sport = :6443" | grep -q .; then
	fail "port 6443 is in use: another test cluster (or Kubernetes) runs on this machine; stop it first (make cluster-down in its clone): $(ss -Hltnp 'sport = :6443' | grep -o 'users:.*')"
fi
mkdir -p "$state"/{log,cni,pv} "$pki"

# --- keys and kubeconfigs
cd "$pki"
cert() { # NAME SUBJECT [SAN]
	openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"
	openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
	printf 'extendedKeyUsage=serverAuth,clientAuth\n%s\n' "${3:+subjectAltName=$3}" > "$1.ext"
	openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile "$1.ext" -out "$1.crt" 2> /dev/null
}
if [ ! -f .done ]; then
	openssl ecparam -name prime256v1 -genkey -noout -out ca.key
	openssl req -x509 -new -key ca.key -subj /CN=test-cluster-ca -days 365 -out ca.crt
	openssl genrsa -out sa.key 2048 2> /dev/null
	openssl rsa -in sa.key -pubout -out sa.pub 2> /dev/null
	cert apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$api,IP:$node"
	cert kubelet /O=system:nodes/CN=system:node:node1 "DNS:node1,IP:$node,IP:127.0.0.1"
	cert admin /O=system:masters/CN=admin
	cert kcm /CN=system:kube-controller-manager
	cert scheduler /CN=system:kube-scheduler
	cert proxy /CN=system:kube-proxy
	for user in admin kcm scheduler proxy kubelet; do
		cat > $user.kubeconfig <<-K
			apiVersion: v1
			kind: Config
			clusters: [{name: bestgres-test, cluster: {server: "https://$node:6443", certificate-authority: "$pki/ca.crt"}}]
			users: [{name: $user, user: {client-certificate: "$pki/$user.crt", client-key: "$pki/$user.key"}}]
			contexts: [{name: bestgres-test, context: {cluster: bestgres-test, user: $user}}]
			current-context: bestgres-test
		K
	done
	touch .done
fi

# --- network: the node's address sits on a bridge of its own; pods on cni0
ip link show k8s0 > /dev/null 2>&1 || { ip link add k8s0 type bridge; ip addr add $node/32 dev k8s0; ip link set k8s0 up; }
sysctl -qw net.ipv4.ip_forward=1
sysctl -qw net.bridge.bridge-nf-call-iptables=1 2> /dev/null || true # absent where the bridge filter is not loaded: then not needed
cat > "$state/cni/10.conflist" <<C
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$pods"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
C

start() { local name=$1; shift; setsid "$@" > "$state/log/$name.log" 2>&1 < /dev/null & echo $! > "$state/$name.pid"; }
wait_for() { # "what" COMMAND...
	local n what=$1
	shift
	for n in $(seq 240); do "$@" > /dev/null 2>&1 && return; sleep 0.25; done
	fail "the test cluster does not come up: $what is not there after 60 s; see $state/log/"
}

# --- containerd. restrict_oom_score_adj: without CAP_SYS_RESOURCE runc may not lower oom_score_adj, and every
# sandbox dies with "can't get final child's PID from pipe: EOF".
cat > "$state/containerd.toml" <<C
version = 2
root = "$state/containerd"
state = "$state/containerd-state"
[grpc]
  address = "$state/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$state/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
C
start containerd containerd -c "$state/containerd.toml"

# --- control plane. The audit log counts requests in tests and benches: metadata only, writes and reads of our clients.
cat > "$state/audit.yaml" <<C
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: None
  users: ["system:kube-scheduler", "system:kube-controller-manager", "system:apiserver", "system:kube-proxy", "system:node:node1"]
- level: Metadata
  userGroups: ["system:serviceaccounts"]
- level: Metadata
  verbs: [create, update, patch, delete, deletecollection]
C
start etcd "$bin/etcd" --data-dir "$state/etcd" --log-level warn --unsafe-no-fsync \
	--listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
	--listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
	--initial-cluster default=http://127.0.0.1:2380
"$here/apiserver.sh" "$state"
export KUBECONFIG=$state/pki/admin.kubeconfig
wait_for "the API server" "$bin/kubectl" get --raw /readyz
start kcm "$bin/kube-controller-manager" --kubeconfig="$pki/kcm.kubeconfig" --use-service-account-credentials \
	--service-account-private-key-file="$pki/sa.key" --root-ca-file="$pki/ca.crt" --leader-elect=false \
	'--controllers=*,-nodeipam,-route'
start scheduler "$bin/kube-scheduler" --kubeconfig="$pki/scheduler.kubeconfig" --leader-elect=false

# --- the pause image: a static C program
musl-gcc -static -Os -s -o "$state/pause" "$here/pause.c"
tar --owner=0 --group=0 -C "$state" -cf "$state/pause-layer.tar" pause
python3 "$here/archive.py" localhost/pause:1 "$state/pause-layer.tar" "$state/pause.tar" '["/pause"]' 65535
wait_for "containerd" ctr -a "$state/containerd.sock" version
ctr -a "$state/containerd.sock" -n k8s.io image import "$state/pause.tar" > /dev/null

cat > "$state/kubelet.yaml" <<C
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$pki/ca.crt"}}
authorization: {mode: Webhook}
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
clusterDNS: [$node]
clusterDomain: cluster.local
containerRuntimeEndpoint: unix://$state/containerd.sock
tlsCertFile: $pki/kubelet.crt
tlsPrivateKeyFile: $pki/kubelet.key
resolvConf: /dev/null
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
C
start kubelet "$bin/kubelet" --config="$state/kubelet.yaml" --kubeconfig="$pki/kubelet.kubeconfig" \
	--hostname-override=node1 --node-ip=$node --root-dir="$state/kubelet" --cert-dir="$state/kubelet-pki"
start proxy "$bin/kube-proxy" --kubeconfig="$pki/proxy.kubeconfig" --hostname-override=node1 \
	--proxy-mode=nftables --cluster-cidr=$pods --conntrack-max-per-core=0

# --- DNS and storage
cat > "$state/Corefile" <<C
.:53 {
	bind $node
	errors
	kubernetes cluster.local {
		kubeconfig $pki/admin.kubeconfig
		ttl 5
	}
	cache 5
}
C
start coredns "$bin/coredns" -conf "$state/Corefile"
start provisioner "$bin/provisioner" "$pki/admin.kubeconfig" "$state/pv" node1
wait_for "the node" sh -c "'$bin/kubectl' get node node1 | grep -q ' Ready'"
"$bin/kubectl" apply -f - > /dev/null <<C
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: bestgres.io/local
volumeBindingMode: WaitForFirstConsumer
C
cp "$pki/admin.kubeconfig" "$state/kubeconfig"
