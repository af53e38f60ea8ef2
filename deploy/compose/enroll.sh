#!/bin/sh
# Makes the first admin, once, and a token for each of the named agents. Run by docker-compose.yml.
set -eu
umask 077
out=${ENROLLMENT_DIR:-/enrollment}
setup_token=${SETUP_TOKEN_FILE:-/var/lib/bellwether/setup-token}
bellwether() { node dist/src/cli/main.js "$@"; }

if [ ! -s "$out/admin-token" ]; then
  bellwether setup --setup-token-file "$setup_token" --token-out "$out/admin-token"
fi
BELLWETHER_TOKEN=$(cat "$out/admin-token")
export BELLWETHER_TOKEN
for name in "$@"; do
  # There as a whole or not at all.
  bellwether enrollment-token create -o json | sed -n 's/.*"secret": "\(.*\)".*/\1/p' > "$out/.$name"
  [ -s "$out/.$name" ]
  mv "$out/.$name" "$out/$name.token"
  echo "a token for $name is there"
done
