#!/bin/sh
# Makes this container a node, once, and runs its agent. Run by docker-compose.yml.
set -eu
umask 077
dir=${AGENT_DIR:-/var/lib/bellwether-agent}
agent() { node dist/src/agent/main.js "$@"; }

if [ ! -e "$dir/identity.json" ]; then
  agent enroll --dir "$dir" --manager "${MANAGER_URL:-http://127.0.0.1:8480}" \
    --token-file "${ENROLLMENT_DIR:-/enrollment}/$NODE_NAME.token" --name "$NODE_NAME" --label site=compose
fi
exec node dist/src/agent/main.js run --dir "$dir"
