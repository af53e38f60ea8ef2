#!/bin/sh
# Makes this machine a node, once, and anew when the token in the Secret is another one. May be repeated at any point.
set -eu
umask 077
dir=$AGENT_DIR
token=${TOKEN_FILE:-/etc/bellwether/token/enrollmentToken}
settings=${SETTINGS_DIR:-/etc/bellwether/settings}
agent=${AGENT_PROGRAM:-/app/bellwether-agent.mjs}

mkdir -p "$dir"
hash=$(sha256sum < "$token" | cut -d ' ' -f 1)
known=$(cat "$dir/enrollment-token-hash" 2> /dev/null || true)
if [ "$known" != "$hash" ]; then
  # The identity first: without it the key is of nobody.
  rm -f "$dir/identity.json" "$dir/node.key"
  printf '%s\n' "$hash" > "$dir/.enrollment-token-hash"
  mv "$dir/.enrollment-token-hash" "$dir/enrollment-token-hash"
fi

# Files of a mount are links, and a link is not taken for agent.toml or policy.toml.
# The file ends with its labels.
{ cat "$settings/agent.toml"; printf 'machine = "%s"\n' "$MACHINE_NAME"; } > "$dir/agent.toml.new"
chmod 0640 "$dir/agent.toml.new"
mv "$dir/agent.toml.new" "$dir/agent.toml"
index=0
while [ -e "$settings/policy-$index.toml" ]; do
  root=$(cat "$settings/policy-$index.root")
  mkdir -p "$root"
  cp "$settings/policy-$index.toml" "$root/policy.toml.new"
  chmod 0644 "$root/policy.toml.new"
  mv "$root/policy.toml.new" "$root/policy.toml"
  index=$((index + 1))
done

if [ ! -e "$dir/identity.json" ]; then
  # A name has 128 characters at most, and is of one machine all the same.
  name=${NODE_NAME:-$CLUSTER_NAME/machine/$MACHINE_NAME}
  if [ "${#name}" -gt 128 ]; then
    name=$(printf '%s' "$name" | cut -c 1-107)-$(printf '%s' "$name" | sha256sum | cut -c 1-20)
  fi
  # shellcheck disable=SC2086 -- one word or none
  node "$agent" enroll --dir "$dir" --manager "$MANAGER_URL" --cluster "$CLUSTER_NAME" \
    --name "$name" --token-file "$token" --label "machine=$MACHINE_NAME" \
    --label "cluster=$CLUSTER_NAME" --label "install=$INSTALL_ID" ${PLAINTEXT:-}
fi
