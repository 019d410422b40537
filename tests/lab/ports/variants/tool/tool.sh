#!/bin/sh
echo "tool for @ARCH@"
