#!/bin/sh
# Stands for a cross compiler: make.sh ARCHITECTURE
set -eu
echo "app for $1"
