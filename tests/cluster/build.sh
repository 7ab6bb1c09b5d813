#!/bin/bash
# build.sh BIN_DIR: builds a Kubernetes control plane, kubelet, kube-proxy, kubectl, etcd, CoreDNS and the test cluster's volume
# provisioner from their Go modules. Cold on 2 cores about 9 minutes; does nothing when BIN_DIR has these versions.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); bin=$(realpath -m "$1")
k8s=1.34.2 etcd=3.6.16 coredns=1.12.4 provisioner=13.0.0
stamp="kubernetes $k8s etcd $etcd coredns $coredns provisioner $provisioner $(sha256sum < "$here/provisioner.go" | cut -c1-16)"
[ "$(cat "$bin/.versions" 2> /dev/null)" = "$stamp" ] && exit
work=$(mktemp -d); trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
mkdir -p "$bin" "$work"/{k8s,etcd,dns,pv}
go=$("$here/go.sh" "$bin/../go")
# -mod=mod takes what a build needs; "go mod tidy" would fetch what the tests of all those modules need too, for minutes.
export CGO_ENABLED=0 GOFLAGS=-mod=mod GOTOOLCHAIN=local

echo "kubernetes $k8s: modules"
cd "$work/k8s"
printf 'module testcluster\ngo 1.24.0\nrequire k8s.io/kubernetes v%s\n' $k8s > go.mod
# k8s.io/kubernetes requires its staging modules at v0.0.0: point each at its published version.
gomod=$("$go" mod download -json "k8s.io/kubernetes@v$k8s" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
grep -oE '^[[:space:]]*k8s.io/[a-z0-9-]+ => ./staging' "$gomod" | awk '{print $1}' | sort -u |
	sed "s|.*|replace & => & v0.${k8s#1.}|" >> go.mod
v=k8s.io/component-base/version
for c in kubectl kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
	echo "building $c"
	"$go" build -trimpath -o "$bin/" -ldflags "-s -w -X $v.gitVersion=v$k8s -X $v.gitMajor=1 -X $v.gitMinor=${k8s:2:2}" k8s.io/kubernetes/cmd/$c
done

echo "building etcd $etcd"
cd "$work/etcd"
printf 'module testcluster\ngo 1.24.0\nrequire go.etcd.io/etcd/server/v3 v%s\n' $etcd > go.mod
"$go" build -trimpath -ldflags "-s -w" -o "$bin/etcd" go.etcd.io/etcd/server/v3

echo "building CoreDNS $coredns"
cd "$work/dns"
printf 'module testcluster\ngo 1.24.0\nrequire github.com/coredns/coredns v%s\n' $coredns > go.mod
cat > main.go <<'G'
package main

import (
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
)

func main() {
	dnsserver.Directives = []string{"bind", "errors", "cache", "kubernetes"}
	coremain.Run()
}
G
"$go" build -trimpath -ldflags "-s -w" -o "$bin/coredns" .

echo "building the volume provisioner"
cp "$here/provisioner.go" "$work/pv/main.go"
cd "$work/pv"
printf 'module testcluster\ngo 1.24.0\nrequire sigs.k8s.io/sig-storage-lib-external-provisioner/v13 v%s\n' $provisioner > go.mod
"$go" build -trimpath -ldflags "-s -w" -o "$bin/provisioner" .
echo "$stamp" > "$bin/.versions"
