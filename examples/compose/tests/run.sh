# Waits for the service, then looks at what it says.
tries=0
until wget -q -O /tmp/status "$API/status.json"; do
  tries=$((tries + 1))
  test "$tries" -lt 50 || exit 1
  sleep 0.2
done
grep ready /tmp/status
