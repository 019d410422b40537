echo "version $APP_VERSION"
