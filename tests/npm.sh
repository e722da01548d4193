#!/bin/sh
# SPDX-License-Identifier: ISC
#
# npm.sh DIR PACKAGE@VERSION... - the JavaScript clients of the tests, from the npm registry
# into DIR/node_modules; node and npm by apt, where there are none.  Prints nothing when
# they are there already.
set -eu
dir=$1
shift
mkdir -p "$dir"
for p in "$@"; do
	[ -d "$dir/node_modules/${p%@*}" ] || missing="${missing:-} $p"
done
[ -n "${missing:-}" ] || exit 0
command -v npm >/dev/null 2>&1 || "$(dirname "$0")/../tools/need.sh" nodejs npm
echo "== fetching from the npm registry:$missing"
cd "$dir"
# shellcheck disable=SC2086 # a list of words
npm install --silent --no-audit --no-fund --ignore-scripts $missing >npm.log 2>&1 || {
	cat npm.log >&2
	exit 1
}
