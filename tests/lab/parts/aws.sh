#!/usr/bin/env bash
# AWS: ministack serves ECR (API and registry), SSM, STS and instance metadata on one port.

aws_healthy() {
  answers aws "$AWS_URL/_ministack/health" && [[ -s $RUN/instance-id ]]
}

aws_up() {
  need python3 python3
  need jq jq
  pip_install ministack ministack
  stop aws
  mkdir -p "$RUN/aws"
  # Without the engine's address it cannot touch containers; it has no business there.
  start aws env -u DOCKER_HOST -C "$RUN/aws" TMPDIR="$RUN/aws" HOME="$RUN/aws" \
    DOCKER_HOST="unix://$RUN/aws/no-engine.sock" BIND_HOST=127.0.0.1 GATEWAY_PORT="${AWS_URL##*:}" \
    MINISTACK_ACCOUNT_ID="$ACCOUNT" MINISTACK_REGION="$REGION" MINISTACK_IMDS_V2_REQUIRED=1 \
    LOG_LEVEL=WARNING "$VENV/bin/ministack"
  wait_for 30 "the AWS emulator ($RUN/log/aws.log)" answers aws "$AWS_URL/_ministack/health"
  seed
}

# seed: the repository and the parameter that a self-hosted runner finds its repository by.
seed() {
  local token id
  aws_call ecr AmazonEC2ContainerRegistry_V20150921.CreateRepository '{"repositoryName":"ci"}' >/dev/null
  token=$(curl -fsS -m 5 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$AWS_URL/latest/api/token")
  id=$(curl -fsS -m 5 -H "X-aws-ec2-metadata-token: $token" "$AWS_URL/latest/meta-data/instance-id")
  aws_call ssm AmazonSSM.PutParameter \
    "{\"Name\":\"/github-runner/$id/ecr-cache-url\",\"Value\":\"$ECR_HOST/ci\",\"Type\":\"String\",\"Overwrite\":true}" >/dev/null
  echo "$id" >"$RUN/instance-id"
}

# aws_call SERVICE TARGET JSON: the emulator checks no signature, it only reads the scope.
aws_call() {
  local answer
  answer=$(curl -sS -m 10 "$AWS_URL/" -H "X-Amz-Target: $2" -H 'Content-Type: application/x-amz-json-1.1' \
    -H "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/$REGION/$1/aws4_request, SignedHeaders=host, Signature=0" \
    -d "$3")
  # A second `up` meets what the first one made.
  case $answer in *RepositoryAlreadyExists*) ;; *__type*) die "$2: $answer" ;; esac
  printf '%s' "$answer"
}

aws_down() { stop aws; }

awscli_healthy() { [[ -x $VENV/bin/aws ]]; }

awscli_up() {
  pip_install awscli aws
  link "$VENV/bin/aws" aws
}
