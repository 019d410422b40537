echo "web $SOURCE_COMMIT"
