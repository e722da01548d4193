#!/bin/sh
# SPDX-License-Identifier: ISC
#
# need.sh PACKAGE[=MINIMUM]... - install what is missing, and only that, with apt.
# Says what it does; uses sudo when not root; quiet when nothing is missing.
set -u

missing=
for want in "$@"; do
	name=${want%%=*}
	minimum=
	case $want in *=*) minimum=${want#*=} ;; esac
	have=$(dpkg-query -W -f '${Status} ${Version}' "$name" 2>/dev/null |
		sed -n 's/^install ok installed //p')
	if [ -z "$have" ]; then
		missing="$missing $name"
	elif [ -n "$minimum" ] && dpkg --compare-versions "$have" lt "$minimum"; then
		missing="$missing $name"
	fi
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "need.sh: these packages are missing, and there is no apt-get here:$missing" >&2
	echo "need.sh: install their equivalents by hand, then run make again." >&2
	exit 1
fi
sudo=
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "need.sh: please run as root:  apt-get install$missing" >&2
		exit 1
	fi
	sudo=sudo
fi
echo "== installing missing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp) || exit 1
trap 'rm -f "$log"' EXIT
install() {
	# shellcheck disable=SC2086 # a list of words
	$sudo apt-get install -y --no-install-recommends $missing >"$log" 2>&1
}
# The package lists of a fresh machine are missing or old: fetch them, then try.
$sudo apt-get update -q >"$log" 2>&1
if ! install; then
	tail -n 20 "$log" >&2
	echo "need.sh: apt could not install:$missing (see above)" >&2
	exit 1
fi
