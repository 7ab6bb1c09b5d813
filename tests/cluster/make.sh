#!/bin/bash
# make.sh: the test cluster from nothing: packages, programs (cold about 9 minutes), database image, start. Again: seconds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); . "$here/lib.sh"
cd "$here/../.."
"$here/prepare.sh" build cluster
build_programs() {
	step build/log/kube-build.log "building Kubernetes, etcd and CoreDNS from their Go modules (about 9 minutes, once)" "$here/build.sh" build/kube/bin
}
build_database_image() {
	step build/log/database-image.log "building the database image (about a minute, once)" "$here/image.sh" build/images/postgres-patroni.tar
}
[ -f build/images/postgres-patroni.tar ] || build_database_image
build_programs
if ! build/kube/bin/kubectl --kubeconfig build/kube/kubeconfig get --raw /readyz > /dev/null 2>&1; then
	step build/log/cluster-up.log "starting the test cluster" "$here/up.sh" build/kube
else
	"$here/up.sh" build/kube
fi
step build/log/image-import.log "loading the database image" "$here/images.sh" build/kube build/images/postgres-patroni.tar
