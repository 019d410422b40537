# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# A shape seen in Sentry's self-hosted stack: a compose file whose services share one image by its name, an image that is
# built on that one, services without a build, no registry; the images stay on the machine.
"$LAB_DIR/up" compose
port services
ci() {
  run "$1" "$2" --var "NEXT_IMAGE=$BUILD_ONCE_LAB_BASE_IMAGE_NEXT" --env AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:9
  is "$(output test/result)" success 'the job'
  for said in 'worker runs' 'cleanup runs'; do grep -q "$said" "$log.log" || problems+=("the stack does not say: $said"); done
  ! grep -q 'Building' "$log.log" || problems+=('compose has built')
}
outcome() { output test/images | jq -r --arg outcome "$1" 'to_entries | map(select(.value.outcome == $outcome).key) | sort | join(" ")'; }
all='cleanup scheduler store web worker'

commit 'First commit'
ci 'the images are built, and compose finds them by their names' push
is "$(outcome built-local)" "$all" 'the images that were built'
over

ci 'nothing is built on the same machine' push
is "$(outcome reused-local)" "$all" 'the images that were there'
over

echo 'echo "$1 ends"' >>"$repository/app/run.sh"
commit 'Change the image that others are built on'
ci 'what is built on it is built too' 'fork 8'
is "$(outcome built-local)" 'cleanup scheduler web worker' 'the images that were built'
is "$(outcome reused-local)" store 'the image that was there'
over
