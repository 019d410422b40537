# Stands for a compiler: on a runner of the platform it needs no emulation.
echo "built for $1"
