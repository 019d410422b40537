#!/usr/bin/env bash
# ECR's host name on this machine: a certificate authority of the lab's own, a server certificate,
# the line in /etc/hosts, and the gateway that ends TLS and forwards to the AWS emulator.

HOSTS_BEGIN='# build-once lab: begin'
HOSTS_END='# build-once lab: end'

tls_healthy() {
  [[ -s $TLS/bundle.pem && -s $TLS/server.pem && -s $CERTS_D/ca.crt ]] \
    && grep -qF "$HOSTS_BEGIN" "$HOSTS_FILE" \
    && openssl x509 -in "$TLS/server.pem" -noout -checkend 86400 >/dev/null
}

tls_up() {
  need openssl openssl
  need curl curl
  local roots=/etc/ssl/certs/ca-certificates.crt
  [[ -s $roots ]] || need no-such-command ca-certificates
  mkdir -p "$TLS"
  (
    cd "$TLS"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
      -subj '/CN=build-once lab' -keyout ca.key -out ca.pem \
      -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
      -subj "/CN=$ACCOUNT.dkr.ecr" -keyout server.key -out server.csr
    printf '%s\n' "subjectAltName=DNS:$ECR_HOST,DNS:localhost,IP:127.0.0.1" \
      extendedKeyUsage=serverAuth basicConstraints=CA:FALSE >server.ext
    openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
      -extfile server.ext -out server.pem
    chmod 600 ./*.key
  ) >>"$RUN/log/tls.log" 2>&1 || die "openssl failed: $RUN/log/tls.log"
  cat "$roots" "$TLS/ca.pem" >"$TLS/bundle.pem"
  mkdir -p "$CERTS_D"
  cp "$TLS/ca.pem" "$CERTS_D/ca.crt"
  remove_hosts
  printf '%s\n127.0.0.1 %s\n%s\n' "$HOSTS_BEGIN" "$ECR_HOST" "$HOSTS_END" >>"$HOSTS_FILE"
}

# Rewritten in place: in a container /etc/hosts is a mount that cannot be replaced.
remove_hosts() {
  grep -qF "$HOSTS_BEGIN" "$HOSTS_FILE" || return 0
  local rest
  rest=$(sed "/^$HOSTS_BEGIN/,/^$HOSTS_END/d" "$HOSTS_FILE")
  printf '%s\n' "$rest" >"$HOSTS_FILE"
}

tls_down() {
  remove_hosts
  rm -rf "$CERTS_D"
  # Only folders that are empty now: somebody else may keep certificates there.
  rmdir /etc/docker/certs.d /etc/docker 2>/dev/null || true
}

# BUILD_ONCE_LAB_PROFILE: the cargo profile that has its binary, if not dev.
gateway_binary() { printf '%s/%s/lab-gateway' "${CARGO_TARGET_DIR:-$REPO_DIR/target}" "${BUILD_ONCE_LAB_PROFILE:-debug}"; }

# A gateway of another clone serves as well; one of this clone must not be older than its source.
gateway_healthy() {
  local binary
  binary=$(gateway_binary)
  answers gateway "https://$ECR_HOST/v2/" --cacert "$TLS/ca.pem" -u "AWS:$ECR_PASSWORD" || return 1
  [[ $(<"$RUN/gateway") != "$binary" ]] || ! gateway_stale
}

gateway_stale() {
  local binary
  binary=$(gateway_binary)
  [[ ! -x $binary || -n $(find "$LAB_DIR"/gateway/{src,Cargo.toml} -newer "$binary" -type f -print -quit) ]]
}

gateway_up() {
  local binary
  binary=$(gateway_binary)
  if gateway_stale; then
    say "building lab-gateway"
    (cd "$REPO_DIR" && cargo build -q --workspace --bin lab-gateway --profile "${BUILD_ONCE_LAB_PROFILE:-dev}" 9>&-) || die "cargo build of lab-gateway failed"
    touch "$binary" # cargo leaves it alone when only a comment or a timestamp changed
  fi
  stop gateway
  start gateway "$binary" --listen 127.0.0.1:443 --upstream "$AWS_URL" \
    --tls-cert "$TLS/server.pem" --tls-key "$TLS/server.key" \
    --basic "AWS:$ECR_PASSWORD" --control "${GATEWAY_URL#http://}"
  echo "$binary" >"$RUN/gateway"
  wait_for 10 "the gateway ($RUN/log/gateway.log)" gateway_healthy
}

gateway_down() { stop gateway; }
