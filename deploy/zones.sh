#!/bin/bash
# zones.sh: writes model/zones.def, the time zones that plan/zone.c knows, from the newest tzdata of this machine's
# Debian. The table is committed: the operator's image then is the same on every machine, whichever tzdata that has,
# and a diff shows what a country has changed. Run it when tzdata changes, read the diff, run the tests.
set -euo pipefail
cd "$(dirname "$0")/.."
out=model/zones.def
fail() { echo "error: zones: $*" >&2; exit 1; }

command -v apt-get > /dev/null || fail "this needs Debian (apt-get was not found)"
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
# Debian 13 has the names that are links to others in a package of their own.
packages=tzdata
[ -z "$(apt-cache madison tzdata-legacy)" ] || packages+=" tzdata-legacy"
(cd "$temp" && apt-get -q -o APT::Sandbox::User=root download $packages > /dev/null) || fail "apt-get download $packages"
for deb in "$temp"/*.deb; do dpkg-deb -x "$deb" "$temp/root"; done
version=$(dpkg-deb -f "$(ls "$temp"/tzdata_*.deb)" Version)

# A TZif file (RFC 8536) ends in a line with the rules that hold from its last change on.
rows() (
	cd "$temp/root/usr/share/zoneinfo"
	find . \( -path ./posix -o -path ./right \) -prune -o \( -type f -o -type l \) -printf '%P\n' | while read -r name; do
		case $name in localtime | posixrules | Factory) continue ;; esac
		[ "$(head -c 4 "$name" | tr -d '\0')" = TZif ] || continue
		rule=$(tail -n 1 "$name" | tr -d '\0')
		[ -z "$rule" ] || printf 'ZONE("%s", "%s")\n' "$name" "$rule"
	done | LC_ALL=C sort
)

{
	cat <<- END_HEAD
		/*
		 * Time zones: ZONE("IANA name", "its present rules, as a POSIX TZ string"), sorted by name. Written by deploy/zones.sh
		 * from Debian's tzdata $version; who includes this defines ZONE.
		 */
	END_HEAD
	rows
} > "$temp/zones.def"
n=$(grep -c '^ZONE(' "$temp/zones.def")
[ "$n" -gt 400 ] || fail "only $n zones in tzdata $version"
cp "$temp/zones.def" "$out"
echo "$out: $n zones of tzdata $version"
