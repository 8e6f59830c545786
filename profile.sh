#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The front door: installs what is missing, builds, and calls one profcore command. `./profile.sh help` lists the words.
# Talk goes to stderr, so that what profcore prints on stdout stays clean. PROFCORE_BUILD names another build folder.
set -euo pipefail

# Debian packages, each with its reason: the one list of what the project needs.
build_packages='
gcc              the compiler
libc6-dev        C library headers
meson            the build system
ninja-build      its back end
pkg-config       finds the libraries below
python3          embeds the script of flame graphs
libinih-dev      configs and manifests: INI
libelf-dev       manifests in plugins, symbols: ELF
libdw-dev        symbols, lines: DWARF
libiberty-dev    demangling: C++ and Rust
libjansson-dev   JSON
zlib1g-dev       compressed sections, checksums
liblzma-dev      symbols of stripped files: .gnu_debugdata
libzstd-dev      debug information compressed by zstd
libdebuginfod-dev  debug files from servers, where DEBUGINFOD_URLS names some
libcap-dev       dropping privileges
libseccomp-dev   the sandbox of stages
libcurl4-openssl-dev  asks a container engine for its containers
libbpf-dev       strace: loads programs into the kernel
clang            strace: builds these programs; the second compiler that must be content
bpftool          strace: puts them into the plugin
'
test_packages='
check            unit tests
g++              the headers of the contract as C++
libcap2-bin      setcap: programs with file capabilities
chromium         the flame graph in a real browser
procps           pgrep: what a test left behind
redis-server     the database that the demo backends ask in mode=db
librust-hyper-dev  the demo backend in Rust, built offline
librust-tokio-dev  the same
'
engine_packages='
docker.io        containers: the demo stack of `setup`
docker-compose   starts it
'

# What continuous integration has besides, so that no test of a real component is skipped there.
component_packages='
debootstrap      the base image of containers
iptables         what the engine gives containers their ports with
podman           the other engine
crun             its runtime
musl-tools       static programs of another libc
strace           the counts that ours are compared with
systemd          checks the unit for continuous runs
linux-perf       stacks that ours are compared with
bpftrace         probes that ours are compared with
nginx-light      profiled under load
redis-tools      load for Redis
postgresql       profiled under load
postgresql-contrib  pgbench, its load
wrk              load for nginx
nodejs           code made at run time that names itself
llvm             llvm-dwp: split debug information of a whole program
xz-utils         MiniDebugInfo is packed by xz
sqlite3          a command whose calls are counted
curl             the same
libjemalloc-dev  an allocator to see
libmimalloc-dev  another
libtcmalloc-minimal4  and one with an operator new of its own
'

# Only where no Rust is there yet, from Debian or not.
rust_packages='
cargo            the demo backend in Rust
'

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=${PROFCORE_BUILD:-$root/build}

say() {
	printf '%s\n' "profile.sh: $*" >&2
}

die() {
	local code=$1
	shift
	say "$@"
	exit "$code"
}

usage() {
	cat <<'TEXT'
usage: ./profile.sh WORD [SECONDS] [ARGUMENT]...

  demo             profile the slow page of the embedded demo backend
  test             run all tests

  setup            install what is needed, build, start the demo stack in containers, check this machine
  flamegraph       flame graph of where CPU time goes
  cpu-profile      the same with line detail
  perf             standard counters and the flat report
  memory-profile   who grew, who faulted, who leaked
  strace           system calls and time off the CPU
  load-test        load on an HTTP endpoint
  analyze          read a finished run again
  clean            stop the demo stack, remove finished runs
  help             this text

Every word but demo, test and help is one profcore command; the arguments after it are that command's own
(profcore help COMMAND): --pid, --process, --container, --url and so on. Without any, what is measured is the demo of setup.
TEXT
}

# Run a step quietly; its output is shown only when it fails.
quietly() {
	local log=$build/profile.sh.log
	if ! "$@" >"$log" 2>&1; then
		tail -n 60 "$log" >&2
		return 1
	fi
}

# The package names of a list, on one line.
names_of() {
	awk 'NF { printf "%s ", $1 }' <<<"$1"
}

# Names of those packages in the list that are not installed.
missing_packages() {
	local name
	while read -r name _; do
		if [[ -n $name && $(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null) != installed ]]; then
			printf '%s ' "$name"
		fi
	done <<<"$1"
}

# Install what is missing of the lists given; does nothing, and needs neither root nor network, when nothing is.
install_packages() {
	local missing
	if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
		say "no Debian here: nothing is installed; these are needed, by their Debian names: $(names_of "$1")"
		return 0
	fi
	missing=$(missing_packages "$1")
	if [[ -z $missing ]]; then
		return 0
	fi
	if [[ $EUID -ne 0 ]]; then
		die 4 "packages are missing and only root can install them: apt-get install $missing"
	fi
	say "installing: $missing"
	export DEBIAN_FRONTEND=noninteractive
	mkdir -p "$build"
	quietly apt-get update -q -o Acquire::Retries=3 || say "apt-get update failed; going on with the lists that are there"
	# shellcheck disable=SC2086 # words on purpose
	quietly apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 $missing ||
		die 4 "apt-get could not install: $missing"
}

# Whether the build folder was made for this tree, and not copied along with another one, and for today's options: Meson
# keeps the defaults of the day on which it was set up.
build_is_ours() {
	[[ -f $build/build.ninja ]] && grep -qF "\"source\": \"$root\"" "$build/meson-info/meson-info.json" 2>/dev/null &&
		cmp -s "$root/meson_options.txt" "$build/profile.sh.options"
}

# Make the build folder, or give an existing one these options; one that does not fit is made anew.
configure() {
	mkdir -p "$build"
	if build_is_ours; then
		[[ $# -eq 0 ]] || quietly meson configure "$build" "$@"
		return
	fi
	if [[ -d $build/meson-private ]]; then
		say "the build folder $build does not fit; making it anew"
		quietly meson setup --wipe "$@" "$build" "$root" || return
	else
		quietly meson setup "$@" "$build" "$root" || return
	fi
	cp "$root/meson_options.txt" "$build/profile.sh.options"
}

build_all() {
	local began=$SECONDS
	if ! mkdir -p "$build" 2>/dev/null || [[ ! -w $build ]]; then
		[[ -x $build/core/profcore ]] || die 4 "$build cannot be written; PROFCORE_BUILD names another build folder"
		say "$build cannot be written; taking what is built there"
		return 0
	fi
	configure "$@" || die 1 "the build could not be configured"
	if ! ninja -C "$build" -n 2>/dev/null | grep -q 'no work to do'; then
		say "building in $build"
	fi
	if ! quietly ninja -C "$build"; then
		die 1 "the build failed"
	fi
	if ((SECONDS - began > 2)); then
		say "built in $((SECONDS - began)) s"
	fi
}

packages_of_tests() {
	echo "$build_packages$test_packages"
	command -v cargo >/dev/null || echo "$rust_packages"
	if [[ ${CI:-} == true ]]; then
		echo "$component_packages"
		command -v dockerd >/dev/null || echo "$engine_packages"
	fi
}

# Whether the arguments of a word say what to look at.
names_target() {
	local argument
	for argument in "$@"; do
		case $argument in
		--pid* | --process* | --container* | --url* | -c | --config* | --help | -h | --) return 0 ;;
		target.*=* | --set=target.*=* | load-test.url=* | --set=load-test.url=*) return 0 ;;
		esac
	done
	return 1
}

# A word that says no target means the demo of `setup`, by the name and the port that its Compose file gives it.
measure() {
	local word=$1
	local demo=${PROFCORE_DEMO_NAME:-web-forum}-app-1
	local page=http://127.0.0.1:${PROFCORE_DEMO_PORT:-8080}/slow
	shift
	if names_target "$@"; then
		profcore "$word" "$@"
	elif [[ $word == load-test ]]; then
		say "no --url: $page, the demo of setup"
		profcore "$word" "$@" --url "$page"
	else
		say "no target: the container $demo, the demo of setup"
		profcore "$word" "$@" --container "$demo"
	fi
}

profcore() {
	cd "$root"
	exec "$build/core/profcore" "$@"
}

main() {
	local word=${1:-help}
	shift || true
	case $word in
	demo)
		install_packages "$build_packages"
		build_all
		profcore -c configs/slow_endpoint.ini "$@"
		;;
	test)
		install_packages "$(packages_of_tests)"
		build_all -Dtests=enabled -Dwerror="$([[ ${CI:-} == true ]] && echo true || echo false)"
		cd "$root"
		exec python3 tests/run.py --build "$build" "$@"
		;;
	setup)
		# An engine that is there already, Debian's or not, is the one that is taken.
		install_packages "$build_packages$(command -v docker >/dev/null || echo "$engine_packages")"
		build_all
		profcore setup "$@"
		;;
	flamegraph | cpu-profile | perf | memory-profile | strace | load-test)
		install_packages "$build_packages"
		build_all
		measure "$word" "$@"
		;;
	analyze)
		install_packages "$build_packages"
		build_all
		profcore analyze "$@"
		;;
	clean)
		[[ -x $build/core/profcore ]] || die 0 "nothing is built, nothing to clean"
		profcore clean "$@"
		;;
	packages)
		# For images: the names of a list, on one line.
		names_of "$build_packages"
		;;
	help | -h | --help)
		usage
		;;
	*)
		usage >&2
		die 2 "no such word: $word"
		;;
	esac
}

main "$@"
