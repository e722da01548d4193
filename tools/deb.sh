#!/bin/sh
# SPDX-License-Identifier: ISC
#
# deb.sh DIR - build relayd_VERSION_ARCH.deb into DIR, from a copy of the sources
# there with debian/ made of tools/debian and tools/systemd.
set -eu
cd "$(dirname "$0")/.."
dir=$1
version=$(sed -n 's/^#define RELAYD_VERSION "\(.*\)"/\1/p' relay/version.h)
tree=$dir/relayd-$version
# the day of the latest release: the same sources give the same package
day=$(sed -n 's/^## .*(\([0-9-]*\)).*/\1/p' relay/CHANGELOG.md | head -n 1)

# nothing to do where it is newer than everything that it is made of
made=$(ls "$dir"/relayd_"$version"_*.deb 2>/dev/null || true)
if [ -n "$made" ] && [ -z "$(find Makefile LICENSE README.md policy relay resolver spool tools \
	-newer "$made" -print -quit)" ]; then
	echo "$made"
	exit 0
fi

mkdir -p "$dir"
rm -rf "$tree" "$dir"/relayd_* "$dir"/relayd-dbgsym_*
mkdir "$tree"
cp -R Makefile LICENSE README.md policy relay resolver spool tools "$tree"
cp -R tools/debian "$tree/debian"
for part in service sysusers tmpfiles; do
	cp "tools/systemd/relayd.$part" "$tree/debian/relayd.$part"
done
cat >"$tree/debian/changelog" <<END
relayd ($version) unstable; urgency=medium

  * Version $version; what is new stands in the upstream changelog.

 -- $(sed -n 's/^Maintainer: //p' tools/debian/control)  $(LC_ALL=C date -u -d "$day" '+%a, %d %b %Y %H:%M:%S +0000')
END
if ! (cd "$tree" && dpkg-buildpackage -b -us -uc -j"$(nproc)") >"$dir/log" 2>&1; then
	tail -n 40 "$dir/log" >&2
	echo "deb.sh: the build failed; all of it is in $dir/log" >&2
	exit 1
fi
rm -rf "$tree"
ls "$dir"/relayd_"$version"_*.deb
