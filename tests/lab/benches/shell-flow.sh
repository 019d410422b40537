#!/usr/bin/env bash
# The image job as pipelines do it by hand (systems 1): repository by instance metadata and SSM,
# a registry login, then commit tag, dependency tag, alias. What the benchmarks compare with.
# Usage: shell-flow.sh IMAGE PARAMETER, in a checkout, with AWS and GitHub's variables set.
set -euo pipefail
image=$1 parameter=$2

metadata=$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest
token=$(curl -fsS -m 2 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$metadata/api/token")
instance=$(curl -fsS -m 2 -H "X-aws-ec2-metadata-token: $token" "$metadata/meta-data/instance-id")
repository=$(aws ssm get-parameter --name "${parameter/'{instance-id}'/$instance}" --query Parameter.Value --output text)

# A configuration of its own: the password stays out of the user's.
plugins=$DOCKER_CONFIG/cli-plugins
DOCKER_CONFIG=$(mktemp -d)
export DOCKER_CONFIG
trap 'rm -rf "$DOCKER_CONFIG"' EXIT
ln -s "$plugins" "$DOCKER_CONFIG/cli-plugins"
aws ecr get-login-password --region "$AWS_REGION" \
  | docker login --username AWS --password-stdin "${repository%%/*}"

by_commit=$repository:$image-$GITHUB_SHA
if docker manifest inspect "$by_commit" >/dev/null 2>&1; then
  echo "image=$by_commit" >>"$GITHUB_OUTPUT"
  echo "commit tag found"
  exit
fi

files=$(git ls-files -- requirements.txt pyproject.toml '*.toml' 'docker/*' Dockerfile)
hash=$(printf '%s\n' "$files" | sort -u | xargs sha256sum | sha256sum | cut -c1-32)
by_files=$repository:$image-deps-$hash
if docker manifest inspect "$by_files" >/dev/null 2>&1; then
  docker buildx imagetools create --tag "$by_commit" "$by_files"
  echo "image=$by_commit" >>"$GITHUB_OUTPUT"
  echo "dependency tag found: alias set"
  exit
fi

docker buildx build --push --provenance=false --tag "$by_commit" --tag "$by_files" .
echo "image=$by_commit" >>"$GITHUB_OUTPUT"
echo "built"
