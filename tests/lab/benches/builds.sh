#!/usr/bin/env bash
# Shared by cold and warm: one project, one build, done by the program and by plain buildx with the
# same flags, each on a builder that has just been made. Sourced, never run.
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"

# Five layers of 20 MB that compress about as well as wheels do, then the code.
new_build() {
  new_project
  {
    printf '%s\n' "FROM $BUILD_ONCE_LAB_BASE_IMAGE" 'WORKDIR /app' 'COPY requirements.txt pyproject.toml ./'
    for part in 1 2 3 4 5; do
      # shellcheck disable=SC2016 # for the build's shell
      printf 'RUN mkdir lib%d && for f in 1 2 3 4 5; do head -c 3000000 /dev/urandom | base64 >lib%d/$f; done\n' "$part" "$part"
    done
    printf '%s\n' 'COPY src ./src' 'RUN cat src/* | sha256sum >built'
  } >Dockerfile
  commit 'a longer build'
  BASE_DIGEST=$(docker buildx imagetools inspect --format '{{json .Manifest}}' "$BUILD_ONCE_LAB_BASE_IMAGE" | jq -r .digest)
  docker login --username AWS --password-stdin "$ECR_HOST" <<<"$ECR_PASSWORD" >/dev/null 2>&1
}

# new_builder: empty, booted, and the only one.
new_builder() {
  local name
  for name in "${BUILDERS[@]}"; do docker buildx rm --force "$name" >/dev/null 2>&1; done
  BUILDER=build-once-bench-$$-$1
  BUILDERS=("$BUILDER")
  docker buildx create --name "$BUILDER" --driver docker-container --driver-opt network=host \
    --driver-opt "image=$BUILDKIT_IMAGE" --bootstrap >"$LOG" 2>&1 || die "$(tail -n 5 "$LOG")"
  sync # what the last build wrote must not slow this one
}

run_program() { "$PROGRAM" run --image "$IMAGE" --ssm-parameter "$PARAMETER" --builder "$BUILDER"; }

# The flags are those of the program: see the step in `build-once plan`.
run_plain() {
  local key cache=$REPOSITORY:cache-$MARK-$IMAGE-main
  key=$(printf '%s' "$GITHUB_SHA" | sha256sum | cut -d' ' -f1)
  docker buildx build --progress plain --builder "$BUILDER" --file Dockerfile \
    --build-context "$BUILD_ONCE_LAB_BASE_IMAGE=docker-image://${BUILD_ONCE_LAB_BASE_IMAGE%:*}@$BASE_DIGEST" \
    --label "io.github.build-once.key=$key" \
    --annotation "manifest:io.github.build-once.key=$key" \
    --annotation manifest:io.github.build-once.zone=trusted \
    --annotation "manifest:org.opencontainers.image.revision=$GITHUB_SHA" \
    --cache-from "type=registry,ref=$cache" \
    --cache-to "type=registry,ref=$cache,mode=max,image-manifest=true,oci-mediatypes=true,ignore-error=true" \
    --tag "$REPOSITORY:sha-$MARK-$IMAGE-$GITHUB_SHA" --tag "$REPOSITORY:key-$MARK-$IMAGE-${key:0:32}" \
    --metadata-file "$WORK/metadata.json" --provenance=false --push .
}
