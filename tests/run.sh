#!/bin/bash
# run.sh all|unit|e2e|long: runs tests and ends with the one line "N passed, N failed". Exit code 1 if any failed. all: without long.
set -uo pipefail
cd "$(dirname "$0")/.."
. tests/cluster/lib.sh
passed=0 failed=0 failures=() notes=()
failed_list=build/log/e2e.failed
ok() { passed=$((passed + 1)); }
bad() { failed=$((failed + 1)); failures+=("$1"); }

tap() { # NAME COMMAND...: counts the TAP lines of a test program; a crash or a wrong plan is a failure too
	local name=$1 out rc planned seen line
	shift
	out=$(timeout 300 "$@" 2>&1); rc=$?
	planned=$(sed -n 's/^1\.\.\([0-9]*\)$/\1/p' <<< "$out" | tail -n 1)
	seen=$(grep -cE '^(not )?ok ' <<< "$out")
	passed=$((passed + $(grep -E '^ok ' <<< "$out" | grep -vc '# SKIP')))
	grep -E '^ok .*# SKIP' <<< "$out" | sed "s/^/$name: skipped, not counted: /"
	while read -r line; do bad "$name: $line"; done < <(grep -E '^not ok ' <<< "$out")
	if [ "${planned:-x}" != "$seen" ] || { [ $rc -ne 0 ] && ! grep -qE '^not ok ' <<< "$out"; }; then
		bad "$name: exit code $rc, $seen of ${planned:-no plan} tests"
		tail -n 30 <<< "$out"
	else
		grep -E '^not ok |^#' <<< "$out"
	fi
	return 0
}

unit() {
	tests/cluster/prepare.sh build unit || exit 1
	say "lint"
	if deploy/lint.sh; then ok; else bad "lint"; fi
	step build/log/unit-build.log "building the unit tests under ASan and UBSan" make -j"$(nproc)" unit-binaries
	for t in build/unit/test_*; do
		[ -x "$t" ] && [ -f "tests/unit/$(basename "$t").c" ] && tap "$(basename "$t")" "$t"
	done
	say "unit and golden tests: $passed passed, $failed failed so far"
	step build/log/fuzz-build.log "building the fuzz targets" make -j"$(nproc)" fuzz-binaries
	for src in fuzz/fuzz_*.c; do
		name=$(basename "$src" .c); name=${name#fuzz_}
		files=$(find "fuzz/corpus/$name" -type f | wc -l)
		if [ "$files" = 0 ]; then
			bad "corpus of $name is empty"
		elif timeout 300 "build/fuzz/fuzz_$name" -runs=0 -artifact_prefix=build/log/ "fuzz/corpus/$name" > "build/log/corpus-$name.log" 2>&1; then
			ok
		else
			bad "corpus of $name (build/log/corpus-$name.log)"
			tail -n 20 "build/log/corpus-$name.log"
		fi
	done
	say "corpora: $passed passed, $failed failed so far"
}

# How many tests of the parallel group may be run once more. Several tests share the machine there, and one may starve past a limit that is
# there to end a hang; such a failure says nothing about the product, and alone the test says it. So one that fails beside others is run
# again, alone, after everything, counts by what it says then, and the end of the output names it and its first error: it is not hidden.
# More than a few failures are no coincidence: then nobody gets another chance. Tests of the other group never do: they have the machine to
# themselves, and what fails there fails.
SECOND_CHANCES=2
GROUP_LIMIT=2700 # seconds: what hangs ends, and what is known by then is said

# Kubernetes' modules come over the network while the unit tests take the processors. What is not done by their end is begun again by
# make.sh, which says how it goes and what fails: Go's caches keep everything but the package that was being built.
cluster_meanwhile() {
	tests/cluster/prepare.sh build unit cluster || exit 1
	mkdir -p build/log
	setsid nice -n 10 tests/cluster/build.sh build/kube/bin > build/log/kube-build-meanwhile.log 2>&1 < /dev/null &
	meanwhile=$!
	trap 'stop_meanwhile; exit 130' INT TERM
	trap stop_meanwhile EXIT
}
stop_meanwhile() { kill -- "-$meanwhile" 2> /dev/null && wait "$meanwhile" 2> /dev/null; }

e2e() {
	tests/cluster/make.sh || exit 1
	step build/log/build.log "building the operator" make -j"$(nproc)" image
	rm -rf build/log/evidence
	pytest_run "the tests on the real cluster that can run beside each other" parallel -n "${E2E_WORKERS:-4}" -m "not alone and not long" tests/e2e
	cp "$failed_list" build/log/e2e-parallel.again
	pytest_run "those that disturb the operator or need the machine" alone -m "alone and not long" tests/e2e
	add_failures
	mv build/log/e2e-parallel.again "$failed_list"
	second_chance
}

long() {
	tests/cluster/make.sh || exit 1
	step build/log/build.log "building the operator" make -j"$(nproc)" image
	rm -rf build/log/evidence
	pytest_run "those that take long" long -n "${E2E_WORKERS:-3}" -m long tests/e2e
	add_failures
}

# Those in $failed_list failed beside others.
second_chance() {
	local first=build/log/e2e-beside-others.failed tests test error
	mv "$failed_list" "$first"
	mapfile -t tests < <(cut -f1 "$first")
	if [ ${#tests[@]} -gt 0 ] && [ ${#tests[@]} -le $SECOND_CHANCES ]; then
		pytest_run "what failed beside others, once more" again "${tests[@]}"
	else
		cp "$first" "$failed_list"
	fi
	while IFS=$'\t' read -r test error; do
		if grep -qF "$test	" "$failed_list"; then
			continue
		elif grep -qF "$test PASSED" build/log/e2e-again.log; then
			notes+=("passed only alone, after failing beside others: $test: $error")
		else
			bad "$test: $error (and not heard of when it was run alone)"
		fi
	done < "$first"
	add_failures
}

add_failures() {
	local test error
	while IFS=$'\t' read -r test error; do bad "$test: $error"; done < "$failed_list"
}

# pytest_run "what" NAME ARGUMENT...: counts what passed; $failed_list has what failed, a test and a tab and its error on each line. The
# whole output, with evidence of what failed at its end, is in build/log/e2e-NAME.log.
pytest_run() {
	local what=$1 log=build/log/e2e-$2.log rc p
	shift 2
	say "$what (log: $log)"
	: > "$failed_list"
	COLUMNS=200 E2E_FAILED=$failed_list timeout --signal=INT --kill-after=60 $GROUP_LIMIT \
		/usr/bin/python3 -m pytest -p no:cacheprovider ${TESTS:-} -v --tb=short --durations=40 "$@" 2>&1 |
		tee "$log" | sed -un '/ \(PASSED\|FAILED\|ERROR\|SKIPPED\)/s/^\(.\{0,160\}\).*/\1/p'
	rc=${PIPESTATUS[0]}
	[ "$rc" = 5 ] && return # none selected
	p=$(sed -nE 's/.*[ =]([0-9]+) passed.*/\1/p' "$log" | tail -n 1)
	passed=$((passed + ${p:-0}))
	if [ "$rc" -gt 1 ] || { [ "$rc" = 1 ] && [ ! -s "$failed_list" ]; }; then
		bad "pytest ended with exit code $rc: $(tail -n 1 "$log")"
		tail -n 30 "$log"
	elif [ "$rc" -ne 0 ]; then
		sed -n '/^=.* \(FAILURES\|ERRORS\) =/,/^=.* evidence: /p' "$log" | grep -E '^(E  |____|tests/e2e)' | cut -c1-300
		say "all that was seen of it: $log, and in build/log/evidence/"
	fi
}

case ${1:-} in
all) cluster_meanwhile; unit; stop_meanwhile; e2e ;;
unit) unit ;;
e2e) e2e ;;
long) long ;;
*) echo "usage: $0 all|unit|e2e|long" >&2; exit 2 ;;
esac
if [ -d build/log/evidence ]; then
	echo "evidence of what failed, whole: build/log/evidence/, and at the end of build/log/e2e-*.log"
	[ "$failed" = 0 ] || for f in build/log/evidence/*; do echo "--- $f"; tail -n 100 "$f" | cut -c1-300; done
fi
for n in "${notes[@]}"; do echo "$n"; done
for f in "${failures[@]}"; do echo "failed: $f"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
