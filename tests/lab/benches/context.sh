#!/usr/bin/env bash
# One file of a large context changed: the same builder, which has the rest of the context from the last build.
set -euo pipefail
# shellcheck source=tests/lab/benches/builds.sh
source "${BASH_SOURCE[0]%/*}/builds.sh"
MIB=${BUILD_ONCE_BENCH_CONTEXT_MIB:-1024}
begin context
new_build
say "making $MIB files of 1 MiB"
mkdir data
# It compresses about as well as code does.
python3 - "$MIB" <<'PY'
import random, sys
for number in range(int(sys.argv[1])):
    part = random.Random(number).randbytes(1 << 18)
    with open(f"data/file-{number:04}", "wb") as file:
        file.write(part * 4)
PY
printf '%s\n' "FROM $BUILD_ONCE_LAB_BASE_IMAGE" 'COPY requirements.txt ./' 'COPY data /data' \
  'RUN find /data -type f | wc -l >files' >Dockerfile
as_push
new_repository context
new_builder context

# Another change each time: what one has built the other could take from the builder.
change() {
  head -c 1M /dev/urandom >data/file-0000
  GITHUB_SHA=$(sha1sum <data/file-0000 | cut -d' ' -f1)
  sync
}
ours() {
  change
  timed build-once run_program
  expect built
}
theirs() {
  change
  timed buildx run_plain
}

side_by_side ours theirs
compare build-once buildx "one changed file of a context of $MIB MiB" '≤ 1.1×'
