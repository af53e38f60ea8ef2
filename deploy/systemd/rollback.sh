#!/bin/sh
# rollback.sh agent|service ROOT UNIT
#
# Points ROOT/current at what ROOT/previous points at, and starts UNIT again. For when the agent itself is dead: needs
# a POSIX shell, coreutils and systemctl, and reads nothing that came over the network.
#
# One try a version: ROOT/rolled-back names the version that was gone back to, and is written first. Where that one is
# what fails, nothing more is done but to say so. A version that is installed later has its own try again.
#
# service: only while no agent runs (it decides otherwise; one that is just starting is waited for), and only what is
# being upgraded to by ROOT/state.json: a version that has proven itself is never undone.
#
# Exit codes: 0 gone back, or nothing to do; 1 nothing to go back to, or that one fails too; 2 wrong usage.
set -u

fail() {
  echo "bellwether rollback: $1" >&2
  exit 1
}

if [ "$#" -ne 3 ]; then
  echo "usage: rollback.sh agent|service ROOT UNIT" >&2
  exit 2
fi
kind=$1 root=$2 unit=$3
current=$root/current previous=$root/previous marker=$root/rolled-back

# Of the upgrade that is under way; the agent writes one field a line.
of_job() { sed -n "/^ \"job\": {/,/^ }/s/^  \"$1\": \"\([0-9A-Za-z_.+-]*\)\".*/\1/p" "$root/state.json" 2> /dev/null; }

if [ "$kind" = service ]; then
  # Both at once would each undo what the other does. One that hangs at its start is not waited for long.
  waited=0
  while :; do
    case $(systemctl is-active bellwether-agent.service) in
      active | reloading | deactivating)
        echo "bellwether rollback: $unit failed; the agent runs and decides"
        exit 0
        ;;
      activating) [ "$waited" -lt 45 ] || break ;;
      *) break ;;
    esac
    sleep 1
    waited=$((waited + 1))
  done
  case $(of_job phase) in
    swapping | probation | rolling_back) ;;
    *) fail "$unit failed, and its version is not on probation: nothing is undone; see journalctl -u $unit" ;;
  esac
  if [ "$(readlink "$current")" != "versions/$(of_job version)" ]; then
    fail "$unit failed, and what runs is not what was being upgraded to: nothing is undone; see journalctl -u $unit"
  fi
fi

from=$(readlink "$current") || fail "$current is not a link: nothing to go back from"
to=$(readlink "$previous") || fail "there is no version before $from: nothing to go back to"
for link in "$from" "$to"; do
  case $link in
    versions/*/* | versions/ | versions/. | versions/..) fail "$link is not a version" ;;
    versions/*) ;;
    *) fail "$link is not a version" ;;
  esac
done

tried=$(cat "$marker" 2> /dev/null)
if [ "$tried" = "$from" ] || [ "$to" = "$from" ]; then
  fail "$from does not start either: it was gone back to once, nothing more is tried; see journalctl -u $unit"
fi
[ -d "$root/$to" ] || fail "$root/$to is gone: nothing to go back to"

# Each step can be repeated after a power cut; sync orders them.
if ! { echo "$to" > "$marker.tmp" && mv "$marker.tmp" "$marker" && sync "$root"; }; then
  fail "$marker cannot be written"
fi
if ! { ln -sfn "$to" "$current.tmp" && mv -T "$current.tmp" "$current" && sync "$root"; }; then
  fail "$current cannot be moved"
fi
echo "bellwether rollback: $unit did not stay up on $from: gone back to $to"
systemctl reset-failed "$unit"
exec systemctl start --no-block "$unit"
