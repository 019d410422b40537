#!/bin/sh
echo "hello from the platform"
