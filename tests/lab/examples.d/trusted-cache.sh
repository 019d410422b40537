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

# act names api.github.com to every step: the program is started with the lab's GitHub in its place.
state=$work/github
printf 'branch main\n' >"$state"
"$LAB_DIR/github.py" "$state" >"$work/github.url" &
github=$!
until [[ -s $work/github.url ]]; do sleep 0.05; done
printf '#!/bin/sh\nGITHUB_API_URL=%s exec "%s" "$@"\n' "$(cat "$work/github.url")" "$BUILD_ONCE_BIN" >"$work/program"
chmod +x "$work/program"
program=$BUILD_ONCE_BIN BUILD_ONCE_BIN=$work/program

# act does not look at the types of an event, and would run images.yml too when a pull request is closed.
clean_up() { images "$@" --workflows .github/workflows/clean-up.yml; }

before=$(tags "$REGISTRY" | paste -sd' ')
printf 'branch main\nclosed 7\n' >"$state"
clean_up 'a closed pull request: the plan is shown' 'closed 7'
is "$(output prune/outcome)" planned 'the outcome'
is "$(tags "$REGISTRY" | paste -sd' ')" "$before" 'the tags'
over

clean_up 'its own clean-up removes what is its own' 'closed 7' --var PRUNE_APPLY=true
is "$(output prune/outcome)" removed 'the outcome'
is "$(tags "$REGISTRY" | grep -c '^pr-7-')" 0 'names of pull request 7'
holds "$(tags "$REGISTRY" | grep -c '^pr-9-') > 0" 'names of pull request 9'
is "$(digest "$REGISTRY" "cache-$(mark)-tools-main" | cut -c1-7)" sha256: 'the cache of main'
over

printf 'branch main\nclosed 7\nclosed 9\n' >"$state"
clean_up 'at night the leftovers of others go' workflow_dispatch --var PRUNE_APPLY=true
is "$(output prune/outcome)" removed 'the outcome'
is "$(tags "$REGISTRY" | grep -c '^pr-')" 0 'names of pull requests'
holds "$(tags "$REGISTRY" | grep -c '^key-') > 0" 'images of main'
over
kill "$github"
BUILD_ONCE_BIN=$program
