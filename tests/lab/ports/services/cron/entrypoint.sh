sh /app/run.sh cleanup
