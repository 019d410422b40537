#!/bin/sh
# Runs inside the CI image, where bc is.
set -eu
check() {
  actual=$(sh ./fahrenheit.sh "$1")
  [ "$actual" = "$2" ] || { echo "fahrenheit.sh $1: expected $2, got $actual" >&2; exit 1; }
}
check 100 212.0
check -40 -40.0
check 36.6 97.8
echo "all passed"
