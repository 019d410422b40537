#!/usr/bin/env bash
# Two plain registries: one that asks for a password, one that anybody may read and write.

registry_healthy() {
  answers registry "http://$REGISTRY/v2/" -u "$REGISTRY_USER:$REGISTRY_PASSWORD" \
    && answers open-registry "http://$OPEN_REGISTRY/v2/"
}

registry_up() {
  extract own "$ROOT" docker-registry
  local hash
  # bcrypt is the only form the registry takes; perl's crypt knows it, so no Apache is needed.
  # shellcheck disable=SC2016 # dollars of bcrypt's own format
  hash=$(REGISTRY_PASSWORD=$REGISTRY_PASSWORD perl -e 'print crypt($ENV{REGISTRY_PASSWORD}, q($2y$05$buildoncelabbuildonceu))')
  [[ $hash == "\$2y\$"* ]] || die "this machine's crypt(3) has no bcrypt"
  printf '%s:%s\n' "$REGISTRY_USER" "$hash" >"$RUN/htpasswd"
  start_registry registry "$REGISTRY" "auth: {htpasswd: {realm: lab, path: $RUN/htpasswd}}"
  start_registry open-registry "$OPEN_REGISTRY" ""
  wait_for 10 "the registry ($RUN/log/registry.log)" registry_healthy
}

# start_registry NAME ADDRESS EXTRA
start_registry() {
  answers "$1" "http://$2/v2/" -u "$REGISTRY_USER:$REGISTRY_PASSWORD" && return
  stop "$1"
  cat >"$RUN/$1.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: false}}
storage:
  filesystem: {rootdirectory: $DATA/$1}
  delete: {enabled: true}
http: {addr: $2}
$3
YAML
  start "$1" "$ROOT/usr/bin/docker-registry" serve "$RUN/$1.yml"
}

registry_down() {
  stop registry
  stop open-registry
}
