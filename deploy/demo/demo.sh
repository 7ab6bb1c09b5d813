#!/bin/bash
# demo.sh demo|deploy|down: the demo, its installation part alone, and its removal. Works on the test cluster that it makes
# by itself, or, with YES=1, on the cluster that KUBECONFIG names.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
own=$PWD/build/kube/kubeconfig
image=${IMAGE:-localhost/bestgres:dev}
database_image=localhost/postgres-patroni:17
system=bestgres-system space=demo

# --- which cluster
choose_cluster() {
	if [ -n "${KUBECONFIG:-}" ] && [ "$KUBECONFIG" != "$own" ]; then
		foreign=1
		kubectl=$(command -v kubectl) || fail "KUBECONFIG is set, but there is no kubectl in PATH"
		context=$($kubectl config current-context 2> /dev/null) || fail "KUBECONFIG=$KUBECONFIG has no current context"
		server=$($kubectl config view --minify -o 'jsonpath={.clusters[0].cluster.server}')
		say "KUBECONFIG points at context \"$context\" ($server)"
		if [ "${YES:-}" != 1 ]; then
			cat <<-T
				This would install CRDs, the operator (namespace $system) and a database (namespace $space) there.
				Nothing was changed. To do it:
				  1. bring two images there: $image (make image: build/bestgres.tar) and a PostgreSQL image with
				     Patroni (tests/cluster/image.sh FILE makes $database_image):
				       kind:      kind load image-archive build/bestgres.tar build/images/postgres-patroni.tar
				       k3d:       k3d image import build/bestgres.tar build/images/postgres-patroni.tar
				       minikube:  minikube image load build/bestgres.tar; minikube image load build/images/postgres-patroni.tar
				       registry:  push both (skopeo copy oci-archive:build/bestgres.tar docker://REGISTRY/bestgres:dev),
				                  then IMAGE=REGISTRY/bestgres:dev and spec.image in deploy/examples/demo.yaml
				  2. run the same command with YES=1
				Or unset KUBECONFIG: then a test cluster of its own is made on this machine.
			T
			exit 1
		fi
	else
		foreign=
		kubectl=$PWD/build/kube/bin/kubectl
		export KUBECONFIG=$own
	fi
}

set_up() {
	if [ -z "$foreign" ]; then
		tests/cluster/prepare.sh build cluster
	else
		tests/cluster/prepare.sh build
	fi
	step build/log/build.log "building the operator" make -j"$(nproc)" image IMAGE="$image"
	if [ -z "$foreign" ]; then
		tests/cluster/make.sh
		step build/log/image-import.log "loading the operator's image" tests/cluster/images.sh build/kube build/bestgres.tar
	fi
}

# wait_for SECONDS "what" COMMAND...: until COMMAND succeeds; a line whenever what status_line prints changes, and every 5 s.
wait_for() {
	local limit=$1 what=$2 begin line last= shown
	shift 2
	begin=$(date +%s) shown=$begin
	until "$@" > /dev/null 2>&1; do
		[ $(($(date +%s) - begin)) -lt "$limit" ] || { explain; fail "$what: not within $limit s"; }
		line=$(status_line 2> /dev/null || true)
		if [ "$line" != "$last" ] || [ $(($(date +%s) - shown)) -ge 5 ]; then
			say "  ... $what: $line"
			last=$line shown=$(date +%s)
		fi
		sleep 0.25
	done
}
status_line() { $kubectl -n $space get bgi -o 'jsonpath={range .items[*]}{.metadata.name}={.status.role}/{.status.state} {end}'; }
explain() {
	$kubectl -n $space get bgc,bgi,pods 2> /dev/null || true
	$kubectl -n $space get bgc -o 'jsonpath={range .items[*].status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}' 2> /dev/null || true
	$kubectl -n $system logs deployment/bestgres-operator --tail=10 2> /dev/null || true
}

deploy() {
	$kubectl apply -k crds > /dev/null
	$kubectl wait --for=condition=Established --timeout=30s crd/bgclusters.bestgres.io crd/bginstances.bestgres.io crd/bgdbops.bestgres.io > /dev/null
	$kubectl kustomize deploy/overlays/demo | sed "s|localhost/bestgres:dev|$image|g" | $kubectl apply -f - > /dev/null
	if [ -z "$foreign" ] && [ build/bestgres.tar -nt build/.deployed ] && [ -f build/.deployed ]; then
		$kubectl -n $system rollout restart deployment/bestgres-operator > /dev/null # the same tag, a newer image
	fi
	$kubectl -n $system rollout status deployment/bestgres-operator --timeout=90s > /dev/null || { explain; fail "the operator does not start"; }
	touch build/.deployed
	say "the operator runs in namespace $system and serves namespace $space"
}

leader() { $kubectl -n $space get pods -l bestgres.io/cluster=demo,role=primary -o 'jsonpath={.items[*].metadata.name}'; }
leader_uid() { $kubectl -n $space get pods -l bestgres.io/cluster=demo,role=primary -o 'jsonpath={.items[*].metadata.uid}'; }
other_leader() { [ -n "$(leader_uid)" ] && [ "$(leader_uid)" != "$1" ]; } # a pod of the same name is another one
is_ready() { [ "$($kubectl -n $space get bgc demo -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]; }
client() { $kubectl -n $space exec demo-client -- "$@"; }

start_client() {
	$kubectl -n $space delete pod demo-client --ignore-not-found --wait=false > /dev/null 2>&1
	$kubectl -n $space create configmap demo-client --from-file=deploy/demo/writer.py --dry-run=client -o yaml | $kubectl apply -f - > /dev/null
	wait_for 60 "the old client to end" sh -c "! $kubectl -n $space get pod demo-client"
	$kubectl -n $space apply -f deploy/demo/client.yaml > /dev/null
	wait_for 60 "the client" client python3 /client/writer.py check
}

show_failover() {
	local old uid rows
	old=$(leader) uid=$(leader_uid)
	say "the leader is $old; deleting its pod by force, under the writing client"
	$kubectl -n $space delete pod "$old" --force --grace-period=0 --wait=false > /dev/null 2>&1
	wait_for 90 "another leader" other_leader "$uid"
	say "the new leader is $(leader)"
	wait_for 120 "demo to be Ready again" is_ready
	sleep 2 # let the client write on
	$kubectl -n $space logs demo-client --tail=200 |
		awk -F'"gap_s": ' '/gap_s/ {split($2, a, ","); if (a[1] > m) m = a[1]} END {printf "  longest time between two acknowledged writes: %.2f s\n", m}'
	rows=$(client python3 /client/writer.py check) || fail "acknowledged rows are lost: $rows"
	printf '  rows: %s\n' "$rows"
}

worker_pid() { ps -o pid=,args= --ppid "$(pgrep -x supervisor | tail -n 1)" | awk -v role="$1" '$2 == role {print $1}'; }
show_workers() {
	local role pid line
	if [ -n "$foreign" ]; then
		say "killing the operator's workers needs root on the node: not shown on a cluster that is not the test cluster"
		return
	fi
	say "kill -9 of each of the operator's workers, and how long it was gone:"
	for role in broker watcher reconciler executor; do
		pid=$(worker_pid $role)
		[ -n "$pid" ] || fail "no process of the role $role was found"
		kill -9 "$pid"
		for _ in $(seq 50); do
			sleep 0.1
			line=$($kubectl -n $system logs deployment/bestgres-operator --tail=60 | grep "proc=$role " | grep -A6 'event=died' | grep 'event=ready' | tail -n 1)
			[ -n "$line" ] && break
		done
		[ -n "$line" ] || fail "$role did not come back"
		printf '  %-11s %s\n' $role "$(sed -nE 's/.*msg="?([^"]*)"?.*/\1/p' <<< "$line")"
	done
}

finish() {
	local owner
	owner=$($kubectl -n $space get bgc demo -o 'jsonpath={.spec.bootstrap.owner}')
	say "done"
	cat <<-T

		Connect:
		  export KUBECONFIG=$KUBECONFIG PATH=$(dirname "$kubectl"):\$PATH
		  kubectl -n $space exec -it demo-client -- psql      # as $owner through Service demo-rw
		Try next:
		  kubectl -n $space get bgc,bgi -w                    # watch, while you do what follows
		  kubectl -n $space patch bgc demo --type merge -p '{"spec":{"postgres":{"parameters":{"work_mem":"8MB"}}}}'
		  kubectl -n $space delete service demo-rw            # it comes back
		  kubectl -n $space apply -f deploy/examples/minimal.yaml
		  kubectl explain bgc.spec
		Stop:
		  make demo-down      # the demo's namespaces and CRDs
		  make cluster-down   # the test cluster
	T
}

demo() {
	set_up
	deploy
	local begin
	begin=$(date +%s%N)
	$kubectl -n $space apply -f deploy/examples/demo.yaml > /dev/null
	say "applied deploy/examples/demo.yaml: a BGCluster of 3 instances"
	wait_for 180 "demo to be Ready" is_ready
	say "Ready after $((($(date +%s%N) - begin) / 1000000)) ms"
	$kubectl -n $space get bgc,bgi
	start_client
	sleep 2
	say "a client writes rows as the application user through Service demo-rw: $(client python3 /client/writer.py check)"
	say "rows read through Service demo-ro: $(client env PGHOST=demo-ro psql -AtXc "SELECT count(*) || ' rows from a server where pg_is_in_recovery() = ' || pg_is_in_recovery() FROM demo_rows")"
	show_failover
	show_workers
	finish
}

down() {
	$kubectl -n $space delete bgc --all --timeout=120s 2> /dev/null || true
	$kubectl delete namespace $space $system --ignore-not-found --timeout=180s
	rm -f build/.deployed
	if [ -n "$($kubectl get bgc --all-namespaces -o name 2> /dev/null)" ]; then
		say "the demo, its data and the operator are removed; the CRDs stay: there are BGClusters in other namespaces, which would go with them"
		return
	fi
	$kubectl delete -k crds --ignore-not-found
	say "the demo, its data, the operator and the CRDs are removed"
}

choose_cluster
case ${1:-} in
demo) demo ;;
deploy) set_up; deploy ;;
down) down ;;
*) echo "usage: $0 demo|deploy|down" >&2; exit 2 ;;
esac
