# shellcheck shell=bash disable=SC2154 # sourced by tests/lab/examples
# shellcheck source=tests/lab/parts/aws.sh
source "$LAB_DIR/parts/aws.sh"
example release-pipeline
path=examples/release-pipeline-$MARK
REPOSITORY=$BUILD_ONCE_LAB_ECR_HOST/$path
today=$(date -u +%Y%m%d)
short() { git -C "$repository" rev-parse HEAD | cut -c1-7; }
ecr() { aws_call ecr "AmazonEC2ContainerRegistry_V20150921.$1" "$2"; }
# An image's tags for people, in order; these words in order.
named() {
  ecr DescribeImages "{\"repositoryName\":\"$path\"}" |
    jq -r --arg digest "$1" '.imageDetails[] | select(.imageDigest == $digest).imageTags[]' |
    grep -v "^\(key\|sha\)-$(mark)-" | sort | paste -sd' '
}
words() { tr ' ' '\n' <<<"$1" | sort | paste -sd' '; }

# In place of aws-actions/configure-aws-credentials: says which way was chosen, and logs in as it does.
mkdir -p "$work/login"
cat >"$work/login/action.yml" <<'YAML'
inputs:
  role-to-assume: {required: false}
  aws-access-key-id: {required: false}
  aws-secret-access-key: {required: false}
  aws-region: {required: true}
runs:
  using: composite
  steps:
    - shell: bash
      run: |
        if test -n "$ROLE"; then echo "login: role $ROLE in $REGION"; ID=ROLE; else echo "login: keys $ID in $REGION"; fi
        printf '%s\n' "AWS_ACCESS_KEY_ID=$ID" AWS_SECRET_ACCESS_KEY=x "AWS_REGION=$REGION" >>"$GITHUB_ENV"
      env:
        ROLE: ${{ inputs.role-to-assume }}
        ID: ${{ inputs.aws-access-key-id }}
        REGION: ${{ inputs.aws-region }}
YAML
login=$(sed -n 's/.*uses: \(aws-actions[^ ]*\).*/\1/p' "$repository/.github/workflows/image.yml")

# release WHAT EVENT [ARGUMENT...]: with GitHub's cache, which act serves.
release() {
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close() })')
  run "$1" "$2" --var "ECR_REPOSITORY=$REPOSITORY" --local-repository "$login=$work/login" \
    --no-cache-server=false --cache-server-addr 127.0.0.1 --cache-server-path "$work/cache" \
    --artifact-server-addr 127.0.0.1 --artifact-server-path "$work/artifacts" --artifact-server-port "$port" "${@:3}"
}
role=(--var AWS_ROLE=arn:aws:iam::123456789012:role/ci-images)


# made NAME: what ECR says of the repository.
made() { ecr DescribeRepositories "{\"repositoryNames\":[\"$path\"]}" | jq -r ".repositories[0].$1"; }
# What all steps of the job wrote.
summary() { act_lines "$log.json" | jq -r 'select(.command == "summary").content'; }
# fails CLASS CAUSE: the run failed, as it is to.
fails() {
  problems=()
  is "$(output image/result)" failure 'the job'
  is "$(output image/failure-class)" "$1" 'the class'
  is "$(output image/failure-cause)" "$2" 'the cause'
}
says() { grep -q -- "$1" "$log.log" || problems+=("the log does not say: $1"); }

commit 'First commit'
release 'a push makes the repository and publishes both platforms' push "${role[@]}"
is "$(output image/result)" success 'the job'
is "$(output image/outcome)" built 'the outcome'
is "$(named "$(output image/digest)")" "$(words "latest-$(short)-$today")" 'the tags'
is "$(curl -fsS "$AWS_URL/v2/$path/manifests/$(output image/digest)" | jq -r '[.manifests[].platform.architecture] | join(" ")')" 'amd64 arm64' 'the platforms'
is "$(made imageScanningConfiguration.scanOnPush)" true 'scan on push'
is "$(made encryptionConfiguration.encryptionType)" AES256 'the encryption'
says 'login: role arn:aws:iam::123456789012:role/ci-images in us-east-1'
for part in "$(output image/digest)" "latest-$(short)-$today" "$(git -C "$repository" rev-parse HEAD)" 'How to pull it' 'What now'; do
  [[ $(summary) == *"$part"* ]] || problems+=("not in the summary: $part")
done
over
git -C "$repository" branch release-1.0

echo 'echo more' >>"$repository/image/make.sh"
commit 'Change the image'
release 'the next one uses the cache of GitHub' push "${role[@]}"
is "$(output image/outcome)" built 'the outcome'
says "importing cache manifest from gha"
over

release 'a version by hand, latest too: the image gets names' \
  'workflow_dispatch main version=1.2.0 also-latest=true' "${role[@]}"
is "$(output image/outcome)" reused-tag 'the outcome'
newest=$(output image/digest)
is "$(named "$newest")" "$(words "1.2.0 1.2.0-$(short) 1.2.0-$today latest latest-$(short)-$today")" 'the tags'
over

git -C "$repository" checkout -q release-1.0
release 'an older commit by hand does not set latest back' \
  'workflow_dispatch release-1.0 version=1.0.0 also-latest=true' "${role[@]}" --env GITHUB_REF_PROTECTED=true
is "$(output image/result)" success 'the job'
is "$(output image/zone)" trusted 'the zone'
is "$(named "$newest" | tr ' ' '\n' | grep -x latest)" latest 'the image that is latest'
is "$(named "$(output image/digest)")" "$(words "1.0.0 1.0.0-$(short) 1.0.0-$today latest-$(short)-$today")" 'the tags'
over

release 'a branch without protection publishes no version' 'workflow_dispatch release-1.0 version=1.0.1' "${role[@]}"
fails access not-published
over
git -C "$repository" checkout -q main

echo 'echo even more' >>"$repository/image/make.sh"
commit 'Change it again'
rules=$BUILD_ONCE_LAB_GATEWAY/rules/$path
rules=${rules//examples\//}
curl -fsS -X PUT "$rules" -d "[{\"method\": \"PUT\", \"path\": \"^/v2/$path/manifests/\", \"times\": null, \"fault\": {\"kind\": \"status\", \"code\": 403,
  \"headers\": {}, \"body\": {\"errors\": [{\"code\": \"DENIED\", \"message\": \"User: arn:aws:sts::123456789012:assumed-role/ci-images-pull/x is not authorized to perform: ecr:PutImage on resource: $path\"}]}}}]"
release 'a role that may not push is named, with the right it lacks' push "${role[@]}"
curl -fsS -X DELETE "$rules"
fails access auth-denied
says "::error.*is not authorized to perform: ecr:PutImage.*hint: allow the role the named action"
over

path=$path-absent REPOSITORY=$REPOSITORY-absent
release 'a repository that is absent, and not to be made' push "${role[@]}" --var CREATE_REPOSITORY=false
fails access not-set-up
says "::error.*$path does not exist.*create-repository: true makes it"
over

release 'with keys, and a key of KMS' push --secret AWS_ACCESS_KEY_ID=KEYS --secret AWS_SECRET_ACCESS_KEY=x --var KMS_KEY=alias/images
is "$(output image/result)" success 'the job'
is "$(made encryptionConfiguration.encryptionType)" KMS 'the encryption'
says 'login: keys KEYS in us-east-1\|login: keys \*\*\* in us-east-1'
over

for name in "${path%-absent}" "$path"; do ecr DeleteRepository "{\"repositoryName\":\"$name\",\"force\":true}" >/dev/null; done
