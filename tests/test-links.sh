#!/bin/sh
# The command line runs on servers: it must not load GTK.
libraries=$(ldd "$MOESCOPE") || exit 1
if echo "$libraries" | grep -E 'libgtk|libadwaita|libgtksourceview'; then
  echo "$MOESCOPE loads the libraries above, which only moescope-gui may" >&2
  exit 1
fi
