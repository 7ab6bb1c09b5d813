# Bestgres. `make help` lists the targets; `make demo` and `make test` do all their set-up themselves.
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SECONDARY:
SHELL := /bin/bash

B := build
Q := $(if $(V),,@)# make V=1 shows the commands
ROOMS := base model ipc sandbox kube objects plan supervisor workers instance
DEPS_PREFIX ?= $(B)/deps
IMAGE ?= localhost/bestgres:dev
KUBECTL := $(B)/kube/bin/kubectl

# --- What is built: the rooms' objects, and which of them each program links -----------------------------------------
src = $(sort $(wildcard $(1)/*.c))
COMMON := $(call src,base) $(call src,model) $(call src,ipc) $(call src,sandbox)
KUBE_PURE := $(addprefix kube/,json_scan.c json.c outline.c write.c quantity.c diff.c meta.c decode.c windows.c status.c feed.c)
SRC_supervisor := $(COMMON) $(call src,supervisor)
SRC_reconciler := $(COMMON) $(call src,plan) $(filter workers/reconciler%,$(call src,workers)) workers/worker.c
SRC_worker := $(COMMON) $(call src,kube) $(call src,objects) plan/cron.c plan/zone.c $(filter-out workers/reconciler%,$(call src,workers))
SRC_instance := $(COMMON) $(call src,kube) $(call src,instance)
SRC_redteam := $(COMMON) workers/worker.c tests/redteam/redteam.c
PROGRAMS := supervisor reconciler worker instance
BINARIES := $(PROGRAMS:%=$(B)/bin/%)

# --- Flags (research: what each hardening flag is for stands in SECURITY.md) ------------------------------------------
WARN := -Wall -Wextra -Wshadow -Wconversion -Wvla -Wswitch-enum -Wcast-qual -Wformat=2 -Wmissing-prototypes \
	-Wimplicit-fallthrough -Werror
HARDEN := -fstack-protector-strong -fstack-clash-protection -ftrivial-auto-var-init=zero -fcf-protection \
	-fzero-call-used-regs=used -ffunction-sections -fdata-sections
CPPFLAGS := -I. -D_GNU_SOURCE
CFLAGS := -std=c11 -Os -g $(WARN)
MUSL_CC := musl-gcc
MUSL_LIB := /usr/lib/$(shell uname -m)-linux-musl
MUSL_CFLAGS := $(CFLAGS) -fPIE $(HARDEN) -isystem $(DEPS_PREFIX)/include
MUSL_LDFLAGS := -nostartfiles -static -Wl,-pie,--no-dynamic-linker,-z,text,-z,relro,-z,now,-z,noexecstack,--gc-sections
LIBS_supervisor := -lev -lm
LIBS_reconciler := -lev -lm
LIBS_worker := -lcurl -lmbedtls -lmbedx509 -lmbedcrypto -lev -lm
LIBS_instance := $(LIBS_worker)
LIBS_redteam := $(LIBS_reconciler)
# Tests: the machine's libc under the sanitizers.
ASAN_CFLAGS := -std=c11 -O1 -g $(WARN) -DTESTING -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ_CC := clang
FUZZ_CFLAGS := -std=c11 -O1 -g -DFUZZING -fsanitize=address,undefined -fno-sanitize-recover=all -fsanitize=fuzzer-no-link

.PHONY: all help
all: $(BINARIES) ## build the four programs into build/bin
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- The programs: static PIE on musl -----------------------------------------------------------------------------------
ifeq ($(DEPS_PREFIX),$(B)/deps)
$(B)/deps/.done: deploy/deps.sh
	deploy/deps.sh $(B)/deps
DEPS := $(B)/deps/.done
endif
musl_objs = $(patsubst %.c,$(B)/musl/%.o,$(1))
$(B)/musl/%.o: %.c $(DEPS)
	@mkdir -p $(@D)
	@echo 'CC    $<'
	$(Q)$(MUSL_CC) $(CPPFLAGS) $(MUSL_CFLAGS) -MMD -MP -c $< -o $@
define program
$(B)/bin/$(1).full: $(call musl_objs,$(SRC_$(1)))
	@mkdir -p $$(@D)
	@echo 'LINK  $$@'
	$$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $$^ -L$(DEPS_PREFIX)/lib $(LIBS_$(1)) $(MUSL_LIB)/crtn.o -o $$@
	@deploy/check-elf.sh $$@
$(B)/bin/$(1): $(B)/bin/$(1).full
	$$(Q)strip -o $$@ $$< && chmod 0755 $$@
endef
$(foreach p,$(PROGRAMS) redteam,$(eval $(call program,$(p))))

# --- Unit tests: tests/unit/test_<room>_<file>.c, each linked with what it needs of the rooms' archives -------------------
asan_objs = $(patsubst %.c,$(B)/asan/%.o,$(1))
$(B)/asan/%.o: %.c
	@mkdir -p $(@D)
	@echo 'ASAN  $<'
	$(Q)$(CC) $(CPPFLAGS) $(ASAN_CFLAGS) -MMD -MP -c $< -o $@
$(B)/asan/rooms.a: $(call asan_objs,$(filter-out %/main.c,$(foreach r,$(ROOMS),$(call src,$(r)))))
	@rm -f $@ && ar rcsP $@ $^
UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/test_*.c))
$(B)/unit/%: $(B)/asan/tests/unit/%.o $(B)/asan/rooms.a
	@mkdir -p $(@D)
	@echo 'LINK  $@'
	$(Q)$(CC) $(ASAN_CFLAGS) $< $(B)/asan/rooms.a -lcurl -lev -lmbedtls -lmbedx509 -lmbedcrypto -lm -o $@
# The sandbox is tested as it runs, on musl: the sanitizers make system calls of their own.
$(B)/unit/test_sandbox_%: $(B)/musl/tests/unit/test_sandbox_%.o $(call musl_objs,$(call src,base) $(call src,sandbox))
	@mkdir -p $(@D)
	@echo 'LINK  $@'
	$(Q)$(MUSL_CC) $(MUSL_LDFLAGS) $(MUSL_LIB)/rcrt1.o $(MUSL_LIB)/crti.o $^ $(MUSL_LIB)/crtn.o -o $@

# --- Fuzzers: fuzz/fuzz_<room>_<file>.c; one binary with libFuzzer, one that replays a corpus ------------------------------
FUZZERS := $(patsubst fuzz/fuzz_%.c,%,$(wildcard fuzz/fuzz_*.c))
fuzz_objs = $(patsubst %.c,$(B)/fuzz/%.o,$(1))
# Code that reads by tables has no comparisons worth tracing: without it two to three times as many inputs a second, and more edges found.
$(call fuzz_objs,kube/json_scan.c kube/json.c kube/write.c fuzz/fuzz_kube_json.c base/str.c base/buf.c base/arena.c): FUZZ_CFLAGS += -fno-sanitize-coverage=trace-cmp
$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo 'FUZZ  $<'
	$(Q)$(FUZZ_CC) $(CPPFLAGS) $(FUZZ_CFLAGS) -MMD -MP -c $< -o $@
$(B)/fuzz/rooms.a: $(call fuzz_objs,$(call src,base) $(call src,model) ipc/codec.c $(call src,kube) $(call src,objects) $(call src,plan) \
	instance/task_text.c instance/bootstrap.c)
	@rm -f $@ && ar rcsP $@ $^
$(B)/fuzz/fuzz_%: $(B)/fuzz/fuzz/fuzz_%.o $(B)/fuzz/rooms.a
	@echo 'LINK  $@'
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -fsanitize=fuzzer $< $(B)/fuzz/rooms.a -lcurl -lev -lm -o $@
.PHONY: fuzz test-corpus
fuzz: ## FUZZ=name SECONDS=n: fuzz one target (names: make fuzz)
	@[ -n "$(FUZZ)" ] || { echo "which? make fuzz FUZZ=name SECONDS=n, name one of: $(FUZZERS)"; exit 2; }
	@$(MAKE) -s $(B)/fuzz/fuzz_$(FUZZ)
	@mkdir -p $(B)/fuzz/corpus/$(FUZZ)
	$(B)/fuzz/fuzz_$(FUZZ) -max_total_time=$(or $(SECONDS),60) -print_final_stats=1 -artifact_prefix=$(B)/fuzz/ \
		$(addprefix -dict=,$(wildcard fuzz/$(FUZZ).dict)) $(B)/fuzz/corpus/$(FUZZ) fuzz/corpus/$(FUZZ)

# --- Tests -----------------------------------------------------------------------------------------------------------------
.PHONY: test test-unit test-corpus test-e2e test-long lint sbom bench
test: ## all tests but those of test-long, with all their set-up; ends with "N passed, N failed"
	@tests/run.sh all
test-unit: ## unit, golden and corpus tests under ASan and UBSan, and lint (seconds)
	@tests/run.sh unit
test-e2e: ## the tests on a real Kubernetes (TESTS="-k expression" for some of them)
	@tests/run.sh e2e
test-long: ## those of them that take long, which make test leaves out: kill -9 of every process in a pod in the middle of every operation; what is said only after minutes
	@tests/run.sh long
lint: ## the rooms' arrows, sizes and format
	@tests/cluster/prepare.sh unit
	@deploy/lint.sh
bench: ## every promised number beside its target and a floor measured in the same run
	@tests/bench/run.sh
sbom: $(BINARIES) ## an SPDX document of what the programs are made from
	@deploy/sbom.sh

.PHONY: unit-binaries fuzz-binaries
unit-binaries: $(UNIT) # built by tests/run.sh, which runs them
fuzz-binaries: $(FUZZERS:%=$(B)/fuzz/fuzz_%)

# --- The operator's image and the test cluster ------------------------------------------------------------------------------
KUBE := $(B)/kube
.PHONY: image cluster cluster-down deploy demo demo-down clean
$(B)/bestgres.tar: $(BINARIES) deploy/oci.py
	@python3 deploy/oci.py $(IMAGE) $@ '["/supervisor"]' 64123:64123 0111:$(B)/bin/supervisor:/supervisor \
		0111:$(B)/bin/reconciler:/reconciler 0111:$(B)/bin/worker:/worker 0555:$(B)/bin/instance:/instance
# For tests/e2e/test_redteam.py: the supervisor as it ships beside workers that attack. Not in /, so that no test takes it for the
# operator's; readable, so that it is not the file's mode that refuses to open it.
$(B)/redteam.tar: $(B)/bin/supervisor $(B)/bin/redteam deploy/oci.py
	@python3 deploy/oci.py localhost/bestgres-redteam:dev $@ '["/redteam/supervisor"]' 64123:64123 \
		0555:$(B)/bin/supervisor:/redteam/supervisor 0111:$(B)/bin/redteam:/redteam/worker 0111:$(B)/bin/redteam:/redteam/reconciler
image: $(B)/bestgres.tar ## the operator's image as an OCI archive: build/bestgres.tar (IMAGE=name:tag)
	@ls -l $<
$(B)/images/postgres-patroni.tar: tests/cluster/image.sh tests/cluster/archive.py
	@tests/cluster/image.sh $@
cluster: ## a one-node Kubernetes on this machine, from nothing (kubeconfig: build/kube/kubeconfig)
	@tests/cluster/make.sh
cluster-down: ## stop it and forget its state
	@tests/cluster/down.sh $(KUBE) --purge && echo "the test cluster is stopped and its state removed; its programs stay in $(KUBE)/bin"
deploy: ## install the operator into the test cluster, or into KUBECONFIG's with YES=1
	@deploy/demo/demo.sh deploy
demo: ## from nothing to a running, replicated database, step by step
	@deploy/demo/demo.sh demo
demo-down: ## remove what the demo made (its data included)
	@deploy/demo/demo.sh down
clean: ## remove what was built here, but not the libraries and the test cluster
	rm -rf $(B)/musl $(B)/bin $(B)/asan $(B)/unit $(B)/fuzz $(B)/bestgres.tar $(B)/redteam.tar

-include $(shell find $(B)/musl $(B)/asan $(B)/fuzz -name "*.d" 2> /dev/null)
