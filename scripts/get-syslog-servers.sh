#!/usr/bin/env bash
# rsyslog and syslog-ng for the tests of the syslog sink, side by side and without starting a service. Debian's packages
# of the two exclude each other, so only the libraries they need are installed; the servers are unpacked into a directory.
# usage: scripts/get-syslog-servers.sh [DIRECTORY]   (default: where the tests look)
set -euo pipefail
target=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/bellwether-test/syslog}
servers=(rsyslog rsyslog-gnutls syslog-ng-core)
if [ -x "$target/usr/sbin/rsyslogd" ] && [ -x "$target/usr/sbin/syslog-ng" ]; then exit 0; fi

as_root=$([ "$(id -u)" = 0 ] || echo sudo)
$as_root apt-get update -qq
libraries=$(apt-cache depends --important "${servers[@]}" | sed -n 's/^ *|\{0,1\}Depends: \(lib[^ <]*\)$/\1/p' | sort -u)
# shellcheck disable=SC2086
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends $libraries > /dev/null

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
chmod 755 "$folder"
(cd "$folder" && apt-get download -qq "${servers[@]}" > /dev/null)
mkdir -p "$target"
for package in "$folder"/*.deb; do dpkg-deb -x "$package" "$target"; done
