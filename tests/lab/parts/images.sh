#!/usr/bin/env bash
# Base images, made from nothing but a static busybox: no public registry is needed.
# base:1 and base:2 differ, so that a test can move base:latest (it starts as base:1).

images_healthy() {
  curl -fsS -m 2 -o /dev/null -H 'Accept: application/vnd.oci.image.index.v1+json' \
    -H 'Accept: application/vnd.oci.image.manifest.v1+json' "http://$OPEN_REGISTRY/v2/base/manifests/2" 2>/dev/null
}

images_up() {
  local dir=$RUN/base tag busybox
  extract own "$ROOT" busybox-static
  busybox=$(static_busybox)
  rm -rf "$dir"
  mkdir -p "$dir"/{bin,etc,tmp,root,proc,sys,dev}
  chmod 1777 "$dir/tmp"
  cp "$busybox" "$dir/bin/"
  local applet
  for applet in $("$busybox" --list); do
    [[ $applet == busybox ]] || ln -s busybox "$dir/bin/$applet"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' >"$dir/etc/passwd"
  for tag in 1 2; do
    # Of another length each: times are all the same, and BuildKit sends a file again only if its
    # time or its length changed.
    printf "%${tag}d\n" "$tag" >"$dir/etc/base-version"
    # The same digest on every machine and in every run. In a folder of another name: what BuildKit has of a context of
    # this name it would change, and with it the times of folders.
    rm -rf "$dir-$tag"
    cp -a "$dir" "$dir-$tag"
    find "$dir-$tag" -exec touch -hd @0 {} +
    printf 'FROM scratch\nCOPY . /\nENV PATH=/bin\nCMD ["/bin/sh"]\n' \
      | SOURCE_DATE_EPOCH=0 lab_docker buildx build -q --builder default --provenance=false -f - \
        --push -t "$OPEN_REGISTRY/base:$tag" "$dir-$tag" >>"$RUN/log/images.log" 2>&1 \
      || die "cannot build base:$tag: $RUN/log/images.log"
  done
  lab_docker buildx imagetools create --prefer-index=false -t "$OPEN_REGISTRY/base:latest" \
    "$OPEN_REGISTRY/base:1" >>"$RUN/log/images.log" 2>&1 || die "cannot tag base:latest: $RUN/log/images.log"
  rm -rf "$dir" "$dir"-[12]
}
