# The front door: every target sets up what it needs, then calls Meson.
#
#   make            build with the sanitizers on (build/)
#   make check      every test this machine can run
#   make help       the rest

BUILD ?= build
RELEASE ?= build-release
MESON_DEV = -Db_sanitize=address,undefined -Db_lundef=false
MESON_RELEASE = --buildtype=release

.PHONY: all build release check check-quick demo soak lab-demo bench fuzz-long \
	coverage format lint install clean help

all: build

build:
	tools/setup build
	test -f $(BUILD)/build.ninja || meson setup $(BUILD) $(MESON_DEV)
	ninja -C $(BUILD)

release:
	tools/setup build
	test -f $(RELEASE)/build.ninja || meson setup $(RELEASE) $(MESON_RELEASE)
	ninja -C $(RELEASE)

check:
	tests/run full

check-quick:
	tests/run quick

demo: release
	demo/demo --build $(RELEASE)

# Moves to and fro until something breaks or 500 are done.
soak: release
	demo/soak --build $(RELEASE) --moves 500

lab-demo: release
	tools/setup lab
	lab/demo --build $(RELEASE)

bench: release
	tools/setup bench
	bench/run --build $(RELEASE)

fuzz-long:
	tools/setup fuzz
	fuzz/long

coverage:
	tools/setup coverage
	tools/coverage

format:
	tools/setup format
	git ls-files '*.c' '*.h' | xargs clang-format -i

lint:
	tools/setup lint
	tools/lint

install: release
	meson install -C $(RELEASE)

clean:
	rm -rf $(BUILD) $(RELEASE)

help:
	@echo "make             build for development, sanitizers on ($(BUILD)/)"
	@echo "make release     build as it is installed ($(RELEASE)/)"
	@echo "make check       every test this machine can run"
	@echo "make check-quick the tests that take a few minutes"
	@echo "make demo        a live guest moves between two hosts of this machine"
	@echo "make lab-demo    a live migration between two real Xen hosts under QEMU"
	@echo "make soak        500 moves to and fro, memory and descriptors watched"
	@echo "make bench       figures, as ratios to a peer or a ceiling"
	@echo "make fuzz-long   every fuzz target for 10^6 runs"
	@echo "make coverage    branches of the codecs that the tests take"
	@echo "make format      clang-format over the tree"
	@echo "make lint        layers, documents, shell scripts"
	@echo "make install     install the release build (DESTDIR is honoured)"
	@echo "make clean       remove the build folders"
