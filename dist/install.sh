#!/usr/bin/env bash
# Prints the path of the program that this version of the action runs, and nothing else; all
# other words go to stderr. Downloads it once per machine; checks its SHA-256 on every run,
# against the table that is part of the same commit as this script: who pins the action by
# commit pins the program too.
#
# Settings, all from the environment of the machine's owner:
#   BUILD_ONCE_BIN           run this program; nothing is downloaded or checked
#   BUILD_ONCE_DOWNLOAD_URL  a mirror: BASE/v<version>/build-once-<triple>
#
# Runs on bash 3.2, which macOS has. Exit codes are the program's own (docs/inputs.md, "Exit codes").
set -euo pipefail
umask 022

slug=build-once/build-once # the one place that names the repository

# Only the path may reach stdout: the caller runs what stands there.
exec 3>&1 1>&2

# outputs CODE REASON: all outputs of the step, as the program writes them of a failure (docs/inputs.md, "Outputs").
outputs() {
  [[ -n ${GITHUB_OUTPUT:-} ]] || return 0
  local class name value
  case $1 in
    2) class=input ;;
    30) class=unavailable ;;
    40) class=integrity ;;
    50) class=resource ;;
    *) class=unsupported ;;
  esac
  for name in outcome reason digest tag commit-tag tags image local-image key zone built pushed degraded \
    cached-steps total-steps attempts failure-class failure-cause seconds imageid metadata metadata-file plan \
    images digests missing matrix; do
    case $name in
      outcome) value=failed ;;
      reason) value=$2 ;;
      built | pushed | degraded) value=false ;;
      attempts) value=0 ;;
      tags) value='[]' ;;
      seconds) value=0.000 ;;
      failure-class | failure-cause) value=$class ;;
      *) value= ;;
    esac
    printf '%s=%s\n' "$name" "$value"
  done >>"$GITHUB_OUTPUT" || true
}

# fail CODE MESSAGE HINT. On one line: a second one could be a workflow command.
fail() {
  local text=${2//[$'\r\n']/ }
  outputs "$1" "$text"
  printf 'error: %s\nhint: %s\n' "$text" "$3"
  [[ ${GITHUB_ACTIONS:-} != true ]] || printf '::error title=build-once::%s\n' "${text//'%'/%25}. hint: $3"
  exit "$1"
}

have() { command -v "$1" >/dev/null 2>&1; }

triple() {
  case "$(uname -s)/$(uname -m)" in
    Linux/x86_64 | Linux/amd64) echo x86_64-unknown-linux-musl ;;
    Linux/aarch64 | Linux/arm64) echo aarch64-unknown-linux-musl ;;
    Darwin/arm64 | Darwin/aarch64) echo aarch64-apple-darwin ;;
    Darwin/x86_64) echo x86_64-apple-darwin ;;
  esac
}

# expected_sum ASSET: its SHA-256; nothing if the table has no line for it.
expected_sum() {
  local sum name
  while read -r sum name || [[ -n $sum ]]; do
    if [[ ${name#\*} == "$1" && $sum =~ ^[0-9a-f]{64}$ ]]; then
      echo "$sum"
      return
    fi
  done <"$here/SHA256SUMS"
}

# actual_sum FILE. Through stdin, because odd file names change the output's form.
actual_sum() {
  local line
  if have sha256sum; then
    line=$(sha256sum <"$1")
  else
    line=$(shasum -a 256 <"$1")
  fi
  echo "${line%% *}"
}

# is_good FILE: a file with the right content. A link is none: what it points to is somebody else's.
is_good() { [[ ! -L $1 && -f $1 && -r $1 && $(actual_sum "$1") == "$expected" ]]; }

# make_folder ROOT: makes ROOT/build-once/<version>/<triple> and says where it is. ROOT itself
# may be a link, as the machine's owner likes; what is below it is ours, and links there are not.
make_folder() {
  local folder=$1 part
  [[ -n $folder ]] || return 1
  mkdir -p "$folder" && folder=$(cd "$folder" && pwd -P) || return 1
  for part in build-once "$version" "$triple"; do
    folder=$folder/$part
    [[ ! -L $folder ]] || rm -f "$folder" || return 1
    mkdir -p "$folder" || return 1
  done
  # Read-only is fine where the machine's image brought the program along.
  [[ -w $folder || -f $folder/build-once ]] && echo "$folder"
}

# is_private FOLDER: whether no other user of the machine can change it, nor the four folders that it is in up to the
# cache's own: each is ours or root's, and its owner alone may write.
is_private() {
  local at=$1 mode owner part
  for part in program triple version name; do
    # shellcheck disable=SC2012 # only the mode and the owner's number are read
    read -r mode _ owner _ <<<"$(ls -ldn -- "$at")" || return 1
    [[ $owner == 0 || $owner == "$EUID" ]] || return 1
    [[ ${mode:5:1} != w && ${mode:8:1} != w ]] || return 1
    at=${at%/*}
  done
}

# fetch URL FILE: returns the downloader's own code. No credentials are sent.
fetch() {
  local protocols='=https'
  # Plain http only where the owner's own mirror speaks nothing else; the sum holds all the same.
  [[ $1 == https://* ]] || protocols='=http,https'
  if have curl; then
    curl --proto "$protocols" --tlsv1.2 --fail --location --silent --show-error \
      --connect-timeout 10 --max-time 120 --retry 3 --retry-max-time 180 --output "$2" "$1"
  elif have wget; then
    wget -nv -t 3 -T 30 -O "$2" "$1" # options that busybox takes too
  else
    fail 60 "neither curl nor wget is installed" "install one of them, or set BUILD_ONCE_BIN to the program's path"
  fi
}

if [[ -n ${BUILD_ONCE_BIN:-} ]]; then
  [[ -f $BUILD_ONCE_BIN && -x $BUILD_ONCE_BIN ]] ||
    fail 2 "BUILD_ONCE_BIN is not an executable file: $BUILD_ONCE_BIN" "correct its path, or unset it to download the program"
  [[ $BUILD_ONCE_BIN == /* ]] || BUILD_ONCE_BIN=$PWD/$BUILD_ONCE_BIN
  printf '%s\n' "$BUILD_ONCE_BIN" >&3
  exit
fi

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
version=$(cat "$here/VERSION") || true
[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.-]*$ ]] ||
  fail 40 "dist/VERSION does not hold a version" "check out the action again"

triple=$(triple)
[[ -n $triple ]] ||
  fail 60 "no build-once for $(uname -s) on $(uname -m)" \
    "there is one for Linux and macOS, on x86_64 and arm64; elsewhere build it with cargo and set BUILD_ONCE_BIN"
asset=build-once-$triple

have sha256sum || have shasum ||
  fail 60 "neither sha256sum nor shasum is installed" "install one of them: an unchecked program is not run"
expected=$(expected_sum "$asset") || true
if [[ -z $expected ]]; then
  grep -q '^[0-9a-f]' "$here/SHA256SUMS" ||
    fail 40 "build-once $version is not released: dist/SHA256SUMS lists no program" \
      "use a released version of the action, or build the program with cargo and set BUILD_ONCE_BIN to its path"
  fail 40 "dist/SHA256SUMS has no line for $asset, so it is not downloaded" \
    "use another release of the action, or set BUILD_ONCE_BIN to the program's path"
fi

folder=$(make_folder "${RUNNER_TOOL_CACHE:-${XDG_CACHE_HOME:-${HOME:+$HOME/.cache}}}") ||
  folder=$(make_folder "${RUNNER_TEMP:-}") ||
  fail 60 "no folder to keep the program in" "make the folder RUNNER_TOOL_CACHE writable, or set BUILD_ONCE_BIN to the program's path"
program=$folder/build-once

if ! is_good "$program"; then
  if [[ -e $program || -L $program ]]; then
    echo "build-once: the copy in the tool cache is not the released program; it is replaced"
    # A file is replaced by the rename below, in one step: another job may have put a good one
    # there meanwhile. Through a link or into a folder a rename would go astray.
    [[ -f $program && ! -L $program ]] || rm -rf -- "$program"
  fi

  base=${BUILD_ONCE_DOWNLOAD_URL:-https://github.com/$slug/releases/download}
  [[ $base == https://* || $base == http://* ]] ||
    fail 2 "BUILD_ONCE_DOWNLOAD_URL is not a URL" "it begins with https:// or http://"
  host=${base#*://}
  host=${host%%/*}
  host=${host##*@} # a mirror's password must not reach the log

  # A new file with a name that nobody can know before, so no planted link is followed; in the
  # same folder, so that a job that starts now sees the whole program or none.
  temporary=$(mktemp "$folder/.download.XXXXXXXX") ||
    fail 60 "failed to write to $folder" "make the folder RUNNER_TOOL_CACHE writable, or set BUILD_ONCE_BIN to the program's path"
  trap 'rm -f -- "$temporary"' EXIT
  code=0
  fetch "${base%/}/v$version/$asset" "$temporary" || code=$?
  ((code != 23)) || fail 50 "failed to write $asset to $folder" "free disk space on the runner"
  ((code == 0)) ||
    fail 30 "failed to download $asset $version from $host (downloader's exit code $code)" \
      "set BUILD_ONCE_DOWNLOAD_URL to a mirror that this machine reaches, or BUILD_ONCE_BIN to the program's path"

  is_good "$temporary" ||
    fail 40 "$asset $version from $host is not the released program: expected SHA-256 $expected, got $(actual_sum "$temporary")" \
      "do not run it; a proxy or mirror may have changed it, else report it to the project"
  { chmod 755 "$temporary" && mv -f -- "$temporary" "$program"; } ||
    fail 60 "failed to put the program into $folder" "make the folder RUNNER_TOOL_CACHE writable, or set BUILD_ONCE_BIN to the program's path"
  is_good "$program" || fail 40 "somebody else changed $program just now" "make the tool cache writable for the runner alone"
fi

[[ -x $program ]] || chmod 755 "$program" || true
[[ -x $program ]] ||
  fail 60 "$program cannot be executed" "put the folder RUNNER_TOOL_CACHE on a file system without noexec"
if ! is_private "$folder"; then
  # Another user could change the program between the check and its start: a copy that is ours alone is checked again.
  temp=${RUNNER_TEMP:-${TMPDIR:-/tmp}}
  if ! own=$(mktemp -d "$temp/build-once-program.XXXXXXXX") || ! cp -- "$program" "$own/build-once"; then
    fail 50 "failed to copy the program to $temp" \
      "free disk space there, or make the folder RUNNER_TOOL_CACHE writable for the runner's user alone"
  fi
  program=$own/build-once
  is_good "$program" || fail 40 "another user changed the program in $folder just now" "make the tool cache writable for the runner alone"
  chmod 700 "$program"
fi
printf '%s\n' "$program" >&3
