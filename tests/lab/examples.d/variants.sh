# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# A shape seen in uv: a program's image, and the program on many base images out of a matrix, with Dockerfiles that are
# generated, names by version and by base, provenance, and an attestation of each image that is new.
port variants
DEVELOPMENT=$REGISTRY-dev
all='tool tool-alpine tool-debian tool-python3-13'
images() {
  run "$1" "$2" --var "HOME=$REGISTRY" --var "DEVELOPMENT=$DEVELOPMENT" --var "NEXT_IMAGE=$BUILD_ONCE_LAB_BASE_IMAGE_NEXT" "${@:3}"
  is "$(output images/result)" success 'the job'
}
outcome() { output images/images | jq -r --arg outcome "$1" 'to_entries | map(select(.value.outcome == $outcome).key) | sort | join(" ")'; }
attested() { sed -n 's/.*| attest \([^ ]*\) sha256:.*/\1/p' "$log.log" | sort | paste -sd' '; }
# both NAME...: each names an image of both platforms.
both() { for name in "$@"; do is "$(platforms "$REGISTRY" "$name")" 'linux/amd64 linux/arm64' "the platforms of $name"; done; }

commit 'First commit'
images 'all images are built, and attested' push
is "$(outcome built)" "$all" 'the images that were built'
is "$(attested)" "$all" 'the images that are attested'
both main alpine3.22 alpine trixie debian python3.13-alpine
first=$(output images/digests | jq -cS .)
over

images 'a release of the same content names what is there' 'push refs/tags/0.9.4'
is "$(outcome reused-tag)" "$all" 'the images that were there'
is "$(attested)" '' 'the images that are attested'
is "$(output images/digests | jq -cS .)" "$first" 'the images'
both 0.9.4 0.9 0.9.4-alpine3.22 0.9-alpine3.22 0.9.4-alpine 0.9.4-debian 0.9-python3.13-alpine
over

sed -i 's/^ENV VARIANT=.*/&\nENV EXTRA=1/' "$repository/docker-bake.hcl"
commit 'Change the variants'
before=$(tags "$REGISTRY" | paste -sd' ')
images 'a fork writes nothing' 'fork 8'
is "$(outcome built-local)" 'tool-alpine tool-debian tool-python3-13' 'the images that were built'
is "$(attested)" '' 'the images that are attested'
is "$(tags "$REGISTRY" | paste -sd' ')$(tags "$DEVELOPMENT")" "$before" 'the names'
over

images 'a pull request has its names in the repository of its own' 'pull_request 9'
is "$(outcome built)" 'tool-alpine tool-debian tool-python3-13' 'the images that were built'
is "$(attested)" 'tool-alpine tool-debian tool-python3-13' 'the images that are attested'
is "$(platforms "$DEVELOPMENT" alpine)" 'linux/amd64 linux/arm64' 'the platforms of its image'
is "$(tags "$REGISTRY" | paste -sd' ')" "$before" 'the other names'
over
