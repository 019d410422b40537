# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
example publish-lane
lane() { run "$1" push --var "REGISTRY=$REGISTRY"; }
commit_id() { git -C "$repository" rev-parse HEAD; }

# published IMAGE: its deploy tag, `latest` and the commit's own name the same image, and the cache another.
published() {
  local here=$REGISTRY/$1 image
  image=$(digest "$here" "staging-$(commit_id)")
  [[ $image == sha256:* ]] || problems+=("$1 has no staging-$(commit_id)")
  is "$(digest "$here" "sha-$(mark)-$1-$(commit_id)")" "$image" "$1: the commit's tag"
  is "$(digest "$here" latest)" "$image" "$1: latest"
  [[ $(digest "$here" "cache-$(mark)-$1-main") != "$image" ]] || problems+=("$1: the cache stands under a deploy tag")
}

commit 'First commit'
lane 'both images are built, tried out and promoted'
is "$(output publish/result)" success publish
is "$(output smoke/result)" success smoke
is "$(output promote/result)" success promote
is "$(output promote/built)" false 'built by the promotion'
published platform
published tenant
first=$(digest "$REGISTRY/platform" latest)
over

echo 'echo "more from a tenant"' >>"$repository/tenant/hello.sh"
commit 'Change one of them'
lane 'only the image that changed is built, with its cache'
is "$(output publish/outcome)" built 'tenant: the outcome'
holds "$(output publish/cached-steps) > 0" 'steps from the cache'
published platform
published tenant
is "$(digest "$REGISTRY/platform" latest)" "$first" 'the image that did not change'
over
