. /opt/settings
echo "api: level $level, runtime $(cat /opt/runtime)"
