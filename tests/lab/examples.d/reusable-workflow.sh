# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# A shape seen in Mastodon: a workflow that others call for each of two images, two registries, the commit as a build
# argument, images of pull requests by a label.
port reusable-workflow
ELSEWHERE=$(elsewhere) DEVELOPMENT=$REGISTRY-dev
images() {
  run "$1" "$2" --var "HOME=$REGISTRY" --var "DEVELOPMENT=$DEVELOPMENT" --var "ELSEWHERE=$ELSEWHERE" \
    --var "ELSEWHERE_HOST=$BUILD_ONCE_LAB_REGISTRY" --secret "ELSEWHERE_PASSWORD=$BUILD_ONCE_LAB_REGISTRY_PASSWORD" "${@:3}"
}
# named NAME...: each names an image of both platforms, the same in both registries.
named() {
  local name
  for name in "$@"; do
    is "$(platforms "$REGISTRY" "$name")" 'linux/amd64 linux/arm64' "the platforms of $name"
    is "$(digest "$ELSEWHERE" "$name")" "$(digest "$REGISTRY" "$name")" "the image $name in the other registry"
  done
}

commit 'First commit'
images 'both images are built for both platforms' push
is "$(outputs platform/outcome)" 'built built built built' 'the platforms'
is "$(outputs merge/outcome)" 'merged merged' 'the merges'
named main main-streaming
web=$(digest "$REGISTRY" main) streaming=$(digest "$REGISTRY" main-streaming)
over

git -C "$repository" -c user.name=lab -c user.email=lab@example.test commit -q --allow-empty -m 'Nothing'
images 'another commit in the arguments builds nothing' push
is "$(outputs platform/outcome)" 'reused-key reused-key reused-key reused-key' 'the platforms'
is "$(digest "$REGISTRY" main) $(digest "$REGISTRY" main-streaming)" "$web $streaming" 'the images'
over

images 'a version names what is there' 'push refs/tags/v4.3.1'
is "$(outputs platform/outcome)" 'reused-tag reused-tag reused-tag reused-tag' 'the platforms'
named v4.3.1 v4.3 latest v4.3.1-streaming v4.3-streaming
is "$(digest "$REGISTRY" latest)" "$web" 'the latest image'
over

echo 'echo more' >>"$repository/web/web.sh"
commit 'A pull request'
before=$(tags "$REGISTRY" | paste -sd' ')
images 'without its label a pull request builds nothing' 'pull_request 12'
is "$(outputs platform/outcome)" '' 'the platforms'
over
images 'with its label it has a name of its own' 'labeled 12 build-image'
is "$(outputs platform/outcome)" 'built built' 'the platforms'
is "$(platforms "$DEVELOPMENT" pr-12)" 'linux/amd64 linux/arm64' 'the platforms of its image'
over
images 'a fork with the label writes nothing' 'fork 13 build-image'
is "$(outputs platform/outcome)" '' 'the platforms'
is "$(tags "$REGISTRY" | paste -sd' ')" "$before" 'the names'
over
