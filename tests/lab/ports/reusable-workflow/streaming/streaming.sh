echo "streaming $SOURCE_COMMIT"
