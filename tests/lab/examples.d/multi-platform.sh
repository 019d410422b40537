# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# This machine stands for both runners. The base image of the lab has the programs of this machine on every platform, so
# an image for linux/arm64 runs here too, and says which platform it was built for.
example multi-platform
export DEMO_IMAGE=two-platforms DEMO_PROGRAM=$BUILD_ONCE_BIN BUILD_ONCE_BIN=$LAB_DIR/fresh-machine
# One after the other, because the lab's jobs share one engine, which forgets its images before each.
sed -i 's/fail-fast: false/&\n      max-parallel: 1/' "$repository/.github/workflows/ci.yml"

# ci WHAT EVENT: the plan always runs.
ci() {
  run "$1" "$2" --platform ubuntu-24.04-arm=-self-hosted --var "BUILD_ONCE_REPOSITORY=$REGISTRY"
  is "$(output plan/result)" success 'the plan'
}
# started JOB: the platforms of the matrix whose jobs ran, in order.
started() {
  act_lines "$log.json" | jq -rs --arg job "$1" \
    'map(select(.jobID == $job and .jobResult == "success").matrix.platform) | sort | join(" ")'
}
# of JOB PLATFORM NAME: an output of the job of that platform.
of() {
  act_lines "$log.json" | jq -rs --arg job "$1" --arg platform "$2" --arg name "$3" \
    'map(select(.jobID == $job and .matrix.platform == $platform and .command == "set-output" and .name == $name)) | last.arg // ""'
}
# says JOB PLATFORM TEXT: what the image printed in that job.
says() {
  act_lines "$log.json" | jq -r --arg job "$1" --arg platform "$2" \
    'select(.jobID == $job and .matrix.platform == $platform and .raw_output).msg' | grep -qx "$3" ||
    problems+=("the image of the job $1 of $2 does not say: $3")
}
# children DIGEST: the images of an index, as lines PLATFORM<tab>DIGEST.
children() {
  curl -fsS -H 'Accept: application/vnd.oci.image.index.v1+json' "http://${REGISTRY%%/*}/v2/${REGISTRY#*/}/manifests/$1" |
    jq -r '.manifests[] | "\(.platform.os)/\(.platform.architecture)\t\(.digest)"' | sort
}
both='linux/amd64 linux/arm64'

# pulled THREADS-OF-AMD64 THREADS-OF-ARM64: either runner has pulled its own image, by key and by digest.
pulled() {
  local index platform child threads
  index=$(output merge/digest)
  is "$(children "$index" | cut -f 1 | paste -sd' ')" "$both" 'the platforms of the index'
  is "$(digest "$REGISTRY" "sha-$(mark)-two-platforms-$(git -C "$repository" rev-parse HEAD)")" "$index" "the commit's image"
  for platform in $both; do
    threads=$1
    [[ $platform == linux/amd64 ]] || threads=$2
    child=$(children "$index" | awk -v platform="$platform" '$1 == platform { print $2 }')
    is "$(of by-key "$platform" digest)" "$child" "the image of $platform by key"
    is "$(of by-digest "$platform" digest)" "$index" "the image of $platform by digest"
    for job in by-key by-digest; do
      [[ $(of "$job" "$platform" outcome) == reused-* ]] || problems+=("the job $job of $platform has not pulled")
      says "$job" "$platform" "built for ${platform#*/}"
      says "$job" "$platform" "threads=$threads"
    done
  done
}

commit 'First commit'
ci 'both platforms are built, each by a job of its own' push
is "$(output plan/missing)" '["two-platforms"]' 'what is missing'
is "$(output plan/matrix | jq -r '.[] | "\(.platform) on \(."runs-on")"' | paste -sd,)" \
  'linux/amd64 on ubuntu-latest,linux/arm64 on ubuntu-24.04-arm' 'the matrix'
is "$(started platform)" "$both" 'the jobs that built'
is "$(of platform linux/amd64 outcome) $(of platform linux/arm64 outcome)" 'built built' 'their outcomes'
is "$(output merge/outcome)" merged 'the merge'
pulled 4 8
first=$(output merge/digest)
amd64=$(of by-key linux/amd64 digest)
over

git -C "$repository" -c user.name=lab -c user.email=lab@example.test commit -q --allow-empty -m 'Nothing'
ci 'nothing is missing: no platform has a job' push
is "$(output plan/missing) $(output plan/matrix)" '[] []' 'what is missing'
is "$(started platform)" '' 'the jobs that built'
is "$(output platform/outcome)" '' 'what they said'
is "$(output merge/outcome)" reused-key 'the merge'
is "$(output merge/digest)" "$first" 'the image'
pulled 4 8
over

echo 'threads=16' >"$repository/config/arm64.conf"
commit 'Change the configuration of one platform'
ci 'one platform is missing: it alone has a job' push
is "$(started platform)" linux/arm64 'the jobs that built'
is "$(output merge/outcome)" merged 'the merge'
pulled 4 16
is "$(of by-key linux/amd64 digest)" "$amd64" 'the image of the other one'
merged=$(output merge/digest)
over

ci "a fork's pull request that changes nothing pulls what is there" 'fork 3'
is "$(output plan/missing)" '[]' 'what is missing'
is "$(started platform)" '' 'the jobs that built'
is "$(output merge/digest)" "$merged" 'the image'
is "$(started by-digest)" "$both" 'the jobs that pulled'
over

echo 'threads=32' >"$repository/config/amd64.conf"
commit 'Change the configuration of the other one'
before=$(tags "$REGISTRY")
ci "a fork's pull request that changes one builds for itself" 'fork 3'
is "$(started platform)" linux/amd64 'the jobs that built'
is "$(output merge/result)$(started by-digest)" '' 'the jobs that are skipped'
is "$(of by-key linux/amd64 outcome) $(of by-key linux/arm64 outcome)" 'built-local reused-key' 'the tests'
says by-key linux/amd64 threads=32
is "$(tags "$REGISTRY")" "$before" 'the tags'
over
