#!/bin/sh
# Runs the flows with a session bus and a display of their own.  Only their TAP goes to the output: what
# the bus and its services print there goes to the error stream.
exec 9>&1 1>&2
export MOESCOPE_TAP=9
exec dbus-run-session -- xvfb-run -a -s "-screen 0 1280x1024x24" \
  /usr/bin/python3 "$(dirname "$0")/flows.py"
