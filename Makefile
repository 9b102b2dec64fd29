# SPDX-License-Identifier: Apache-2.0
# `make demo` chats through hawser on this machine; `make test` runs every test. Both install what is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := build
BUILD ?= build
CMAKE_FLAGS ?=
JOBS ?= $(shell nproc)
PYTHON ?= /usr/bin/python3
export HAWSER_BIN_DIR ?= $(CURDIR)/$(BUILD)/bin

.PHONY: help build deps test-deps demo test unit e2e asan tsan fuzz bench bench-splice bench-vip lab failover lab-down format clean

help:
	@echo 'make build  release build: build/bin/hawser and build/bin/hawser-im'
	@echo 'make demo   a chat through hawser on loopback: no root, no cluster'
	@echo 'make test   unit, differential, end-to-end and browser tests (root: network namespaces)'
	@echo 'make lab    a failover to watch, then the site in network namespaces to try by hand (root); make lab-down removes it'
	@echo 'make failover  the first half of that: clients talk, their node is cut off and comes back'
	@echo 'make asan | tsan | fuzz   sanitizer and fuzzing runs'
	@echo 'make bench  hawser beside nginx and HAProxy; writes bench/results/relay.md'
	@echo 'make bench-vip  failover times of a VIP, beside keepalived; writes bench/results/vip.md'
	@echo 'make bench-splice  the splice and Services in the kernel; writes bench/results/splice.md'

deps:
	@deploy/install-packages build

test-deps:
	@deploy/install-packages build test

build: deps
	@cmake -S . -B $(BUILD) -G Ninja -DHAWSER_TESTS=OFF -DHAWSER_BENCH=OFF $(CMAKE_FLAGS) >/dev/null
	@cmake --build $(BUILD) -j $(JOBS)

demo: build
	@examples/demo/run

# The tests' own build directory, so that `make build` stays short.
build-tests: test-deps
	@cmake -S . -B build-tests -G Ninja $(CMAKE_FLAGS) >/dev/null
	@cmake --build build-tests -j $(JOBS)
	@cmake --build build-tests -j $(JOBS) --target hawser-bench
.PHONY: build-tests

test: build-tests
	@HAWSER_BIN_DIR=$(CURDIR)/build-tests/bin tests/run

unit: build-tests
	@HAWSER_BIN_DIR=$(CURDIR)/build-tests/bin tests/run unit

e2e: build-tests
	@HAWSER_BIN_DIR=$(CURDIR)/build-tests/bin tests/run python

# What bytes from the network and from files meet, and what threads share; MODULES names others (control app im).
asan: MODULES ?= net catalog balance manifest nginx keepalived http1 http_rules tunnel gateway splice replication vip
asan: test-deps
	@tests/sanitized address,undefined build-asan $(MODULES)

tsan: MODULES ?= net balance tunnel gateway replication
tsan: test-deps
	@tests/sanitized thread build-tsan $(MODULES)

FUZZ_SECONDS ?= 20
fuzz: test-deps
	@fuzz/run $(FUZZ_SECONDS)

bench: build-tests
	@HAWSER_BIN_DIR=$(CURDIR)/build-tests/bin bench/run $(ARGS)

bench-vip: build-tests
	@HAWSER_BIN_DIR=$(CURDIR)/build-tests/bin bench/vip $(ARGS)

bench-splice: build-tests
	@HAWSER_BIN_DIR=$(CURDIR)/build-tests/bin bench/splice $(ARGS)

lab: test-deps build
	@tests/lab/failover
	@tests/lab/lab up --site
	@tests/lab/lab status

failover: test-deps build
	@tests/lab/failover $(ARGS)

lab-down:
	@tests/lab/lab down

format:
	@git ls-files '*.cc' '*.h' | xargs clang-format -i

clean:
	@rm -rf build build-*
