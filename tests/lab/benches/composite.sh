#!/usr/bin/env bash
# The composite action that examples/isaac-lab replaces, as it is described (systems 1): the same one in the job that
# builds and in the jobs that test. What `bench pipeline` compares with.
# Usage: composite.sh IMAGE PARAMETER BASE DOCKERFILE, in a checkout, with AWS and GitHub's variables set.
set -euo pipefail
image=$1 parameter=$2 base=$3 file=$4

disk() { { echo "### Disk $1" && df -h / && docker system df; } >>"$GITHUB_STEP_SUMMARY"; }
disk before

# The repository: the environment, else SSM by the instance's id, else none.
repository=${ECR_CACHE_URL:-}
if [[ -z $repository ]]; then
  metadata=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest
  token=$(curl -fsS -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token" || true)
  instance=$(curl -fsS -m 2 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/instance-id" || true)
  repository=$(aws ssm get-parameter --name "${parameter/'{instance-id}'/$instance}" --query Parameter.Value --output text || true)
fi

# A docker configuration of its own, without the credential store.
runner=$DOCKER_CONFIG builder=
DOCKER_CONFIG=$(mktemp -d)
export DOCKER_CONFIG
# shellcheck disable=SC2317 # called by the trap
finish() {
  [[ -z $builder ]] || docker buildx rm --force "$builder" >/dev/null 2>&1 || true
  rm -rf "$DOCKER_CONFIG"
}
trap finish EXIT
python3 - "$runner/config.json" "$DOCKER_CONFIG/config.json" <<'PYTHON'
import json, sys
config = json.load(open(sys.argv[1]))
config.pop("credHelpers", None)
config["credsStore"] = ""
json.dump(config, open(sys.argv[2], "w"))
PYTHON
ln -s "$runner/cli-plugins" "$DOCKER_CONFIG/cli-plugins"

here() { docker image inspect "$1" >/dev/null 2>&1; }
found() {
  docker tag "$1" "$image"
  echo "image=$1" >>"$GITHUB_OUTPUT"
  disk after
  echo "$2"
  exit
}

# Every failure of a check is a miss. The engine first: it needs no login.
prefix=${repository:-$image}
by_commit=$prefix:$image-$GITHUB_SHA
if here "$by_commit"; then found "$by_commit" 'commit tag found here'; fi
if [[ -n $repository ]]; then
  aws ecr get-login-password --region "$AWS_REGION" \
    | docker login --username AWS --password-stdin "${repository%%/*}" || repository=
fi
if [[ -n $repository ]] && docker manifest inspect "$by_commit" >/dev/null 2>&1; then
  docker pull --quiet "$by_commit"
  found "$by_commit" 'commit tag found'
fi

digest=$(docker buildx imagetools inspect --format '{{json .Manifest}}' "$base" | python3 -c 'import json, sys; print(json.load(sys.stdin)["digest"])')
hash=$({
  git ls-files -s -- docker | awk '{ print $4 }'
  git ls-files -- '*pyproject.toml' '*setup.py' '*requirements*.txt'
} | sort -u | xargs sha256sum | { cat && echo "$base $digest"; } | sha256sum | cut -c1-16)
by_files=$prefix:$image-deps-$hash
if here "$by_files"; then
  if [[ -n $repository ]]; then docker buildx imagetools create --tag "$by_commit" "$by_files" || true; fi
  docker tag "$by_files" "$by_commit"
  found "$by_commit" 'dependency tag found here'
fi
if [[ -n $repository ]] && docker manifest inspect "$by_files" >/dev/null 2>&1; then
  docker buildx imagetools create --tag "$by_commit" "$by_files"
  docker pull --quiet "$by_commit"
  found "$by_commit" 'dependency tag found: alias set'
fi

builder=ci-$GITHUB_RUN_ID-$GITHUB_JOB-$$
docker buildx create --name "$builder" --driver docker-container --driver-opt network=host \
  --driver-opt "image=$BUILDKIT_IMAGE" >/dev/null
cache=()
if [[ -n $repository ]]; then
  cache=(--cache-from "type=registry,ref=$repository:cache-main"
    --cache-to "type=registry,ref=$repository:cache-main,mode=max,image-manifest=true,oci-mediatypes=true")
fi
docker buildx build --builder "$builder" --progress plain --file "$file" --build-arg "BASE=$base" "${cache[@]}" \
  --provenance=false --load --tag "$by_commit" --tag "$by_files" .
if [[ -n $repository ]]; then
  docker push --quiet "$by_commit"
  docker push --quiet "$by_files"
fi
found "$by_commit" built
