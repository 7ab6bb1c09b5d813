#!/bin/bash
# deps.sh DIR: builds libev, mbedTLS and curl from Debian's sources as static musl libraries into
# DIR (include/, lib/, SOURCES, .done), with jsmn.h and the kernel's headers beside them. About a
# minute. Running it again does nothing; an interrupted run leaves nothing behind.
set -euo pipefail
unset MAKEFLAGS MFLAGS MAKELEVEL # our Makefile's options are not those of the libraries

self=$(readlink -f "$0")
[ $# = 1 ] || { echo "usage: deploy/deps.sh DIR" >&2; exit 2; }
mkdir -p "$(dirname "$1")"
dir=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
log=$(dirname "$dir")/log/deps.log
suites="trixie bookworm" # mbedTLS 3.6 and curl 8.14 are the former's, libev both have
machine=$(uname -m)
host=$machine-linux-musl
packages="gcc make musl-tools libc6-dev linux-libc-dev dpkg-dev libjsmn-dev debian-archive-keyring"
started=$(date +%s)

say() { printf '[%4ds] deps: %s\n' $(($(date +%s) - started)) "$*"; }
fail() { echo "error: deps: $*" >&2; exit 1; }

# step "what" COMMAND...: output goes to the log; its tail is shown if the command fails.
step() {
	local what=$1 begin rc=0
	shift
	begin=$(date +%s)
	echo "== $what" >> "$log"
	# In a subshell of its own: `set -e` does not hold in a command that is followed by ||.
	set +e
	(set -e; "$@") >> "$log" 2>&1 < /dev/null
	rc=$?
	set -e
	if [ $rc -ne 0 ]; then
		tail -n 25 "$log" >&2
		fail "$what failed (exit code $rc); the whole log: $log"
	fi
	say "$what: $(($(date +%s) - begin)) s"
}

# .done holds the hash of this script: another version of it builds anew.
stamp() { sha256sum < "$self" | cut -d ' ' -f 1; }
up_to_date() { [ -f "$dir/.done" ] && [ "$(cat "$dir/.done")" = "$(stamp)" ]; }

installed() { dpkg-query -W -f '${Status}' "$1" 2> /dev/null | grep -q 'ok installed'; }

install_packages() {
	local p missing=
	for p in $packages; do
		installed "$p" || missing+=" $p"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" = 0 ] || fail "missing Debian packages, and only root can install them: apt-get install$missing"
	step "apt-get update" apt-get update
	step "apt-get install$missing" env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $missing
}

# Where this machine gets Debian from: the archive itself, and that of security updates (maybe none).
# The first of each that apt would read; a foreign one would fail for want of Debian's signature.
archives() {
	apt-get --print-uris update | sed -n "s|^'\(.*\)/dists/\([^']*\)/main/binary-.*|\1 \2|p" | awk '
		$2 ~ /-security$/ { if (!security) security = $1; next }
		$2 !~ /[-\/]/ && !main { main = $1 }
		END { print main, security }'
}

# An apt of our own, so that the machine's lists and sources stay as they are. Signatures are checked.
get_sources() {
	local main security suite keyring=/usr/share/keyrings/debian-archive-keyring.gpg apt=$work/apt
	[ -f $keyring ] || keyring=/usr/share/keyrings/debian-archive-keyring.pgp
	read -r main security < <(archives)
	[ -n "$main" ] || { echo "no Debian archive in this machine's apt sources"; return 1; }
	mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial"
	for suite in $suites; do
		echo "deb-src [signed-by=$keyring] $main $suite main"
		[ -z "$security" ] || echo "deb-src [signed-by=$keyring] $security $suite-security main"
	done > "$apt/sources.list"
	cat > "$apt/apt.conf" <<-END
		Dir::State "$apt/state";
		Dir::State::status "/var/lib/dpkg/status";
		Dir::Cache "$apt/cache";
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "-";
		Dir::Etc::parts "/etc/apt/apt.conf.d";
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "2";
	END
	export APT_CONFIG=$apt/apt.conf
	apt-get update
	cd "$work/src"
	get_source libev 4.33
	get_source mbedtls 3.6
	get_source curl 8.14
}

# get_source NAME UPSTREAM: the newest of Debian's versions that the archive has whole (a mirror may
# list a version of which it lacks a file; what is used in its place is said and recorded).
get_source() {
	local version versions
	versions=$(apt-cache showsrc "$1" | sed -n "s/^Version: \(\([0-9]*:\)\?$2\..*\|\([0-9]*:\)\?$2-.*\)$/\1/p" | sort -ruV)
	[ -n "$versions" ] || { echo "Debian ($suites) has no $1 $2"; return 1; }
	for version in $versions; do
		if apt-get source --only-source "$1=$version"; then
			return 0
		fi
		echo "NOTE: the archive lacks files of $1 $version"
		rm -rf "$1"_* "$1"-*/
	done
	return 1
}

# tree NAME: the unpacked source.
tree() { echo "$work/src/$1"-*/; }

# One line for each file: name, version, file, sha256.
record_sources() {
	local name version file
	cd "$work/src"
	for name in libev mbedtls curl; do
		version=$(sed -n 's/^Version: //p' "$name"_*.dsc | head -n 1)
		for file in "$name"_*; do
			printf '%s\t%s\t%s\t%s\n' $name "$version" "$file" "$(sha256sum < "$file" | cut -d ' ' -f 1)"
		done
	done
	printf 'jsmn\t%s\tjsmn.h\t%s\n' "$(dpkg-query -W -f '${Version}' libjsmn-dev)" \
		"$(sha256sum < /usr/include/jsmn.h | cut -d ' ' -f 1)"
	printf 'musl\t%s\tlibc.a\t%s\n' "$(dpkg-query -W -f '${Version}' musl-dev)" \
		"$(sha256sum < "/usr/lib/$host/libc.a" | cut -d ' ' -f 1)"
}

# musl-gcc sees none of the system's headers. Only the kernel's are let in: glibc's would be taken
# for musl's. For the libraries here, for our own code as part of DIR/include.
link_headers() {
	local triple
	triple=$(gcc -dumpmachine)
	mkdir -p "$out/include" "$out/lib"
	ln -s /usr/include/linux /usr/include/asm-generic "$out/include/"
	ln -s "/usr/include/$triple/asm" "$out/include/asm"
	cp /usr/include/jsmn.h "$out/include/"
}

build_libev() {
	cd "$(tree libev)"
	CC=musl-gcc CFLAGS="$flags" ./configure --host="$host" --prefix="$out" --disable-shared --enable-static
	make -j2
	make install-libLTLIBRARIES install-includeHEADERS
}

# The configuration is written into the installed header, not a file of ours beside it: programs that
# include mbedTLS's headers then see what the library was built with.
build_mbedtls() {
	cd "$(tree mbedtls)"
	cat >> include/mbedtls/mbedtls_config.h <<-'END'

		/* Bestgres: entropy from getrandom(2) alone, allocators that wipe, no sockets of its own. */
		#define MBEDTLS_NO_PLATFORM_ENTROPY
		#define MBEDTLS_ENTROPY_HARDWARE_ALT
		#define MBEDTLS_PLATFORM_MEMORY
		#undef MBEDTLS_NET_C
		#undef MBEDTLS_TIMING_C
		#undef MBEDTLS_SELF_TEST
		#undef MBEDTLS_PSA_CRYPTO_STORAGE_C
		#undef MBEDTLS_PSA_ITS_FILE_C
	END
	make -j2 lib GENERATED_FILES= CC=musl-gcc CFLAGS="$flags"
	cat > hardware_poll.c <<-'END'
		#include <errno.h>
		#include <stddef.h>
		#include <sys/random.h>
		#include <mbedtls/entropy.h>

		int mbedtls_hardware_poll(void *data, unsigned char *out, size_t len, size_t *olen);

		int
		mbedtls_hardware_poll(void *data, unsigned char *out, size_t len, size_t *olen)
		{
			ssize_t n;

			(void)data;
			*olen = 0;
			while (*olen < len) {
				n = getrandom(out + *olen, len - *olen, 0);
				if (n == -1 && errno == EINTR)
					continue;
				if (n <= 0)
					return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
				*olen += (size_t)n;
			}
			return 0;
		}
	END
	musl-gcc $flags -Iinclude -c hardware_poll.c -o hardware_poll.o
	ar r library/libmbedcrypto.a hardware_poll.o
	cp library/libmbedtls.a library/libmbedx509.a library/libmbedcrypto.a "$out/lib/"
	cp -r include/mbedtls include/psa "$out/include/"
}

curl_off="ftp file ldap ldaps rtsp dict telnet tftp pop3 imap smb smtp gopher mqtt ipfs websockets proxy
	cookies netrc alt-svc hsts doh aws tls-srp ntlm basic-auth digest-auth kerberos-auth negotiate-auth
	bearer-auth unix-sockets threaded-resolver manual docs libcurl-option progress-meter mime form-api
	headers-api dateparse socketpair get-easy-options"
curl_without="ca-bundle ca-path ca-fallback zlib brotli zstd libpsl libidn2 nghttp2 libssh2 librtmp libgsasl"

build_curl() {
	cd "$(tree curl)"
	CC=musl-gcc CFLAGS="$flags" LDFLAGS="-static -L$out/lib" ./configure --host="$host" --prefix="$out" \
		--disable-shared --enable-static --with-mbedtls="$out" \
		$(printf -- '--disable-%s ' $curl_off) $(printf -- '--without-%s ' $curl_without)
	make -j2 -C lib libcurl.la
	make -C lib install-libLTLIBRARIES
	make -C include install
}

# The old DIR, if any, stays whole until the new one is.
put_in_place() {
	rm -rf "$out/lib/pkgconfig" "$out/lib/"*.la "$out/share" "$out/bin"
	stamp > "$out/.done"
	if [ -e "$dir" ]; then
		mv "$dir" "$work/old"
	fi
	mv "$out" "$dir"
}

[ "$(uname -s)" = Linux ] && command -v apt-get > /dev/null ||
	fail "this needs Debian 12 or 13 (or set DEPS_PREFIX to a prefix of yours with these libraries for musl)"
mkdir -p "$(dirname "$log")"
exec 9> "$dir.lock"
flock -n 9 || { say "waiting for another build of the libraries"; flock 9; }
if up_to_date; then
	touch "$dir/.done"
	exit 0
fi
: > "$log"
install_packages
# Left behind by a run that was killed; the lock says that nobody is at work there.
rm -rf "$dir".work.*
work=$(mktemp -d "$dir.work.XXXXXX")
out=$work/out
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$work/src" "$out"
link_headers
flags="-std=gnu11 -Os -g -fPIE -fstack-protector-strong -fstack-clash-protection -ffunction-sections"
flags+=" -fdata-sections -ffile-prefix-map=$work/src=. -isystem $out/include"
step "sources from Debian" get_sources
sed -n 's/^NOTE: //p' "$log" | while read -r note; do say "$note; using an older one"; done
record_sources > "$out/SOURCES"
step "libev" build_libev
step "mbedTLS" build_mbedtls
step "curl" build_curl
put_in_place
say "ready in $dir: $(awk '!seen[$1]++ { printf "%s%s %s", sep, $1, $2; sep = ", " }' "$dir/SOURCES")"
