#!/bin/bash
# go.sh DIR: prints the path of a go command of 1.24 or newer; where there is none, unpacks Debian trixie's into DIR.
set -euo pipefail
dir=$(realpath -m "$1")
new_enough() { # GO
	local v
	v=$("$1" env GOVERSION 2> /dev/null) || return 1
	v=${v#go1.}; [ "${v%%[!0-9]*}" -ge 24 ]
}
for go in "$(command -v go || true)" "$dir/usr/lib/go-1.24/bin/go"; do
	if [ -n "$go" ] && new_enough "$go"; then echo "$go"; exit; fi
done
mkdir -p "$dir/apt/state/lists/partial" "$dir/apt/cache/archives/partial"
mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1) # wherever this machine gets Debian from
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$dir/apt/sources.list"
cat > "$dir/apt/apt.conf" <<A
Dir::State "$dir/apt/state";
Dir::State::status "/var/lib/dpkg/status";
Dir::Cache "$dir/apt/cache";
Dir::Etc::sourcelist "$dir/apt/sources.list";
Dir::Etc::sourceparts "-";
Dir::Etc::parts "/etc/apt/apt.conf.d";
APT::Sandbox::User "root";
A
export APT_CONFIG=$dir/apt/apt.conf
apt-get update >&2
cd "$dir/apt"
apt-get download golang-1.24-go golang-1.24-src >&2
for deb in golang-1.24-*.deb; do dpkg -x "$deb" "$dir"; done
go=$dir/usr/lib/go-1.24/bin/go
new_enough "$go"
echo "$go"
