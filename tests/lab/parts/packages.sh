#!/usr/bin/env bash
# Where programs come from: the machine's own packages, and Debian packages of other suites
# extracted into a private folder. The machine's list of sources is never changed.

# need COMMAND PACKAGE: installs PACKAGE from the machine's own suite when COMMAND is missing.
need() {
  have "$1" && return
  say "installing $2"
  apt_update_once
  DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y "$2" \
    >>"$RUN/log/apt.log" 2>&1 9>&- || die "apt-get install $2 failed: $RUN/log/apt.log"
}

apt_update_once() {
  [[ -e $RUN/apt-updated ]] && return
  apt-get -qq update >>"$RUN/log/apt.log" 2>&1 || die "apt-get update failed: $RUN/log/apt.log"
  touch "$RUN/apt-updated"
}

# The first Debian archive among the machine's own sources.
debian_mirror() {
  # shellcheck disable=SC2016 # apt-get's own placeholders
  apt-get indextargets --format '$(REPO_URI)|$(LABEL)' 'Created-By: Packages' \
    | awk -F'|' '$2 == "Debian" && !found { print $1; found = 1 }'
}

# Sets APT to the options that make apt-get see SUITE only.
private_apt() {
  local suite=$1 dir=$CACHE/apt/$1 mirror
  APT=(
    -q -o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State=$dir/state" -o "Dir::Cache=$dir/cache"
    -o Acquire::Languages=none -o APT::Sandbox::User=root
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
  )
  [[ -e $dir/ready ]] && return
  mirror=$(debian_mirror)
  if [[ -z $mirror ]]; then # the name of an archive is known only once its index is there
    apt_update_once
    mirror=$(debian_mirror)
  fi
  [[ -n $mirror ]] || die "no Debian archive among this machine's package sources"
  mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
  printf 'deb [signed-by=%s] %s %s main\n' /usr/share/keyrings/debian-archive-keyring.gpg \
    "$mirror" "$suite" >"$dir/sources.list"
  apt-get "${APT[@]}" update >>"$RUN/log/apt.log" 2>&1 || die "no package index of $suite: $RUN/log/apt.log"
  touch "$dir/ready"
}

# extract SUITE FOLDER PACKAGE...: downloads and unpacks, once. SUITE "own" is the machine's.
extract() {
  local suite=$1 dest=$2 debs
  shift 2
  local stamp=$dest/.extracted-$suite-${*//[^a-z0-9]/_}
  stamp=${stamp// /+}
  [[ -e $stamp ]] && return
  say "extracting $* ($suite)"
  debs=$(mktemp -d "$CACHE/debs.XXXXXX")
  if [[ $suite == own ]]; then
    apt_update_once
    APT=(-q -o APT::Sandbox::User=root)
  else
    private_apt "$suite"
  fi
  (cd "$debs" && apt-get "${APT[@]}" download "$@") >>"$RUN/log/apt.log" 2>&1 \
    || die "cannot download $*: $RUN/log/apt.log"
  mkdir -p "$dest"
  local deb
  for deb in "$debs"/*.deb; do dpkg -x "$deb" "$dest"; done
  rm -r "$debs"
  touch "$stamp"
}

# The extracted busybox: packages made since /usr was merged have it below /usr.
static_busybox() { PATH=$ROOT/bin:$ROOT/usr/bin command -v busybox; }

# thrice COMMAND: a registry of packages that fails once fails no test.
thrice() { "$@" || { sleep 5 && "$@"; } || { sleep 15 && "$@"; }; }

# pip PACKAGE PROGRAM: into the lab's virtual environment, once.
pip_install() {
  [[ -x $VENV/bin/$2 ]] && return
  if [[ ! -x $VENV/bin/pip ]]; then
    python3 -c 'import venv, ensurepip' 2>/dev/null || need no-such-command python3-venv
    python3 -m venv "$VENV"
  fi
  say "installing $1 (PyPI)"
  thrice "$VENV/bin/pip" install -q --disable-pip-version-check "$1" >>"$RUN/log/pip.log" 2>&1 \
    || die "pip install $1 failed: $RUN/log/pip.log"
}

# npm_install PACKAGE...: into the lab's own node_modules, once each.
npm_install() {
  local package missing=()
  for package; do [[ -d $NODE/node_modules/$package ]] || missing+=("$package"); done
  ((${#missing[@]})) || return 0
  need node nodejs
  need npm npm
  say "installing ${missing[*]} (npm)"
  mkdir -p "$NODE"
  [[ -e $NODE/package.json ]] || echo '{"private":true}' >"$NODE/package.json"
  thrice npm install --prefix "$NODE" --loglevel=error --no-audit --no-fund "${missing[@]}" \
    >>"$RUN/log/npm.log" 2>&1 || die "npm install ${missing[*]} failed: $RUN/log/npm.log"
}

# link TARGET NAME: a program on the lab's PATH.
link() {
  mkdir -p "$BIN"
  ln -sfn "$1" "$BIN/$2"
}
