#!/bin/bash
# SPDX-License-Identifier: ISC
#
# fuzz.sh SECONDS FUZZER... - run each target for so long, with its corpus and
# its dictionary; findings go to build/fuzz/findings/ and are printed with the
# command that repeats them.
set -u
seconds=$1
shift
passed=0 failed=0
total=0
mkdir -p build/fuzz/findings
for fuzzer in "$@"; do
	name=$(basename "$fuzzer")
	name=${name#fuzz_}
	corpus=tests/fuzz/corpus/$name
	work=build/fuzz/work/$name
	mkdir -p "$work"
	dirs=("$work")
	[ -d "$corpus" ] && dirs+=("$corpus")
	dict=()
	[ -f "tests/fuzz/dict/$name.dict" ] && dict=("-dict=tests/fuzz/dict/$name.dict")
	log=build/fuzz/$name.log
	# libconfuse 3.3 itself forgets what it had parsed of an include() that is broken off
	leaks=1
	[ "$name" = config ] && leaks=0
	if ASAN_OPTIONS=detect_leaks=$leaks "$fuzzer" -detect_leaks=$leaks -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=2048 \
		-print_final_stats=1 -artifact_prefix="build/fuzz/findings/$name-" \
		"${dict[@]}" "${dirs[@]}" >"$log" 2>&1; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		tail -n 40 "$log"
		echo "repeat: $fuzzer $(ls -t build/fuzz/findings/"$name"-* 2>/dev/null | head -n 1)"
	fi
	n=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
	total=$((total + ${n:-0}))
done
echo "$total executions"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
