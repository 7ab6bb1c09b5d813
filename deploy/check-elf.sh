#!/bin/bash
# check-elf.sh FILE: what the link of a program must have come to. A static PIE without interpreter
# or text relocations, its stack not executable, all relocations read-only after the start; and a
# reconciler whose unstripped symbols show no TLS, HTTP or socket-opening code at all.
set -euo pipefail
[ $# = 1 ] && [ -r "$1" ] || { echo "usage: deploy/check-elf.sh FILE" >&2; exit 2; }
file=$1
export LC_ALL=C
bad=0

complain() { echo "error: $file: $*" >&2; bad=1; }

header=$(readelf -hW "$file")
segments=$(readelf -lW "$file")
dynamic=$(readelf -dW "$file")

grep -Eq 'Type: +DYN' <<< "$header" || complain "not position-independent (readelf -h says no DYN)"
! grep -Eq '\bINTERP\b' <<< "$segments" || complain "asks for an interpreter: not static"
! grep -q 'NEEDED' <<< "$dynamic" || complain "needs shared libraries"
! grep -q 'TEXTREL' <<< "$dynamic" || complain "has text relocations"
stack=$(awk '$1 == "GNU_STACK" { print $7 }' <<< "$segments")
[ "$stack" = RW ] || complain "stack is not plain RW (GNU_STACK flags: ${stack:-no such segment})"
grep -q 'GNU_RELRO' <<< "$segments" || complain "no RELRO segment"
grep -Eq 'BIND_NOW|FLAGS_1.*NOW' <<< "$dynamic" || complain "no BIND_NOW"
if awk '$1 == "LOAD" && /RWE/ { found = 1 } END { exit !found }' <<< "$segments"; then
	complain "a segment is writable and executable"
fi

if [[ $(basename "$file") == reconciler* ]]; then
	symbols=$(nm "$file" 2> /dev/null | awk '{ print $NF }')
	[ -n "$symbols" ] || complain "has no symbols: check the unstripped file"
	# socketpair, sendmsg and recvmsg are IPC.
	found=$(grep -E '^(curl_|Curl_|mbedtls_|psa_)|^(__)?(socket|connect|bind|listen|accept4?|getaddrinfo)$' <<< "$symbols" |
		sort -u | head -n 10 | tr '\n' ' ' || true)
	[ -z "$found" ] || complain "links what a reconciler must not have: $found"
fi
exit $bad
