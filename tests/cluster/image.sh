#!/bin/bash
# image.sh OUT.tar: the "vanilla" database image of demo and tests: Debian trixie with PostgreSQL 17 (and 15), pg_repack, upstream Patroni and
# pgBackRest; postgres is uid 100, gid 102 there. About a minute.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); out=$(realpath -m "$1")
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
mirror=$(apt-get indextargets --format '$(REPO_URI)' | head -n 1) # wherever this machine gets Debian from
mmdebstrap --variant=minbase --mode=root \
	--include=ca-certificates,postgresql-common,python3-kubernetes,patroni,pgbackrest,python3-psycopg2,locales \
	--aptopt='APT::Install-Recommends "false"' \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--essential-hook='mkdir -p "$1/etc/postgresql-common"; echo "create_main_cluster = false" > "$1/etc/postgresql-common/createcluster.conf"' \
	--customize-hook='chroot "$1" apt-get install -y --no-install-recommends postgresql-17 postgresql-15 postgresql-17-repack' \
	--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
	trixie "$work/rootfs.tar" "deb $mirror trixie main" "deb $mirror bookworm main"
python3 "$here/archive.py" localhost/postgres-patroni:17 "$work/rootfs.tar" "$work/image.tar" '[]' postgres
mkdir -p "$(dirname "$out")"
mv "$work/image.tar" "$out"
