# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
example ephemeral-runner
disk=$work/disk
mkdir -p "$disk"
# Single quotes: the program expands it, not this shell.
# shellcheck disable=SC2016
owner='--build-arg=MIRROR=http://mirror.internal/${IMAGE}/${BRANCH}'

# ci WHAT EVENT [ARGUMENT...]: on a runner that has seen nothing: the engine forgets the image, the builder is the
# run's own.
ci() {
  "$LAB_DIR/forget" ci-native
  run "$1" "$2" --env "BUILD_ONCE_EXTRA_ARGS=$owner" --var "CACHE_DISK=$disk" \
    --var "BUILDKIT_IMAGE=$BUILD_ONCE_LAB_BUILDKIT_IMAGE" --var DRIVER_OPTS=network=host "${@:3}"
}
# Every file of the cache.
listing() { find "$disk" -type f -path '*blobs*' | sort | sha256sum; }
size() { find "$disk" -type f -path '*blobs*' | wc -l; }

commit 'First commit'
# D99: the lab is such a fleet: its instance metadata and SSM parameter name a repository.
ci 'a fleet whose settings name a registry' push
is "$(output test/result)" success 'the job'
is "$(output test/outcome)" built 'the outcome'
is "$(output test/pushed)" true 'pushed'
rm -rf "${disk:?}"/*
over

# From here on there is no cloud.
nowhere=(--env AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9)
ci 'a push to main builds and writes the cache' push "${nowhere[@]}"
is "$(output test/result)" success 'the job'
is "$(output test/outcome)" built-local 'the outcome'
is "$(output test/cached-steps)" 0 'steps from a cache'
grep -q 'http://mirror.internal/ci-native/main' "$log.log" || problems+=("the owner's argument did not reach the build")
holds "$(size) > 0" 'files in the cache'
first=$(size)
over

echo gdb >>"$repository/packages.txt"
commit 'Change what is in the image'
ci 'the next runner goes on from the cache' push "${nowhere[@]}"
holds "$(output test/cached-steps) > 0" 'steps from the cache'
# One more export of the same size or so, and the one before is gone.
holds "$(size) <= $first + 4" 'files in the cache'
before=$(listing)
over

echo strace >>"$repository/packages.txt"
commit 'A pull request'
ci 'a pull request reads the cache and writes none' 'fork 3' "${nowhere[@]}"
is "$(output test/zone)" fork 'the zone'
is "$(output test/result)" success 'the job'
is "$(listing)" "$before" 'the cache'
over
