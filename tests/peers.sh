#!/bin/sh
# SPDX-License-Identifier: ISC
#
# peers.sh DIR [PACKAGE...] - unpack other people's servers from their Debian packages beside
# us, without installing them (they would take over the machine's mail): Postfix
# (a server to relay to, smtp-source, smtp-sink), Cyrus SASL (the passwords behind
# it), HAProxy (the PROXY protocol), microsocks (SOCKS5), Prometheus (promtool).  Prints
# nothing when they are there already.
set -eu
dir=$1
shift
peers="postfix sasl2-bin haproxy microsocks prometheus $*"
missing=
for p in $peers; do
	[ -d "$dir/$p" ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
# what they are linked with
"$(dirname "$0")/../tools/need.sh" libicu72 libdb5.3 libnsl2 libsasl2-2 libssl3 libsasl2-modules \
	libsasl2-modules-db liblua5.3-0 libopentracing-c-wrapper0 libpcre2-8-0
mkdir -p "$dir/fetch"
echo "== fetching packages to unpack beside (they are not installed):$missing"
fetch() {
	# shellcheck disable=SC2086 # a list of words
	(cd "$dir/fetch" && apt-get download -q $missing >/dev/null 2>&1)
}
fetch || { apt-get update -q >/dev/null 2>&1 || true; fetch; }
for p in $missing; do
	rm -rf "$dir/$p.new"
	dpkg -x "$dir"/fetch/"$p"_*.deb "$dir/$p.new"
	mv "$dir/$p.new" "$dir/$p"
done
