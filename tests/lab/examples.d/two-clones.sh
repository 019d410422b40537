# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# D53, D41: with `image` and `repository` alone, two jobs with a clone each agree on the key.
NAME=two-clones MARK=$(date +%s%N)
REGISTRY=$BUILD_ONCE_LAB_OPEN_REGISTRY/examples/$NAME-$MARK
repository=$work/$NAME
mkdir -p "$repository/.github/workflows"
cat >"$repository/.github/workflows/ci.yml" <<'YAML'
on: [push, pull_request]
jobs:
  first: &job
    runs-on: ubuntu-latest
    steps:
      # What actions/checkout does, in a folder of the job's own; act copies the one clone there is.
      - run: |
          git init --quiet .
          git remote add origin https://github.com/example/two-clones
          git config http.https://github.com/.extraheader "AUTHORIZATION: basic $RANDOM"
          git fetch --quiet --no-tags --depth=1 "$SOURCE" "+$GITHUB_SHA:refs/remotes/$NAME"
          if test "$GITHUB_EVENT_NAME" = push
          then git checkout --quiet --force -B main "refs/remotes/$NAME"
          else git checkout --quiet --force "refs/remotes/$NAME"
          fi
          # No two clones have one index.
          touch -d "$RANDOM seconds ago" hello.txt
          git status --short
        env:
          SOURCE: ${{ vars.SOURCE }}
          NAME: ${{ github.event_name == 'push' && 'origin/main' || 'pull/7/merge' }}
      - uses: build-once/build-once@v1
        id: image
        with:
          image: two-clones
          repository: ${{ vars.REGISTRY }}
YAML
{
  sed -n '/^  first: &job/,$p' "$repository/.github/workflows/ci.yml" | sed '1s/.*/  second:\n    needs: first/'
} >"$work/second"
sed -i 's/ &job$//' "$repository/.github/workflows/ci.yml"
cat "$work/second" >>"$repository/.github/workflows/ci.yml"
printf 'FROM %s\nENV LAB_RUN=%s\nCOPY . /src\n' "$BUILD_ONCE_LAB_BASE_IMAGE" "$MARK" >"$repository/Dockerfile"
echo hello >"$repository/hello.txt"
git -C "$repository" init -q -b main
git -C "$repository" remote add origin "https://github.com/example/$NAME.git"
git -C "$repository" config uploadpack.allowAnySHA1InWant true

# clones WHAT EVENT OUTCOME: the first job ends so, and the second one with the same image.
clones() {
  run "$1" "$2" --var "SOURCE=$repository" --var "REGISTRY=$REGISTRY"
  is "$(output first/outcome)" "$3" 'the first job'
  is "$(output second/outcome)" reused-tag 'the second job'
  is "$(output second/key)" "$(output first/key)" 'the key'
  is "$(output second/digest)" "$(output first/digest)" 'the image'
}

commit 'Without an ignore file'
clones 'a push: two clones, git in the image' push built
grep -q 'holds a credential.*line 3 of Dockerfile takes it' "$log.log" || problems+=('the credential is not said')
over
clones 'the push once more' push reused-tag
over
clones 'a pull request' 'pull_request 7' built
over
clones 'the pull request once more' 'pull_request 7' reused-tag
over

echo .git >"$repository/.dockerignore"
commit 'With an ignore file'
clones 'a push: two clones, no git in the image' push built
! grep -q 'in what the build gets' "$log.log" || problems+=('git is told of, though it is ignored')
over
clones 'a pull request of that commit' 'pull_request 7' reused-key
over

echo '# more' >>"$repository/.github/workflows/ci.yml"
printf 'FROM %s\nENV LAB_RUN=%s\nCOPY hello.txt /src/\n' "$BUILD_ONCE_LAB_BASE_IMAGE" "$MARK" >"$repository/Dockerfile"
git -C "$repository" rm -q .dockerignore
commit 'A Dockerfile that copies one file'
clones 'a push: no ignore file, git is not copied' push built
over
echo '# and more' >>"$repository/.github/workflows/ci.yml"
commit 'Nothing that is copied'
clones 'the next push changes nothing that is copied' push reused-key
over
