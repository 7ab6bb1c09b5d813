#!/bin/bash
# images.sh STATE_DIR ARCHIVE.tar...: loads image archives into the test cluster, each once.
set -euo pipefail
state=$(realpath "$1"); shift
mkdir -p "$state/containerd"
for archive in "$@"; do
	mark=$state/containerd/.imported-$(basename "$archive")
	sum=$(stat -c '%s %Y %n' "$archive")
	[ "$(cat "$mark" 2> /dev/null)" = "$sum" ] && continue
	ctr -a "$state/containerd.sock" -n k8s.io image import "$archive" > /dev/null
	echo "$sum" > "$mark"
done
