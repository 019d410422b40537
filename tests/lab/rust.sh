#!/usr/bin/env bash
# The Rust that everything is built with: the pinned one (rust-toolchain.toml), where rustup has it or can fetch it, else
# the machine's own stable. Sourced, never run.
if command -v rustup >/dev/null && ! rustc --version >/dev/null 2>&1 && ! rustup toolchain install >/dev/null 2>&1; then
  export RUSTUP_TOOLCHAIN=stable
  echo "the pinned Rust cannot be installed here: building with $(rustc --version)" >&2
fi
