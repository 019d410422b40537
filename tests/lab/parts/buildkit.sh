#!/usr/bin/env bash
# BuildKit in a container: the image for `docker-container` builders, and two running ones behind
# TCP for the `remote` driver. The image holds the lab's own engine, whose builder is BuildKit.

# Changes with everything that goes into the image.
buildkit_stamp() {
  cat "$LAB_DIR"/buildkit-image/* "$TLS/ca.pem" "$LAB_DIR/parts/buildkit.sh" | sha256sum | cut -c1-16
}

buildkit_image_healthy() {
  local host
  for host in $(buildkit_hosts); do
    [[ $(LAB_DOCKER_HOST=$host lab_docker image inspect "$BUILDKIT_IMAGE" \
      --format '{{index .Config.Labels "lab.stamp"}}' 2>/dev/null) == "$(buildkit_stamp)" ]] || return 1
  done
}

buildkit_hosts() {
  engine_host
  echo
  [[ $(engine_kind) == machine ]] || echo "unix://$CLASSIC_SOCKET"
}

buildkit_image_up() {
  local dir=$RUN/buildkit-image host
  if [[ $(engine_kind) == machine ]]; then
    machine_buildkit
    return
  fi
  need socat socat
  extract own "$ROOT" busybox-static
  rm -rf "$dir"
  mkdir -p "$dir"/{bin,usr/bin,usr/sbin,etc/ssl/certs,"etc/docker/certs.d/$ECR_HOST",run,tmp,var/lib/buildkit}
  ln -s /run "$dir/var/run"
  cp "$(static_busybox)" "$dir/bin/"
  local applet program
  for applet in sh cat ip sleep grep mkdir mkfifo rm kill ls mount umount cp ln chmod env test ps; do
    ln -s busybox "$dir/bin/$applet"
  done
  for program in dockerd containerd containerd-shim-runc-v2 runc; do
    cp "$(PATH=$ROOT/usr/bin:$ROOT/usr/sbin command -v "$program")" "$dir/usr/bin/"
  done
  cp "$(command -v socat)" "$dir/usr/bin/"
  libraries "$dir"/usr/bin/* | while read -r program; do
    mkdir -p "$dir${program%/*}"
    cp -L "$program" "$dir$program"
  done
  cp "$TLS/bundle.pem" "$dir/etc/ssl/certs/ca-certificates.crt"
  cp "$TLS/ca.pem" "$dir/etc/docker/certs.d/$ECR_HOST/ca.crt"
  install -m 755 "$LAB_DIR"/buildkit-image/build{kitd,ctl} "$dir/usr/bin/"
  local builds=()
  for host in $(buildkit_hosts); do
    printf 'FROM scratch\nCOPY . /\nENV PATH=/usr/bin:/bin\nLABEL lab.stamp=%s\nENTRYPOINT ["buildkitd"]\n' "$(buildkit_stamp)" \
      | LAB_DOCKER_HOST=$host lab_docker buildx build -q --builder default --provenance=false -f - \
        --output "type=image,name=$BUILDKIT_IMAGE,unpack=true,compression=uncompressed" "$dir" >>"$RUN/log/buildkit-image.log" 2>&1 &
    builds+=($!)
  done
  for host in "${builds[@]}"; do
    wait "$host" || die "cannot build the BuildKit image: $RUN/log/buildkit-image.log"
  done
  rm -rf "$dir"
}

# Every shared library, and the loader, that the programs need.
libraries() { ldd "$@" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | sort -u; }

# Where the internet is, BuildKit's own image; the lab's certificate authority on top of it.
machine_buildkit() {
  mkdir -p "$RUN/buildkit-image"
  cp "$TLS/bundle.pem" "$RUN/buildkit-image/"
  printf 'FROM moby/buildkit:buildx-stable-1\nCOPY bundle.pem /etc/ssl/certs/ca-certificates.crt\nLABEL lab.stamp=%s\n' "$(buildkit_stamp)" \
    | lab_docker buildx build -q --load -f - -t "$BUILDKIT_IMAGE" "$RUN/buildkit-image" \
      >>"$RUN/log/buildkit-image.log" 2>&1 || die "cannot build the BuildKit image: $RUN/log/buildkit-image.log"
}

buildkit_remote_healthy() {
  local port
  for port in "${REMOTE_PORTS[@]}"; do
    [[ $(lab_docker inspect "build-once-lab-remote-$port" --format '{{.State.Running}} {{index .Config.Labels "lab.stamp"}}' 2>/dev/null) \
      == "true $(buildkit_stamp)" ]] || return 1
    : 2>/dev/null <>"/dev/tcp/127.0.0.1/$port" || return 1
  done
}

buildkit_remote_up() {
  local port name command
  for port in "${REMOTE_PORTS[@]}"; do
    name=build-once-lab-remote-$port
    lab_docker rm -f -v "$name" >/dev/null 2>&1 || true
    command=()
    [[ $(engine_kind) != machine ]] || command=(--addr "tcp://127.0.0.1:$port")
    lab_docker run -d --name "$name" --privileged --network host --init -v /var/lib/buildkit \
      -e LAB_PORT="$port" "$BUILDKIT_IMAGE" "${command[@]}" >>"$RUN/log/buildkit-remote.log" 2>&1 \
      || die "cannot start $name: $RUN/log/buildkit-remote.log"
  done
  wait_for 20 "remote BuildKit (docker logs $name)" buildkit_remote_healthy
}

buildkit_remote_down() {
  [[ $(engine_kind) == machine ]] || return 0 # else they go with the engine
  local port
  for port in "${REMOTE_PORTS[@]}"; do
    lab_docker rm -f -v "build-once-lab-remote-$port" >/dev/null 2>&1 || true
  done
}
