# Sourced by samples/demo.sh and tests/run.sh: installs those of the Debian packages named in the
# arguments that are missing; apt is only called when something is, sudo only when not root.
install_missing () {
  missing=
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  echo "Installing:$missing" >&2
  $as_root apt-get update -qq >&2 &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >&2
}

packages_build='gcc libc6-dev meson ninja-build pkg-config libglib2.0-dev libsqlite3-dev libcsv-dev libjson-glib-dev
  libpcre2-dev libxxhash-dev zlib1g-dev libzstd-dev libdnnl-dev libopenblas-dev libcairo2-dev libpango1.0-dev fonts-dejavu-core
  libgtk-4-dev libadwaita-1-dev libgtksourceview-5-dev gettext adwaita-icon-theme'
packages_test='xvfb xauth dbus at-spi2-core python3 python3-gi gir1.2-atspi-2.0 libgl1-mesa-dri poppler-utils
  sqlite3 clang-format desktop-file-utils appstream locales'
