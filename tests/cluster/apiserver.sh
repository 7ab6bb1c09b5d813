#!/bin/bash
# apiserver.sh STATE_DIR: starts the test cluster's API server (up.sh, and tests that restart it).
set -euo pipefail
state=$(realpath "$1"); pki=$state/pki
setsid "$state/bin/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address=10.250.0.1 \
	--client-ca-file="$pki/ca.crt" --tls-cert-file="$pki/apiserver.crt" --tls-private-key-file="$pki/apiserver.key" \
	--service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$pki/sa.pub" \
	--service-account-signing-key-file="$pki/sa.key" --authorization-mode=Node,RBAC \
	--enable-admission-plugins=NodeRestriction --service-cluster-ip-range=10.96.0.0/16 --allow-privileged \
	--kubelet-client-certificate="$pki/admin.crt" --kubelet-client-key="$pki/admin.key" \
	--kubelet-certificate-authority="$pki/ca.crt" --kubelet-preferred-address-types=InternalIP \
	--audit-policy-file="$state/audit.yaml" --audit-log-path="$state/log/audit.log" --audit-log-maxsize=1000 \
	--max-requests-inflight=800 >> "$state/log/apiserver.log" 2>&1 < /dev/null &
echo $! > "$state/apiserver.pid"
