# Shared by the scripts of the test cluster: messages with elapsed time, and a progress line for what lasts.
started=${started:-$(date +%s)}
if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold= plain=; fi

say() { printf '%s[%4ds]%s %s\n' "$bold" $(($(date +%s) - started)) "$plain" "$*"; }
fail() { printf '%serror:%s %s\n' "$bold" "$plain" "$*" >&2; exit 1; }

# step LOG "what" COMMAND...: runs it with its output in LOG; says how long it took, or how it goes on every 10 s.
step() {
	local log=$1 what=$2 begin now last pid rc=0
	shift 2
	mkdir -p "$(dirname "$log")"
	begin=$(date +%s) last=$begin
	"$@" > "$log" 2>&1 < /dev/null &
	pid=$!
	trap 'kill $pid 2> /dev/null; wait $pid 2> /dev/null; fail "interrupted while: $what (run the same command again to go on)"' INT TERM
	while kill -0 $pid 2> /dev/null; do
		sleep 0.2
		now=$(date +%s)
		if [ $((now - last)) -ge 10 ]; then
			last=$now
			say "  ... $what: $((now - begin)) s so far; $(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
		fi
	done
	wait $pid || rc=$?
	trap - INT TERM
	if [ $rc -ne 0 ]; then
		tail -n 20 "$log" >&2
		fail "$what failed (exit code $rc); the whole log: $log"
	fi
	say "$what: $(($(date +%s) - begin)) s"
}
