#!/bin/bash
# run.sh [NAME...]: sets up what the benches need and runs them (all, or those named; bench.py -h lists them).
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/cluster/lib.sh
tests/cluster/prepare.sh unit
tests/cluster/make.sh
step build/log/build.log "building the operator" make -j"$(nproc)" image
step build/log/bench-fuzz-build.log "building the JSON fuzz target" make build/fuzz/fuzz_kube_json
exec /usr/bin/python3 tests/bench/bench.py "$@"
