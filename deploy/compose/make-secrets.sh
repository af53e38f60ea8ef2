#!/bin/sh
# Makes what docker-compose.yml needs and nobody should choose by hand. What is there already stays.
set -eu
dir=$(dirname "$0")/secrets
mkdir -p "$dir"
# Nobody else gets into the folder; in it the files can be read by the users of the containers.
chmod 700 "$dir"
umask 022
for name in postgres_password redis_password master_key; do
  [ -s "$dir/$name" ] && continue
  head -c 32 /dev/urandom | base64 > "$dir/.$name"
  mv "$dir/.$name" "$dir/$name"
  echo "made $dir/$name"
done
