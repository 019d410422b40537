# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
example monorepo
all=(api base docs runtime web)
# ci WHAT EVENT [ARGUMENT...]
ci() {
  run "$1" "$2" --var "BUILD_ONCE_REPOSITORY=$REGISTRY" "${@:3}"
  is "$(output images/result)" success 'the job that builds'
}
# outcome OUTCOME: the images of the job that builds with that outcome, in order.
outcome() { output images/images | jq -r --arg outcome "$1" 'to_entries | map(select(.value.outcome == $outcome).key) | sort | join(" ")'; }
# The tests ran on the images of this run, and each job has pulled its own alone.
tested() {
  local job
  for job in api web docs; do
    is "$(output $job/result)" success "the job $job"
    is "$(output $job/digest)" "$(output images/digests | jq -r ".$job")" "the image of the job $job"
    is "$(output $job/images | jq -r 'keys | join(" ")')" "$job" "the images of the job $job"
  done
}

commit 'First commit'
ci 'all images are built' push
is "$(outcome built)" "${all[*]}" 'the images that were built'
is "$(tags "$REGISTRY" | grep -c "^key-")" 5 'the images in the registry'
tested
first=$(output images/digests | jq -c .)
over

git -C "$repository" -c user.name=lab -c user.email=lab@example.test commit -q --allow-empty -m 'Nothing'
ci 'no image is built' push
is "$(outcome reused-key)" "${all[*]}" 'the images that were there'
is "$(output images/digests | jq -c .)" "$first" 'the digests'
tested
over

echo 'level=debug' >"$repository/runtime/settings"
commit 'Change the settings'
ci 'the changed chain is built' 'pull_request 12'
is "$(outcome built)" 'api runtime' 'the images that were built'
is "$(outcome reused-key)" 'base docs web' 'the images that were there'
grep -q 'api: level debug' "$log.log" || problems+=('the test did not run in the changed image')
tested
over

printf 'curl\njq\nmake\n' >"$repository/base/packages.txt"
git -C "$repository" checkout -q HEAD~1 -- runtime
commit 'Change the base'
ci 'a changed base builds all that stands on it' push
is "$(outcome built)" 'api base runtime web' 'the images that were built'
is "$(outcome reused-key)" docs 'the images that were there'
tested
over
