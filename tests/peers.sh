#!/bin/sh
# SPDX-License-Identifier: ISC
#
# peers.sh DIR - unpack Postfix from its Debian package beside us, without
# installing it (it would take over the machine's mail), for its smtp-source and
# smtp-sink.  Prints nothing when it is there already.
set -eu
dir=$1
[ -x "$dir/postfix/usr/sbin/smtp-sink" ] && exit 0
"$(dirname "$0")/../tools/need.sh" libicu72 libdb5.3 libnsl2 libsasl2-2 libssl3
mkdir -p "$dir/fetch"
echo "== fetching the postfix package to unpack beside (it is not installed)"
(cd "$dir/fetch" && apt-get download -q postfix >/dev/null 2>&1) || {
	apt-get update -q >/dev/null 2>&1 || true
	(cd "$dir/fetch" && apt-get download -q postfix >/dev/null)
}
rm -rf "$dir/postfix.new"
dpkg -x "$dir"/fetch/postfix_*.deb "$dir/postfix.new"
mv "$dir/postfix.new" "$dir/postfix"
