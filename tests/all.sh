#!/bin/bash
# SPDX-License-Identifier: ISC
#
# all.sh [quick] - builds the variants and runs everything; the last line is
# "N passed, N failed".  quick: the release variant, and the talks.
set -u
cd "$(dirname "$0")/.." || exit 1
export RELAYD_COUNTS
RELAYD_COUNTS=$(mktemp) || exit 1
trap 'rm -f "$RELAYD_COUNTS"' EXIT
began=$SECONDS
cores=$(nproc)
status=0
quick=0
[ "${1:-}" = quick ] && quick=1

build() { # VARIANT TARGET...
	local variant=$1
	shift
	echo "== building $variant"
	if ! make --no-print-directory -s -j"$cores" VARIANT="$variant" "$@" >build/log.$variant 2>&1; then
		cat build/log.$variant
		echo "== building $variant failed"
		echo "0 1" >>"$RELAYD_COUNTS"
		status=1
		return 1
	fi
}

run() { # TITLE COMMAND...
	local title=$1
	shift
	tests/run.py -j "$cores" --title "$title" -- "$@" || status=1
}


only_programs() { # drop .o and .d from a glob's result
	local f
	for f in "$@"; do
		case $f in *.o | *.d) ;; *) printf '%s\n' "$f" ;; esac
	done
}

unit_list() {
	only_programs build/"$1"/tests/unit/test_*
}

# ThreadSanitizer tells nothing of a program with one thread: such are most units, and all talks.
threaded_list() {
	local f
	for f in $(grep -liE 'thread|pool_new|helper|inbox_|daemon_new|wire_|cares' tests/unit/test_*.c); do
		printf '%s\n' "build/$1/tests/unit/$(basename "$f" .c)"
	done
}

mkdir -p build
if build release programs units tools look; then
	mapfile -t list < <(unit_list release)
	run "unit release" "${list[@]}"
fi
[ $quick = 1 ] || run "lint" "make --no-print-directory -s lint-brief"
if build test talk units; then
	mapfile -t list < <(unit_list test)
	run "unit test" "${list[@]}"
	run "talk" "build/test/talk -j $cores tests/talk/*.talk"
	# talks that do not die by themselves, died at each fault point in turn; the three longest
	# at each third one (make crash: at each)
	mapfile -t list < <(grep -L '^die ' tests/talk/{a003,c006,d003,f002,h010,p001,p003,p004}*.talk tests/talk/x{004,005,007,009,010}*.talk)
	run "crash" "build/test/talk --crash --every=3 tests/talk/x011"*.talk "build/test/talk --crash --every=3 tests/talk/x012"*.talk \
		"build/test/talk --crash --every=3 tests/talk/q018"*.talk "build/test/talk --crash ${list[*]}"
fi
if [ $quick = 0 ]; then
	if build test power-rig; then
		run "power" "build/test/power --self-test --batches 4 --cuts 1000" \
			"build/test/power --batches 4 --cuts 2000" \
			"tests/power/daemon.py --early --messages 12" "tests/power/daemon.py --messages 24"
	fi
	if build test flips-rig; then
		run "flips" "build/test/flips --self-test --rounds 1000" "build/test/flips --rounds 2000"
	fi
	run "network" "tests/network/network.py --short"
	run "kill" "tests/crash/crash.py --blind --kills 20" "tests/crash/crash.py --kills 50" \
		"tests/crash/faults.py --blind --runs 20" "tests/crash/faults.py --runs 40"
	if build asan programs units talk tools flips-rig; then
		mapfile -t list < <(unit_list asan)
		run "asan" "build/asan/flips --rounds 300 --seed 2" "env VARIANT=asan tests/crash/poison.py" "build/asan/talk tests/talk/[a-o]*.talk" "build/asan/talk tests/talk/[p-z]*.talk" "${list[@]}"
	fi
	if build tsan programs units tools; then
		mapfile -t list < <(threaded_list tsan)
		run "unit tsan" "${list[@]}"
	fi
	for variant in asan tsan; do
		[ -x build/$variant/relayd ] || continue
		# the longest first, so that no core waits for the other at the end
		run "real $variant" "env VARIANT=$variant tests/real/test_hostile.py" \
			"env VARIANT=$variant tests/real/test_smarthost.py SignIn Tls Between" \
			"env VARIANT=$variant tests/real/test_page.py Figures Guarded Acting Hostile" \
			"env VARIANT=$variant tests/real/test_siege.py" \
			"env VARIANT=$variant tests/real/test_imap.py Imap.test_administrator Imap.test_idle_is_told_at_once Imap.test_compressed Imap.test_mutt Imap.test_append_broken_off_compressed Imap.test_mail_made_to_hurt" \
			"env VARIANT=$variant tests/real/test_kill.py" \
			"env VARIANT=$variant tests/real/test_relay.py"
	done
	build clang programs
	if build fuzz fuzzers; then
		mapfile -t list < <(only_programs build/fuzz/fuzz_*)
		half=$(((${#list[@]} + 1) / 2))
		run "fuzz" "tests/fuzz.sh 5 ${list[*]:0:half}" "tests/fuzz.sh 5 ${list[*]:half}"
	fi
fi
# the package takes as long as a variant: not within the time of one test
make --no-print-directory -s deb >build/log.deb 2>&1 || cat build/log.deb
run "real" tests/real/test_{imap_hostile,smarthost,page,imap,bench}.py \
	$(ls tests/real/test_*.py | grep -vE '/test_(imap_hostile|smarthost|page|imap|bench)[.]py')

passed=$(awk '{n += $1} END {print n + 0}' "$RELAYD_COUNTS")
failed=$(awk '{n += $2} END {print n + 0}' "$RELAYD_COUNTS")
echo "== $((SECONDS - began)) seconds"
skipped=$(awk '{n += $3} END {print n + 0}' "$RELAYD_COUNTS")
[ "$skipped" = 0 ] || echo "== $skipped skipped: see above what, and why"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && exit $status
exit 1
