#!/usr/bin/env bash
# Shared by every script of the lab: where things are, how a part is started, waited for and stopped.
# Sourced, never run. Only cheap statements at the top level: `env` sources it too.
# shellcheck disable=SC2034 # the variables are for the scripts that source this file
set -euo pipefail

LAB_DIR=$(cd "${BASH_SOURCE[0]%/*}" && pwd)
REPO_DIR=${LAB_DIR%/tests/lab}

# Machine-wide, because ports 443 and 4566 are: one lab per machine, whoever brought it up.
RUN=/run/build-once-lab
DATA=${BUILD_ONCE_LAB_DATA:-/var/lib/build-once-lab}
[[ ! -r $RUN/data ]] || read -r DATA <"$RUN/data"
HOSTS_FILE=/etc/hosts

# Downloads. A lab that runs already was started from one clone's folder; other clones share it.
CACHE=${BUILD_ONCE_LAB_CACHE:-}
if [[ -z $CACHE && -r $RUN/cache ]]; then
  read -r CACHE <"$RUN/cache"
  [[ -d $CACHE ]] || CACHE=
fi
CACHE=${CACHE:-$REPO_DIR/target/lab}

ROOT=$CACHE/root         # current Docker, extracted, never installed
ROOT_OLD=$CACHE/root-old # an older client and buildx
VENV=$CACHE/venv
NODE=$CACHE/node
BIN=$CACHE/bin # what `env` puts on the PATH

REGION=us-east-1
ACCOUNT=123456789012
ECR_HOST=$ACCOUNT.dkr.ecr.$REGION.amazonaws.com
ECR_PASSWORD=ministack-auth-token
AWS_URL=http://127.0.0.1:4566
GATEWAY_URL=http://127.0.0.1:4567

REGISTRY=127.0.0.1:5010 # asks for a password
REGISTRY_USER=lab
REGISTRY_PASSWORD=lab-registry-password
OPEN_REGISTRY=127.0.0.1:5011 # asks for none
REMOTE_PORTS=(5021 5022)

ENGINE_SOCKET=$RUN/docker.sock
CLASSIC_SOCKET=$RUN/classic.sock
BUILDKIT_IMAGE=build-once-lab/buildkit:local
TLS=$RUN/tls
CERTS_D=/etc/docker/certs.d/$ECR_HOST

say() { printf 'lab: %s\n' "$*" >&2; }

die() {
  printf 'lab: error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# wait_for SECONDS WHAT COMMAND...: polls until COMMAND succeeds.
wait_for() {
  local tries=$(($1 * 20)) what=$2
  shift 2
  while ! "$@" >/dev/null 2>&1; do
    ((tries-- > 0)) || die "$what did not come up"
    sleep 0.05
  done
}

# A pid alone may belong to somebody else by now; with its start time it cannot.
started_at() {
  local stat
  stat=$( (cat "/proc/$1/stat") 2>/dev/null) || return 1
  stat=${stat##*) }
  # shellcheck disable=SC2086 # fields on purpose
  set -- $stat
  [[ $1 != Z ]] || return 1 # dead, only not yet reaped
  printf '%s' "${20}"
}

# is_running NAME: whether the process we started under that name is alive.
is_running() {
  local pid when
  [[ -r $RUN/pid/$1 ]] && read -r pid when <"$RUN/pid/$1" || return 1
  [[ -d /proc/$pid && $(started_at "$pid" 2>/dev/null) == "$when" ]]
}

# start NAME COMMAND...: in a session of its own, so that it outlives the shell that called `up`.
start() {
  local name=$1 pid
  shift
  mkdir -p "$RUN/pid" "$RUN/log"
  # Descriptor 9 is the lock of `up`: a daemon that kept it would block the next `up` for ever.
  setsid "$@" </dev/null >>"$RUN/log/$name.log" 2>&1 9>&- &
  pid=$!
  printf '%s %s\n' "$pid" "$(started_at "$pid" || true)" >"$RUN/pid/$name"
}

# stop NAME [SECONDS]: asks first, then insists.
stop() {
  local pid tries=$((${2:-10} * 20))
  if is_running "$1"; then
    read -r pid _ <"$RUN/pid/$1"
    kill "$pid" 2>/dev/null || true
    while is_running "$1" && ((tries-- > 0)); do sleep 0.05; done
    is_running "$1" && kill -KILL "$pid" 2>/dev/null
  fi
  rm -f "$RUN/pid/$1"
}

# Whether a part's process runs and answers. Usage: answers NAME URL [CURL-ARGUMENT...]
answers() {
  local name=$1 url=$2
  shift 2
  is_running "$name" && curl -fsS -m 2 -o /dev/null "$@" "$url" 2>/dev/null
}

# The engine the lab uses: its own, or the one that was on the machine already.
engine_kind() { if [[ -r $RUN/engine-kind ]]; then cat "$RUN/engine-kind"; fi; }

engine_host() {
  if [[ $(engine_kind) == machine ]]; then
    printf 'unix:///var/run/docker.sock'
  else
    printf 'unix://%s' "$ENGINE_SOCKET"
  fi
}

# The docker client against the lab's engine, with the lab's empty configuration.
lab_docker() {
  DOCKER_HOST=${LAB_DOCKER_HOST:-$(engine_host)} DOCKER_CONFIG=$RUN/docker-config \
    PATH=$BIN:$PATH SSL_CERT_FILE=$TLS/bundle.pem docker "$@"
}
