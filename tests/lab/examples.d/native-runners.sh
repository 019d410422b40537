# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# A shape seen in paperless-ngx: a job for each platform, digests handed to a job that merges them, names for branches, for
# pull requests and for versions, copies in another registry.
port native-runners
ELSEWHERE=$(elsewhere) DEVELOPMENT=$REGISTRY-dev
images() {
  run "$1" "$2" --var "HOME=$REGISTRY" --var "DEVELOPMENT=$DEVELOPMENT" --var "ELSEWHERE=$ELSEWHERE" \
    --var "ELSEWHERE_HOST=$BUILD_ONCE_LAB_REGISTRY" "${@:3}"
}
password=(--secret "ELSEWHERE_PASSWORD=$BUILD_ONCE_LAB_REGISTRY_PASSWORD")
everywhere() { for at in "$REGISTRY" "$DEVELOPMENT" "$ELSEWHERE"; do tags "$at"; done | paste -sd' '; }
# named NAME...: the index of this run has these names, in both registries.
named() {
  local name
  for name in "$@"; do
    is "$(digest "$REGISTRY" "$name")" "$(output merge/digest)" "the image $name"
    is "$(digest "$ELSEWHERE" "$name")" "$(output merge/digest)" "the image $name in the other registry"
  done
  is "$(platforms "$REGISTRY" "$(output merge/digest)")" 'linux/amd64 linux/arm64' 'the platforms'
}

commit 'First commit'
images 'two platforms are built apart and merged' push "${password[@]}"
is "$(outputs platform/outcome)" 'built built' 'the platforms that were built'
is "$(output merge/outcome)" merged 'the merge'
named main
first=$(output merge/digest)
over

echo '# Text' >>"$repository/README.md"
commit 'Change a page'
images 'nothing is built, and the names are there' push "${password[@]}"
is "$(outputs platform/outcome)" 'reused-key reused-key' 'the platforms'
is "$(output merge/digest)" "$first" 'the image'
named main
over

images 'a version has its names in both registries' 'push refs/tags/v1.2.0' "${password[@]}"
is "$(outputs platform/outcome)" 'built built' 'the platforms'
named 1.2.0 1.2 latest
is "$(digest "$REGISTRY" main)" "$first" 'the image of the branch'
over

before=$(everywhere)
echo 'console.log("more");' >>"$repository/frontend/main.js"
commit 'From a fork'
images 'a fork writes nothing' 'fork 8'
is "$(outputs platform/outcome)" 'built-local built-local' 'the platforms'
is "$(output merge/result)" '' 'the merge'
is "$(everywhere)" "$before" 'all names'
over

images 'a pull request has a name in the repository of its own' 'pull_request 9' "${password[@]}"
is "$(outputs platform/outcome)" 'built built' 'the platforms'
is "$(digest "$DEVELOPMENT" topic)" "$(output merge/digest)" 'the image of its branch'
is "$(platforms "$DEVELOPMENT" topic)" 'linux/amd64 linux/arm64' 'the platforms'
is "$(for at in "$REGISTRY" "$ELSEWHERE"; do tags "$at"; done | paste -sd' ')" "$before" 'all other names'
over
