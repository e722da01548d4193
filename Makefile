# SPDX-License-Identifier: ISC
#
# relayd.  `make help` lists what can be made.
#
# Everything is built out of tree into build/<VARIANT>/; the programs of the
# release variant are also found in build/.  Sources are found by wildcard, one
# line per room; dependencies are written by the compiler.

VARIANT ?= release
B := build/$(VARIANT)

# ---- rooms
ROOMS := relay/base spool resolver policy relay relay/mime relay/imap relay/signin relay/ingress relay/egress relay/pickup \
	relay/control
PROGRAM_SRC := relay/relayd.c tools/relayctl.c tools/relay-sendmail.c tools/manual.c
LIB_SRC := $(filter-out $(PROGRAM_SRC),$(foreach r,$(ROOMS),$(wildcard $(r)/*.c)))
CTL_SRC := $(wildcard tools/ctl_*.c)
SENDMAIL_SRC := $(wildcard tools/sendmail_*.c)
TESTLIB_SRC := $(wildcard tests/lib/*.c)
TALK_SRC := $(wildcard tests/talk/*.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)
POWER_SRC := $(filter-out %/shim.c,$(wildcard tests/power/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)

# ---- compilers and flags
CSTD := -std=c11 -D_GNU_SOURCE
INCLUDES := -I. -Irelay
WARN := -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wformat=2 -Wformat-security \
	-Wvla -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings \
	-Wimplicit-fallthrough -Wnull-dereference -Walloca -Wundef
WARN_GCC := -Wduplicated-cond -Wlogical-op
HARDEN := -fno-common -fno-strict-aliasing -fstack-protector-strong -fstack-clash-protection \
	-fcf-protection=full -fno-delete-null-pointer-checks -fPIE
HARDEN_GCC := -ftrivial-auto-var-init=zero
LDHARDEN := -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,defs,--as-needed

OPT := -O2 -g -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
SAN :=
FAULTS := -DRELAY_FAULTS
ifeq ($(VARIANT),release)
FAULTS :=
else ifeq ($(VARIANT),test)
OPT := -O1 -g
else ifeq ($(VARIANT),asan)
OPT := -O1 -g -fno-omit-frame-pointer
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all
else ifeq ($(VARIANT),tsan)
OPT := -O1 -g -fno-omit-frame-pointer
SAN := -fsanitize=thread
else ifeq ($(VARIANT),clang)
CC := clang
else ifeq ($(VARIANT),fuzz)
CC := clang
OPT := -O1 -g -fno-omit-frame-pointer
SAN := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
else
$(error unknown VARIANT '$(VARIANT)': release, test, asan, tsan, clang or fuzz)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
ifeq ($(findstring clang,$(CC)),)
WARN += $(WARN_GCC)
HARDEN += $(HARDEN_GCC)
endif
# -z defs cannot hold while a sanitizer's run time is resolved at load time.
ifneq ($(SAN),)
LDHARDEN := -pie -Wl,--as-needed
# With instrumentation gcc's flow analysis reports paths that cannot be.
WARN := $(filter-out -Wnull-dereference,$(WARN))
endif

CFLAGS := $(CSTD) $(INCLUDES) $(OPT) $(WARN) $(HARDEN) $(SAN) $(FAULTS) $(EXTRA_CFLAGS)
LDFLAGS := $(LDHARDEN) $(SAN) -pthread
LIBS := -levent_core -llmdb -lcares -lconfuse -ljansson -lidn2 -lunistring -lgsasl -lcrypt -lseccomp -lssl -lcrypto -lz

obj = $(patsubst %.c,$(B)/%.o,$(1))
LIB := $(B)/librelay.a
PROGRAMS := $(B)/relayd $(B)/relayctl $(B)/relay-sendmail
UNITS := $(patsubst tests/unit/%.c,$(B)/tests/unit/%,$(UNIT_SRC))

.PHONY: all programs units talk tools power power-rig flips flips-rig crash faults network look deps deps-test run demo test quick alike bench lint lint-brief lint-tidy fuzz install deb help clean
all: programs

# ---- what is needed from Debian; libevent by version: older ones have known holes
DEPS := gcc make libc6-dev libevent-dev=2.1.12-stable-8+deb12u1 liblmdb-dev libc-ares-dev libssl-dev \
	libconfuse-dev libidn2-dev libunistring-dev libjansson-dev libgsasl-dev libcrypt-dev libseccomp-dev zlib1g-dev
DEPS_TEST := $(DEPS) libcmocka-dev python3 python3-aiosmtpd swaks fetchmail getmail6 mpop isync interimap offlineimap3 mutt bsdutils libnet-ssleay-perl openssl gsasl curl mandoc clang clang-tidy cppcheck libclang-rt-14-dev \
	bash-completion zsh debhelper fakeroot lintian debootstrap systemd chromium iproute2 nftables

deps:
	@tools/need.sh $(DEPS)
deps-test:
	@tools/need.sh $(DEPS_TEST)
	@tests/peers.sh build/peers
	@tests/chroot.sh build/peers/bookworm.tar
	@tests/npm.sh build/peers/node imapflow@1.0.200 nodemailer@7.0.9 playwright-core@1.48.2

# ---- the two commands of the README
run: deps
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs
	@mkdir -p build/run
	@exec build/relayd --try build/run

test: deps-test
	@tests/all.sh

quick: deps-test
	@tests/all.sh quick

alike: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs
	@RELAYD_MAILS=2000 tests/real/test_alike.py

demo: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs tools
	@/usr/bin/python3 tests/real/demo.py

# make bench [SHORT=1 | LONG=1] [ALONE=1] [RUNS=3] [CASE=10k-100,idle | CASE=list]
bench: deps
	@tools/need.sh python3 openssl strace e2fsprogs
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs tools
	@tests/peers.sh build/peers dovecot-core dovecot-pop3d dovecot-imapd
	@/usr/bin/python3 tests/bench/bench.py $(if $(SHORT),--short) $(if $(LONG),--long) \
		$(if $(ALONE),--alone) $(if $(RUNS),--runs $(RUNS)) $(if $(CASE),--case '$(CASE)')

help:
	@echo "make run      build, and run a relay on loopback ports (installs what is missing)"
	@echo "make test     all tests in all variants; ends with 'N passed, N failed'"
	@echo "make quick    the release variant's tests only"
	@echo "make alike    2,000 mixed mails, kept alike by the mail programs that people use"
	@echo "make demo     a message relayed, one deferred and explained, one bounced: under a minute"
	@echo "make power    tens of thousands of power cuts; SHORT=1: some, SEED=N: others"
	@echo "make flips    bits that turn over in the spool; SHORT=1: some, SEED=N: others"
	@echo "make crash    dies at every fault point, and a thousand kill -9 under load; SHORT=1: fifty"
	@echo "make network  loss, resets, lies, dead destinations, in network namespaces; SHORT=1: in brief"
	@echo "make bench    what it does beside Postfix and Dovecot, in 12 minutes; SHORT=1: in two"
	@echo "make faults   calls fail one by one: a full disk, no memory, no files; SHORT=1: some"
	@echo "make lint     clang-tidy and cppcheck on what has changed, manual pages"
	@echo "make fuzz     every fuzz target for SECONDS=60 each"
	@echo "make install  DESTDIR= prefix=/usr/local UNITDIR=PREFIX/lib/systemd/system"
	@echo "make deb      a Debian package, build/deb/relayd_*.deb"
	@echo "VARIANT=release|test|asan|tsan|clang|fuzz chooses a build for programs, units, talk"

programs: $(PROGRAMS)
ifeq ($(VARIANT),release)
programs: $(B)/relayd.conf.5
	@for p in relayd relayctl relay-sendmail relayd.conf.5; do ln -sf release/$$p build/$$p; done
endif

# ---- relayd.conf(5), from the table that the parser goes by
$(B)/manual: $(B)/tools/manual.o $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
$(B)/relayd.conf.5: tools/relayd.conf.5.in $(B)/manual
	@$(B)/manual $< >$@.new && mv $@.new $@

# ---- files of the status page, as strings
PAGE_TEXT := $(B)/relay/control/page_text.o
$(B)/relay/control/page_text.c: relay/control/page/style.css relay/control/page/script.js Makefile
	@mkdir -p $(@D)
	@for f in style.css script.js; do \
		printf 'extern const char page_%s[];\nconst char page_%s[] =\n' $$(echo $$f $$f | tr . _); \
		sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/' relay/control/page/$$f; echo ';'; \
	done >$@
$(PAGE_TEXT): $(B)/relay/control/page_text.c
	@echo "  CC    $<"
	@$(CC) $(CFLAGS) -c -o $@ $<

$(LIB): $(call obj,$(LIB_SRC)) $(PAGE_TEXT)
	@rm -f $@
	@ar rcs $@ $^

$(B)/relayd: $(B)/relay/relayd.o $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/relayctl: $(B)/tools/relayctl.o $(call obj,$(CTL_SRC)) $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/relay-sendmail: $(B)/tools/relay-sendmail.o $(call obj,$(SENDMAIL_SRC)) $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	@echo "  CC    $<"
	@$(CC) $(CFLAGS) -MMD -MP -c -o $@ $<

# ---- tests
units: $(UNITS)
$(UNITS): $(B)/tests/unit/%: $(B)/tests/unit/%.o $(call obj,$(TESTLIB_SRC)) $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ -lcmocka $(LIBS)

talk: $(B)/talk
$(B)/talk: $(call obj,$(TALK_SRC)) $(call obj,$(TESTLIB_SRC)) $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- power cuts: make power [SHORT=1] [SEED=N]; tests/TESTING.md
SEED ?= 1
POWER := $(if $(SHORT),--batches 8 --cuts 2000,--cuts 40000)
POWER_TEST := $(if $(SHORT),--batches 8 --cuts 1000,--cuts 12000)
power: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs
	@$(MAKE) --no-print-directory -s -j$(shell nproc) VARIANT=test power-rig
	@tests/power/daemon.py --early --messages 12
	@tests/power/daemon.py --messages $(if $(SHORT),24,400)
	@build/test/power --self-test --seed $(SEED) $(POWER_TEST)
	@build/test/power --seed $(SEED) $(POWER)

power-rig: $(B)/power
$(B)/power: $(call obj,$(POWER_SRC)) $(call obj,$(TESTLIB_SRC)) $(LIB) | $(B)/power-shim.so
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# What is preloaded
$(B)/%-shim.so: tests/%/shim.c tests/power/stream.h Makefile
	@mkdir -p $(@D)
	@echo "  CC    $@"
	@$(CC) $(CSTD) $(INCLUDES) -O1 -g $(filter-out -fPIE,$(WARN) $(HARDEN)) -fPIC -shared -o $@ $< -pthread

# ---- kill -9: make crash [SHORT=1] [SEED=N]; tests/TESTING.md.  Talks that die by themselves
# are left out, and those in whose end mail is gone as it should, or cannot go ("# not for make crash: why").
CRASH_TALKS = $(shell grep -LE '^(die|fail) at|^. not for make crash: ' $(if $(SHORT),$(wildcard \
	$(patsubst %,tests/talk/%-*.talk,a003 c006 d003 f002 f010 h010 p001 p003 p004 q018 x004 x005 x007 x009 x010 x011 x012 x013)), \
	$(wildcard tests/talk/*.talk)))
crash: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs look
	@$(MAKE) --no-print-directory -s -j$(shell nproc) VARIANT=test talk programs tools
	@build/test/talk -j $(shell nproc) --crash $(CRASH_TALKS)
	@tests/crash/crash.py --blind --kills 20 --seed $(SEED)
	@tests/crash/crash.py --kills $(if $(SHORT),50,1000) --seed $(SEED)
	@tests/run.py --title poison -- tests/crash/poison.py

# ---- calls that fail: make faults [SHORT=1] [SEED=N]
faults: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs look
	@tests/crash/faults.py --blind --runs 20 --seed $(SEED)
	@tests/crash/faults.py --runs $(if $(SHORT),40,600) --seed $(SEED)

# ---- a bad network: make network [SHORT=1] [SEED=N]; tests/TESTING.md
network: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) programs
	@tests/network/network.py $(if $(SHORT),--short) --seed $(SEED)

look: $(B)/look $(B)/faults-shim.so
$(B)/look: $(B)/tests/crash/look.o $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- bits that turn over in the spool: make flips [SHORT=1] [SEED=N]
flips: deps-test
	@$(MAKE) --no-print-directory -s -j$(shell nproc) VARIANT=test flips-rig
	@build/test/flips --self-test --rounds 1000 --seed $(SEED)
	@build/test/flips --rounds $(if $(SHORT),2000,60000) --seed $(SEED)

flips-rig: $(B)/flips
$(B)/flips: $(call obj,tests/crash/flips.c tests/power/story.c) $(call obj,$(TESTLIB_SRC)) $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

# ---- load generator and sink, for benchmarks and for the tests that kill the daemon
TOOLS := $(addprefix $(B)/,load sink pop fill)
tools: $(TOOLS)
$(TOOLS): $(B)/%: $(B)/tests/bench/%.o $(LIB)
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -o $@ $(filter %.o,$^) $(LIB) $(LIBS)
$(B)/load: $(B)/tests/bench/load_sender.o
$(B)/sink: $(B)/tests/bench/sink_tally.o

# ---- fuzzing: make fuzz SECONDS=60
SECONDS ?= 60
FUZZERS := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(FUZZ_SRC))
fuzz: deps-test
	@$(MAKE) --no-print-directory -s VARIANT=fuzz fuzzers
	@tests/fuzz.sh $(SECONDS) $(FUZZERS)

.PHONY: fuzzers
fuzzers: $(FUZZERS)
build/fuzz/fuzz_%: build/fuzz/tests/fuzz/fuzz_%.o build/fuzz/tests/lib/fake_world.o build/fuzz/tests/lib/spool_rig.o build/fuzz/tests/fuzz/pickup_rig.o \
		build/fuzz/tests/fuzz/daemon_rig.o build/fuzz/tests/fuzz/client_mails.o build/fuzz/tests/fuzz/witness.o build/fuzz/tests/lib/fake_dns.o \
		build/fuzz/librelay.a
	@echo "  LD    $@"
	@$(CC) $(LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# ---- lint, of the programs and of the tests.  Nearly all the time goes into clang's analyzer (eleven
# minutes of one core for all files): a file that is clean leaves a stamp in build/lint, and is looked at again
# when it, a header of it or the list of checks has changed.  The rest, lint-brief, is part of make test (one
# minute of one core; cppcheck keeps what it knows in build/lint, too).  Suppressed, with the reason: cppcheck 2.10 does not parse compound literals in a
# conditional (internalAstError) nor jansson's loops (unknownMacro); io.c keeps the address of a
# local flag only while its callback runs, and so does wire.c; mx.c and access.c read what a
# function called in between has filled in; it does not see that stage_fail() never returns (actors.c).
ALL_C = $(LIB_SRC) $(PROGRAM_SRC) $(CTL_SRC) $(SENDMAIL_SRC)
TEST_C := $(wildcard tests/*/*.c)
LINT := build/lint
lint:
	@$(MAKE) --no-print-directory -s lint-brief
	@$(MAKE) --no-print-directory -s -k -j$(shell nproc) lint-tidy
	@echo "lint: the analyzer, too"

TIDY := clang-tidy --quiet --warnings-as-errors='*'
lint-brief: $(B)/relayd.conf.5
	@tools/need.sh clang clang-tidy cppcheck mandoc
	@mkdir -p $(LINT)/cppcheck
	@cppcheck --quiet -j$(shell nproc) --cppcheck-build-dir=$(LINT)/cppcheck \
		--std=c11 --enable=warning,portability,performance --inline-suppr \
		--suppress=missingIncludeSystem --suppress=internalAstError --suppress=unknownMacro \
		--suppress=autoVariables:relay/base/io.c --suppress=uninitvar:resolver/mx.c \
		--suppress=autoVariables:relay/signin/wire.c --suppress=uninitvar:policy/access.c \
		--suppress=nullPointerRedundantCheck:tests/talk/actors.c \
		--error-exitcode=1 -I. -Irelay -D__x86_64__ $(ALL_C) $(TEST_C)
	@printf '%s\n' $(ALL_C) | xargs -P$(shell nproc) -n8 sh -c "$(TIDY) --checks='-clang-analyzer-*' \"\$$@\" -- \
		$(CSTD) $(INCLUDES) 2>/dev/null" tidy
	@printf '%s\n' $(TEST_C) | xargs -P$(shell nproc) -n8 sh -c "$(TIDY) --checks='-clang-analyzer-*' \"\$$@\" -- \
		$(CSTD) $(INCLUDES) -DRELAY_FAULTS 2>/dev/null" tidy
	@mandoc -Tlint -W warning tools/*.[0-9] $(B)/relayd.conf.5
	@echo "lint: programs, tests and manual pages are clean"

lint-tidy: $(patsubst %.c,$(LINT)/%.tidy,$(ALL_C) $(TEST_C))
$(LINT)/tests/%.tidy: LINT_FLAGS := -DRELAY_FAULTS
$(LINT)/%.tidy: %.c .clang-tidy tests/.clang-tidy
	@mkdir -p $(@D)
	@clang $(CSTD) $(INCLUDES) $(LINT_FLAGS) -MM -MP -MT $@ -MF $(@:.tidy=.d) $<
	@$(TIDY) $< -- $(CSTD) $(INCLUDES) $(LINT_FLAGS) 2>/dev/null
	@touch $@

# ---- installing.  UNITDIR= leaves out what a package lays elsewhere: the systemd unit and
# its user and directories, and the example of a configuration.
prefix ?= /usr/local
PREFIX ?= $(prefix)
UNITDIR ?= $(PREFIX)/lib/systemd/system
install: programs $(B)/relayd.conf.5
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(B)/relayd $(B)/relayctl $(DESTDIR)$(PREFIX)/sbin/
	install -m 755 $(B)/relay-sendmail $(DESTDIR)$(PREFIX)/bin/
	install -d $(foreach n,1 5 7 8,$(DESTDIR)$(PREFIX)/share/man/man$(n))
	install -m 644 tools/relay-sendmail.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(B)/relayd.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/
	install -m 644 tools/relayd.8 tools/relayctl.8 $(DESTDIR)$(PREFIX)/share/man/man8/
	install -m 644 tools/relayd-metrics.7 $(DESTDIR)$(PREFIX)/share/man/man7/
	install -d $(DESTDIR)$(PREFIX)/share/doc/relayd
	install -m 644 tools/grafana-dashboard.json tools/relayd-alerts.yml $(DESTDIR)$(PREFIX)/share/doc/relayd/
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions
	install -m 644 tools/completion/relayctl.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/relayctl
	install -m 644 tools/completion/_relayctl $(DESTDIR)$(PREFIX)/share/zsh/vendor-completions/
ifneq ($(UNITDIR),)
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(PREFIX)/lib/sysusers.d $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	sed 's|/usr/sbin/|$(PREFIX)/sbin/|' tools/systemd/relayd.service >$(DESTDIR)$(UNITDIR)/relayd.service
	install -m 644 tools/systemd/relayd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/relayd.conf
	install -m 644 tools/systemd/relayd.tmpfiles $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/relayd.conf
	install -m 644 tools/relayd.conf tools/systemd/relayd.socket $(DESTDIR)$(PREFIX)/share/doc/relayd/
	@echo "installed; what is left to do, as root:"
	@echo "  systemd-sysusers && systemd-tmpfiles --create          a user and its directories"
	@echo "  install -D -m 644 $(PREFIX)/share/doc/relayd/relayd.conf /etc/relayd/relayd.conf"
	@echo "  $(PREFIX)/sbin/relayd -t                     edit it, and check it"
	@echo "  systemctl daemon-reload && systemctl enable --now relayd"
	@echo "  ln -s $(PREFIX)/bin/relay-sendmail /usr/sbin/sendmail   if it is to be this machine's"
endif

# ---- a Debian package, in build/deb
deb: deps
	@tools/need.sh debhelper fakeroot
	@tools/deb.sh build/deb

clean:
	rm -rf build

-include $(shell find build -name '*.d' -type f -not -path 'build/peers/*' 2>/dev/null)
