#!/bin/sh
echo "hello from a tenant"
