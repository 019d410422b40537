# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
"$LAB_DIR/up" compose
example compose
ci() {
  run "$1" push --var "BUILD_ONCE_REPOSITORY=$REGISTRY"
  is "$(output images/result)" success 'the job that builds'
  is "$(output test/result)" success 'the job that tests'
  is "$(output test/images | jq -r 'keys | join(" ")')" 'shop-api shop-tests' 'the images of the test'
  grep -q '"status": "ready"' "$log.log" || problems+=('the test did not reach the service')
  ! grep -q 'Building' "$log.log" || problems+=('compose has built')
  # As on another runner.
  "$LAB_DIR/forget" shop- || problems+=('the engine does not forget the images')
}
outcome() { output images/images | jq -r --arg outcome "$1" 'to_entries | map(select(.value.outcome == $outcome).key) | sort | join(" ")'; }

commit 'First commit'
ci 'the services are built, and tested as they were pulled'
is "$(outcome built)" 'shop-api shop-common shop-tests' 'the images that were built'
over

git -C "$repository" -c user.name=lab -c user.email=lab@example.test commit -q --allow-empty -m 'Nothing'
ci 'nothing is built'
is "$(outcome reused-key)" 'shop-api shop-common shop-tests' 'the images that were there'
over

echo '{"status": "ready", "version": 2}' >"$repository/api/site/status.json"
sed -i 's,grep ready,grep version,' "$repository/tests/run.sh"
commit 'Change a service and its test'
ci 'the services that changed are built'
is "$(outcome built)" 'shop-api shop-tests' 'the images that were built'
is "$(outcome reused-key)" shop-common 'the images that were there'
over
