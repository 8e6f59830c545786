#!/bin/sh
# SPDX-License-Identifier: MIT
# Build the backend into FOLDER/fp/release/backend (frame pointers in every function of ours and of the crates) and
# FOLDER/nofp/release/backend (none). Needs cargo, rustc, librust-hyper-dev and librust-tokio-dev; no network.
# usage: build.sh FOLDER [fp|nofp]
set -eu
[ $# -ge 1 ] || { echo "usage: build.sh FOLDER [fp|nofp]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)

# Cargo writes its lock file beside the manifest: build from a copy, so that the source tree stays as it is. Equal files
# keep their time, so that nothing is built twice.
mkdir -p "$folder/source/src" "$folder/source/.cargo"
for file in Cargo.toml .cargo/config.toml $(cd "$here" && echo src/*.rs); do
	cmp -s "$here/$file" "$folder/source/$file" || cp "$here/$file" "$folder/source/$file"
done
cd "$folder/source"
for kind in ${2:-fp nofp}; do
	case $kind in
	fp) flags='-C force-frame-pointers=yes' ;;
	nofp) flags='-C force-frame-pointers=no' ;;
	*) echo "build.sh: $kind: neither fp nor nofp" >&2; exit 2 ;;
	esac
	RUSTFLAGS=$flags CARGO_TARGET_DIR=$folder/$kind cargo build --release --offline
done
