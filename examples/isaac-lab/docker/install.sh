#!/bin/sh
# Stands for the project's installer: lists what the packages depend on.
set -eu
sed -n 's/^dependencies = \[\(.*\)\]$/\1/p' "$@" | tr -d '" ' | tr ',' '\n' | sort -u
