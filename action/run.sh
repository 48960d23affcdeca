#!/bin/sh
# The action's one step: finds or builds the binary `covered`, and runs it. Its inputs stand in INPUT_… variables.
set -eu

source=$(cd "$(dirname "$0")/.." && pwd)
binary=${INPUT_BINARY:-}

if [ -z "$binary" ]; then
    if ! command -v cargo >/dev/null; then
        echo "::error::no covered binary: this runner has no cargo to build it with; install Rust in a step before, or point the input 'binary' to a covered binary"
        exit 1
    fi
    build=${RUNNER_TEMP:-${TMPDIR:-/tmp}}/covered-build
    echo "::group::Build covered from $source"
    cargo build --locked --profile action --package covered --manifest-path "$source/Cargo.toml" --target-dir "$build"
    echo "::endgroup::"
    binary=$build/action/covered
fi

if [ ! -f "$binary" ] || [ ! -x "$binary" ]; then
    echo "::error::the input 'binary' points to '$binary', which is no file that can be run"
    exit 1
fi
exec "$binary"
