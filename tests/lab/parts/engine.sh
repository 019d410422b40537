#!/usr/bin/env bash
# The Docker engine: one with the containerd image store, one with the classic store, as on many
# self-hosted runners. An engine that is on the machine already is used instead.

SUITE_CURRENT=forky
SUITE_OLD=trixie
CONNECTIONS=/proc/sys/net/netfilter/nf_conntrack_buckets

# Beside an engine that runs, the lab must not start a second one. GitHub's hosted runners have one;
# .github/workflows/ci.yml stops it first.
machine_engine() {
  [[ -S /var/run/docker.sock ]] || return 1
  env -u DOCKER_HOST -u DOCKER_CONTEXT -u DOCKER_CONFIG docker -H unix:///var/run/docker.sock version >/dev/null 2>&1 \
    && docker buildx version >/dev/null 2>&1
}

engine_ready() { curl -fsS -m 2 -o /dev/null --unix-socket "$1" http://docker/_ping 2>/dev/null; }

engine_healthy() {
  case $(engine_kind) in
    machine) engine_ready /var/run/docker.sock ;;
    private)
      is_running engine && is_running classic \
        && engine_ready "$ENGINE_SOCKET" && engine_ready "$CLASSIC_SOCKET"
      ;;
    *) return 1 ;;
  esac
}

engine_up() {
  if [[ $(engine_kind) != private ]] && machine_engine; then
    say "using the Docker engine of this machine"
    echo machine >"$RUN/engine-kind"
    docker_config "$(machine_plugin)"
    link "$(command -v docker)" docker
    return
  fi
  echo private >"$RUN/engine-kind"
  # forky's runc wants a newer libc than the machine has; the machine's own suite fits.
  extract "$SUITE_CURRENT" "$ROOT" docker.io docker-cli containerd docker-buildx
  extract own "$ROOT" runc tini
  need iptables iptables
  need ip iproute2
  link "$ROOT/usr/bin/docker" docker
  link "$ROOT/usr/bin/tini-static" docker-init # without it `docker-container` builders do not start
  docker_config "$ROOT/usr/libexec/docker/cli-plugins/docker-buildx"
  remember_network
  start_engine engine "$ENGINE_SOCKET" bol0 10.212.0.1/24 true
  # Two engines would write the same iptables chains: only the first may.
  start_engine classic "$CLASSIC_SOCKET" bol1 10.212.1.1/24 false
  wait_for 30 "the engine ($RUN/log/engine.log)" engine_ready "$ENGINE_SOCKET"
  wait_for 30 "the classic engine ($RUN/log/classic.log)" engine_ready "$CLASSIC_SOCKET"
  # The engine reads the kernel's table of connections from end to end for each container that ends.
  # Where the table may not be made smaller, the engine is only slower.
  local rows
  if [[ ! -e $RUN/connections && -w $CONNECTIONS ]] && rows=$(<"$CONNECTIONS") && ((rows > 4096)) && echo 4096 >"$CONNECTIONS"; then
    echo "$rows" >"$RUN/connections"
  fi
}

# start_engine NAME SOCKET BRIDGE ADDRESS MAIN: the main engine has the containerd store and iptables.
start_engine() {
  local name=$1 socket=$2 bridge=$3 address=$4 main=$5
  is_running "$name" && return
  mkdir -p "$RUN/$name" "$DATA/$name"
  if ! ip link show "$bridge" >/dev/null 2>&1; then
    ip link add "$bridge" type bridge
    ip addr add "$address" dev "$bridge"
    ip link set "$bridge" up
  fi
  cat >"$RUN/$name.json" <<JSON
{
  "features": {"containerd-snapshotter": $main},
  "bridge": "$bridge",
  "iptables": $main,
  "ip6tables": false,
  "cgroup-parent": "/build-once-lab",
  "exec-opts": ["native.cgroupdriver=cgroupfs"],
  "builder": {"gc": {"enabled": true, "defaultKeepStorage": "10GB"}},
  "shutdown-timeout": 3
}
JSON
  # A machine-wide containerd would be shared by both; each engine starts its own. Where systemd runs,
  # its cgroup driver would be the default, and that one refuses a parent that is no slice.
  rm -f "$RUN/$name.pid"
  start "$name" env PATH="$BIN:$ROOT/usr/bin:$ROOT/usr/sbin:/usr/local/sbin:/usr/sbin:/sbin:$PATH" \
    SSL_CERT_FILE="$TLS/bundle.pem" \
    dockerd --config-file "$RUN/$name.json" --data-root "$DATA/$name" --exec-root "$RUN/$name" \
    --pidfile "$RUN/$name.pid" -H "unix://$socket"
}

# What dockerd changes on the machine and does not put back.
remember_network() {
  [[ -e $RUN/ip_forward ]] || cat /proc/sys/net/ipv4/ip_forward >"$RUN/ip_forward"
  [[ -e $RUN/forward-policy ]] || { iptables -S FORWARD 2>/dev/null || true; } | head -n 1 >"$RUN/forward-policy"
}

# docker_config PLUGIN: a client configuration with the plugin and nothing else.
docker_config() {
  mkdir -p "$RUN/docker-config/cli-plugins"
  ln -sfn "$1" "$RUN/docker-config/cli-plugins/docker-buildx"
  [[ -e $RUN/docker-config/config.json ]] || echo '{}' >"$RUN/docker-config/config.json"
}

machine_plugin() {
  docker info --format '{{range .ClientInfo.Plugins}}{{if eq .Name "buildx"}}{{.Path}}{{end}}{{end}}'
}

engine_down() {
  rm -rf "$RUN/docker-config"
  if [[ $(engine_kind) == private ]]; then private_engine_down; fi
  rm -rf "$DATA"
}

private_engine_down() {
  local name bridge
  # Killed first: the engine would give every container ten seconds to end.
  for name in "$ENGINE_SOCKET" "$CLASSIC_SOCKET"; do
    LAB_DOCKER_HOST=unix://$name lab_docker ps -q 2>/dev/null \
      | xargs -r "$BIN/docker" -H "unix://$name" kill >/dev/null 2>&1 || true
  done
  for name in classic engine; do stop "$name" 20 & done
  wait
  # Shims outlive an engine that was killed; they are ours by their address under $RUN.
  stop_strays
  umount_all
  for bridge in $(ip -o link show type bridge 2>/dev/null | awk -F': ' '{print $2}'); do
    [[ $bridge == bo[lb][0-9]* ]] && ip link delete "$bridge"
  done
  iptables_down
  if [[ -s $RUN/ip_forward ]]; then cat "$RUN/ip_forward" >/proc/sys/net/ipv4/ip_forward; fi
  if [[ -s $RUN/connections && -w $CONNECTIONS ]]; then cat "$RUN/connections" >"$CONNECTIONS"; fi
  # Folders that engine and shims make under fixed names and leave; only where they are empty.
  find /sys/fs/cgroup -depth -type d \( -path '*/build-once-lab*' -o -path '*/docker' -o -path '*/docker/*' \) \
    -exec rmdir {} + 2>/dev/null || true
  rmdir /run/docker/plugins /run/docker /run/containerd/s /run/containerd 2>/dev/null || true
}

stop_strays() {
  local dir pid args
  for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    args=$( (tr '\0' ' ' <"$dir/cmdline") 2>/dev/null) || continue
    case $args in
      *"containerd-shim"*"$RUN/"* | *"containerd --config $RUN/"*) kill -KILL "$pid" 2>/dev/null || true ;;
    esac
  done
}

# Mounts that an engine left: snapshots, network namespaces, shm.
umount_all() {
  local target
  awk -v run="$RUN/" -v data="$DATA/" 'index($2, run) == 1 || index($2, data) == 1 { print $2 }' /proc/mounts \
    | sort -r | while read -r target; do umount -l "$target" || true; done
}

# Removes the rules and chains of the main engine and nothing else.
iptables_down() {
  local table rule chain
  have iptables || return 0
  for table in filter nat raw mangle; do
    iptables -t "$table" -S 2>/dev/null | grep -E -- '^-A [A-Z]+ .*(-j DOCKER|bol[01]|10\.212\.)' \
      | while read -r rule; do
        # shellcheck disable=SC2086 # a rule is a list of words
        iptables -t "$table" -D ${rule#-A } || true
      done
    for chain in $(iptables -t "$table" -S 2>/dev/null | awk '$1 == "-N" && $2 ~ /^DOCKER/ { print $2 }'); do
      iptables -t "$table" -F "$chain"
    done
    for chain in $(iptables -t "$table" -S 2>/dev/null | awk '$1 == "-N" && $2 ~ /^DOCKER/ { print $2 }'); do
      iptables -t "$table" -X "$chain"
    done
  done
  grep -q DROP "$RUN/forward-policy" 2>/dev/null || iptables -P FORWARD ACCEPT
}

buildx_old_healthy() { [[ -x $ROOT_OLD/usr/libexec/docker/cli-plugins/docker-buildx ]]; }

buildx_old_up() { extract "$SUITE_OLD" "$ROOT_OLD" docker-cli docker-buildx; }
