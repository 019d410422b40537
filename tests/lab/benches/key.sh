#!/usr/bin/env bash
# The build key on generated trees: time beside the plain reading of the same files by two processes, peak memory,
# and what a small repository costs.
set -euo pipefail
# shellcheck source=tests/lab/benches/lib.sh
source "${BASH_SOURCE[0]%/*}/lib.sh"
FILES=${BUILD_ONCE_BENCH_FILES:-100000} SMALL=${BUILD_ONCE_BENCH_SMALL_FILES:-1000000}
MAX_RATIO=1.15 MAX_MS=5 MAX_MIB=200

begin key
# No registry and no engine is asked: the base is none.
DOCKERFILE=$'FROM scratch\nCOPY part-7 /part\n'
export GITHUB_ACTIONS=true GITHUB_EVENT_NAME=push

# tree FOLDER FILES BYTES: that many files of about that size, a hundred folders of them, contents all different.
tree() {
  mkdir -p "$1"
  printf '%s' "$DOCKERFILE" >"$1/Dockerfile"
  python3 - "$1" "$2" "$3" <<'PY'
import os, random, sys
root, files, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
pool = random.Random(1).randbytes(1 << 20)
for number in range(files):
    folder = f"{root}/part-{number // 100 % 100}/inner-{number // 10000}"
    if number % 100 == 0:
        os.makedirs(folder, exist_ok=True)
    start = number * 7919 % (len(pool) - size) if size else 0
    with open(f"{folder}/file-{number}.bin", "wb", buffering=0) as file:
        file.write(b"%d" % number + pool[start : start + size - 8])
PY
}

# watched SAMPLE FOLDER ARGUMENT...: the key of a folder, with its cost.
watched() {
  local what=$1 folder=$2 wall cpu peak
  shift 2
  (cd "$folder" && "$BENCHES/watch.py" "$WORK/cost" "$PROGRAM" key --image key "$@") >"$LOG" 2>&1 \
    || die "$NAME: failed: $(tail -n 5 "$LOG")"
  read -r wall cpu peak <"$WORK/cost"
  sample "$what" "$wall" && sample "$what.peak" "$peak"
}

# two_read FOLDER: every file below it, by two processes.
two_read() { find "$1" -type f -print0 | xargs -0 -n 500 -P 2 cat >/dev/null; }
read_by_two() {
  timed cat two_read "$WORK/large"
}
key_context() { watched context "$WORK/large" --key context; }
key_copied() { watched copied "$WORK/large"; }
key_files() { watched files "$WORK/large" --key files --key-files 'part-7/**'; }
# The same files as the Dockerfile names, and one walk.
walk_and_read() { find "$WORK/large" -type f -print0 >/dev/null && two_read "$WORK/large/part-7"; }
read_named() { timed named walk_and_read; }
in_small() { cd "$WORK/small" && "$PROGRAM" key --image key --key context; }
key_small() {
  timed small in_small
  watched small-watched "$WORK/small" --key context
}

say "making $FILES files of 10 KB"
tree "$WORK/large" "$FILES" 10000
mkdir "$WORK/small"
for name in a b c d e f g h; do echo "$name" >"$WORK/small/$name"; done
printf 'FROM scratch\nCOPY a /\n' >"$WORK/small/Dockerfile"
echo x >"$WORK/small/.dockerignore"
side_by_side read_by_two key_context
cp -r "$WORK/samples" "$WORK/first"
side_by_side read_named key_copied key_files key_small
cp "$WORK/first"/* "$WORK/samples"
rm -rf "$WORK/large"

say "making $SMALL files of 100 bytes"
tree "$WORK/many" "$SMALL" 100
watched many "$WORK/many" --key context
rm -rf "$WORK/many"

ratio=$(calc %.2f "$(median context) / $(median cat)")
mib() { calc %.0f "$(sort -n "$WORK/samples/$1.peak" | tail -n 1) / 1024"; }
rows=(
  "$FILES files of 10 KB, scope context|$(human "$(median context)")|$(mib context) MiB|at most $MAX_RATIO times the plain reading: $ratio"
  "the same read by two cat processes|$(human "$(median cat)")||"
  "scope auto, 1% of them|$(human "$(median copied)")|$(mib copied) MiB|no more than the next but one row"
  "scope files, 1% of them|$(human "$(median files)")|$(mib files) MiB|no more than the next row"
  "one walk and those 1% read by cat|$(human "$(median named)")||"
  "$SMALL files of 100 bytes|$(human "$(median many)")|$(mib many) MiB|under $MAX_MIB MiB"
  "10 files|$(human "$(median small)")|$(mib small-watched) MiB|under $MAX_MS ms"
)
table 'tree|time|peak memory|target' "${rows[@]}"
figures=()
for row in "${rows[@]}"; do figures+=("| ${row//|/ | } |"); done
# shellcheck disable=SC2016 # Markdown
keep key 'The key alone, warm page cache. Command: `tests/lab/bench key`.' '' '| tree | time | peak memory | target |' '| --- | --- | --- | --- |' "${figures[@]}"
printf 'key: ratio=%s small_ms=%s peak_mib=%s\n' "$ratio" "$(median small)" "$(mib many)"
