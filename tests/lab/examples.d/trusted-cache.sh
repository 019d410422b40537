# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
example trusted-cache
images() { run "$1" "$2" --var "BUILD_ONCE_REPOSITORY=$REGISTRY" "${@:3}"; }
caches() { tags "$REGISTRY" | grep cache | paste -sd' '; }

# forget: as on another runner. The lab's jobs share one engine, whose own cache would hide what is imported.
forget() { docker builder prune --all --force >/dev/null 2>&1; }

commit 'First commit'
images 'main builds and writes its cache' push
is "$(output image/outcome)" built 'the outcome'
is "$(caches)" "cache-$(mark)-tools-main" 'the caches'
main=$(digest "$REGISTRY" "cache-$(mark)-tools-main")
over

forget
echo gdb >>"$repository/tools.txt"
commit 'A pull request, first push'
images 'a pull request reads the cache of main and writes its own' 'pull_request 7'
is "$(output image/zone)" pr 'the zone'
is "$(output image/outcome)" built 'the outcome'
holds "$(output image/cached-steps) > 0" 'steps from the cache of main'
is "$(caches)" "cache-$(mark)-tools-main pr-7-cache-$(mark)-tools" 'the caches'
over

forget
cached=$(output image/cached-steps)
echo more >>"$repository/notes.txt"
commit 'A pull request, second push'
images 'its next push goes on from its own cache' 'pull_request 7'
holds "$(output image/cached-steps) > $cached" 'steps from its own cache'
is "$(digest "$REGISTRY" "cache-$(mark)-tools-main")" "$main" 'the cache of main'
over

forget
before=$(tags "$REGISTRY" | paste -sd' ')
echo strace >>"$repository/tools.txt"
commit 'From a fork'
images 'a fork reads and writes nothing' 'fork 8'
is "$(output image/zone)" fork 'the zone'
is "$(output image/outcome)" built-local 'the outcome'
holds "$(output image/cached-steps) > 0" 'steps from the cache of main'
is "$(tags "$REGISTRY" | paste -sd' ')" "$before" 'the tags'
over

forget
images 'main reads nothing of theirs' push
is "$(output image/outcome)" built 'the outcome'
! grep -q 'importing cache manifest from .*pr-' "$log.log" || problems+=('a cache of a pull request was read')
grep -q "cache from type=registry,ref=.*cache-$(mark)-tools-main" "$log.log" || problems+=('the cache of main was not read')
over

before=$(caches)
echo htop >>"$repository/tools.txt"
commit 'The stricter option'
images 'with PULL_REQUEST_CACHE=auto a pull request writes none' 'pull_request 9' --var PULL_REQUEST_CACHE=auto
is "$(output image/outcome)" built 'the outcome'
is "$(caches)" "$before" 'the caches'
over
