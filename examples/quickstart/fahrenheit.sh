#!/bin/sh
# Converts degrees Celsius to Fahrenheit: fahrenheit.sh 100
set -eu
echo "scale=1; $1 * 9 / 5 + 32" | bc
