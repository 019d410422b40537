echo "$1 runs"
