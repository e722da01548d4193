#!/bin/sh
# SPDX-License-Identifier: ISC
#
# chroot.sh TAR - make a small Debian in a tar file, for the tests that install our
# package into it: with what the package depends on, and nothing of ours.  Says what it
# does; does nothing if the file is there.
set -eu
tar=$1
[ -s "$tar" ] && exit 0
"$(dirname "$0")/../tools/need.sh" debootstrap
echo "== making a small Debian for the tests of the package: $tar"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
debootstrap --variant=minbase --include=systemd,libevent-core-2.1-7,liblmdb0,libc-ares2,libconfuse2,libjansson4,libidn2-0,libunistring2,libgsasl18,libcrypt1,libseccomp2,libssl3,zlib1g,ca-certificates,bash-completion \
	bookworm "$work/root" http://deb.debian.org/debian >"$work/log" 2>&1 || { tail -n 20 "$work/log"; exit 1; }
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
mkdir -p "$(dirname "$tar")"
tar -C "$work/root" --exclude=./dev/* --exclude=./proc/* -cf "$tar.new" .
mv "$tar.new" "$tar"
