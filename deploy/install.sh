#!/bin/sh
# Makes this machine a node of Bellwether, or takes it out again. `install.sh --help` explains.
#
# What is trusted: this script, and one of the two that you give it: the public key of those who make releases,
# or the digest of one manifest. The folder or server that a release is taken from, and the network, are not.
# Nothing of a release is unpacked or run before it is verified. Needs a POSIX shell, coreutils, tar with gzip, sed
# and grep; curl or wget to download; minisign or openssl 3 to verify a signature.
set -eu
umask 022
LC_ALL=C
export LC_ALL

DONE=0 FAILED=1 USAGE=2 UNTRUSTED=3 UNSEEN=4
# A manifest is bounded by the protocol to 1 MiB; an archive of the agent has about 45 MB.
MANIFEST_BYTES_MAX=1048576
ARCHIVE_BYTES_MAX=268435456

usage() {
  cat <<'END'
install.sh --manager URL --token-file FILE (--public-key KEY | --digest HEX) [--from PLACE] [options]
install.sh --uninstall [--purge]

  --from PLACE          folder or URL with manifest.json, its signatures and archives; default: beside this script
  --public-key KEY      take only what this key signed: the base64 line of a minisign public key
  --digest HEX          take only the manifest with this SHA-256; needs sha256sum and nothing else
                        (both may be given: then both must hold)
  --manager URL         the manager that this node belongs to
  --token-file FILE     file with the enrollment token; - reads it from standard input. Never on the command line
  --name NAME           name of the node; default: the name of this machine
  --label KEY=VALUE     a label of the node; may be repeated
  --manager-url URL     an address at which it is reached, in order of preference; may be repeated
  --manager-ca-file FILE  whom to trust as manager, in PEM, and nobody else
  --manager-pin PIN     a key that the manager must hold, as sha256//...; may be repeated
  --https-proxy URL     the proxy on the way to the manager
  --allow-plaintext     take plain http to another machine, for closed test networks
  --wait SECONDS        how long to wait until the manager has seen the node; default 60, with --root 0: does not wait
  --service-manager M   systemd, or none: then you start the agent yourself; default: systemd where it runs
  --root DIR            work below DIR in place of /, as for an image; no service manager is asked
  --dry-run             verify everything, say what would be done, change nothing
  --uninstall           stop and remove the agent; services, their data and the identity of the node stay
  --purge               with --uninstall: those too

Done twice, it does nothing the second time.
Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not trusted: nothing was changed,
            4 installed, but the manager has not seen the node in time.
END
}

say() { printf '%s\n' "$*"; }
die() {
  code=$1
  shift
  printf 'install.sh: %s\n' "$*" >&2
  exit "$code"
}
wrong() { die "$USAGE" "$* (install.sh --help)"; }

# Does a step, or says that it would.
step() {
  if [ "$dry_run" = yes ]; then
    say "would: $*"
  else
    "$@"
  fi
}

has() { command -v "$1" > /dev/null 2>&1; }

# These words travel to the agent as arguments; newlines keep them apart until then.
labels='' reach=''
from='' public_key='' digest='' manager='' token_file='' name='' root=''
service_manager='' wait_secs='' plaintext=no dry_run=no uninstall=no purge=no

parse() {
  while [ "$#" -gt 0 ]; do
    case $1 in
      --from | --public-key | --digest | --manager | --token-file | --name | --label | --wait | --service-manager | --root \
        | --manager-url | --manager-ca-file | --manager-pin | --https-proxy)
        if [ "$#" -lt 2 ] || [ -z "$2" ]; then wrong "$1 needs a value"; fi
        take "$1" "$2"
        shift
        ;;
      --allow-plaintext) plaintext=yes ;;
      --dry-run) dry_run=yes ;;
      --uninstall) uninstall=yes ;;
      --purge) purge=yes ;;
      --help | -h)
        usage
        exit "$DONE"
        ;;
      --token | --token=*) wrong "a token on the command line can be read by everybody on this machine: use --token-file" ;;
      *) wrong "there is no option $1" ;;
    esac
    shift
  done
}

take() {
  case $1 in
    --from) from=$2 ;;
    --public-key) public_key=$2 ;;
    --digest) digest=$2 ;;
    --manager) manager=${2%/} ;;
    --token-file) token_file=$2 ;;
    --name) name=$2 ;;
    --label) labels="$labels$2
" ;;
    --manager-url | --manager-ca-file | --manager-pin | --https-proxy) reach="$reach$1=$2
" ;;
    --wait) wait_secs=$2 ;;
    --service-manager) service_manager=$2 ;;
    --root) root=${2%/} ;;
  esac
}

check_options() {
  if [ -n "$root" ]; then
    case $root in /*) ;; *) wrong "--root $root: give a whole path" ;; esac
    case $root in *[!A-Za-z0-9._/+-]*) wrong "--root $root: only letters, digits and ._/+-" ;; esac
    [ -d "$root" ] || wrong "--root $root is not a folder"
  elif [ "$(id -u)" != 0 ] && [ "$dry_run" = no ]; then
    die "$FAILED" "must be run as root: it writes to /opt, /etc and /usr/lib"
  fi
  if [ -z "$service_manager" ]; then
    service_manager=none
    if [ -z "$root" ] && [ -d /run/systemd/system ]; then service_manager=systemd; fi
  fi
  case $service_manager in systemd | none) ;; *) wrong "--service-manager $service_manager: systemd or none" ;; esac
  if [ -n "$root" ] && [ "$service_manager" = systemd ]; then wrong "--root cannot start units of systemd"; fi
  if [ -z "$wait_secs" ]; then
    wait_secs=60
    # What is made here runs later, on another machine.
    if [ -n "$root" ]; then wait_secs=0; fi
  fi
  case $wait_secs in '' | *[!0-9]* | ??????*) wrong "--wait $wait_secs: give whole seconds" ;; esac
  [ "$uninstall" = no ] || return 0
  [ "$purge" = no ] || wrong "--purge goes with --uninstall"
  check_trust_options
  case $manager in
    https://?* | http://?*) ;;
    '') wrong "--manager is missing" ;;
    *) wrong "--manager $manager: give an address that begins with https://" ;;
  esac
}

check_trust_options() {
  if [ -z "$public_key$digest" ]; then
    wrong "say whom you trust: --public-key KEY, or --digest HEX of a manifest"
  fi
  case $digest in *[!0-9a-f]*) wrong "--digest: 64 characters of 0-9 and a-f" ;; esac
  if [ -n "$digest" ] && [ "${#digest}" != 64 ]; then wrong "--digest: 64 characters of 0-9 and a-f"; fi
  case $public_key in *[!A-Za-z0-9+/=]*) wrong "--public-key: the base64 line of the file, alone" ;; esac
  if [ -n "$public_key" ] && [ "${#public_key}" != 56 ]; then wrong "--public-key: a minisign key has 56 characters"; fi
}

arch_of() {
  case $(uname -m) in
    x86_64 | amd64) say x64 ;;
    aarch64 | arm64) say arm64 ;;
    *) die "$FAILED" "there is no agent for $(uname -m); it runs on x86_64 and aarch64" ;;
  esac
}

# within BYTES COMMAND...: no file that it writes becomes larger than that by more than some blocks: a server may
# send without end, and say nothing of a length.
within() (
  # A write beyond it fails, in place of a core.
  trap '' XFSZ
  ulimit -f "$(($1 / 512 + 2))"
  shift
  "$@"
)

# bring NAME BYTES: a copy of our own, so that what was verified is what is used.
bring() {
  brought=yes
  case $from in
    http://* | https://*)
      if has curl; then
        within "$2" curl -fsSL --retry 2 --connect-timeout 20 --max-time 1800 --max-filesize "$2" \
          -o "$work/$1" "$from/$1" || brought=no
      elif has wget; then
        within "$2" wget -q -T 60 -O "$work/$1" "$from/$1" || brought=no
      else
        die "$FAILED" "neither curl nor wget is here: download the files yourself, and give their folder with --from"
      fi
      [ -f "$work/$1" ] || return 1
      ;;
    *)
      [ -f "$from/$1" ] || return 1
      head -c "$(($2 + 1))" "$from/$1" > "$work/$1" || return 1
      ;;
  esac
  [ "$(wc -c < "$work/$1")" -le "$2" ] || die "$UNTRUSTED" "$from/$1 is larger than $2 bytes"
  [ "$brought" = yes ]
}

sha256_of() { sha256sum "$1" | cut -d ' ' -f 1; }

# Signatures have the form of minisign, and the names that `bellwether release sign` gives them.
bring_signatures() {
  : > "$work/signatures"
  case $from in
    http://* | https://*) set -- manifest.json.release.minisig manifest.json.minisig ;;
    *)
      set --
      for file in "$from"/manifest.json*.minisig; do
        if [ -f "$file" ]; then set -- "$@" "${file##*/}"; fi
      done
      ;;
  esac
  for file in "$@"; do
    if bring "$file" 16384 2> /dev/null; then say "$file" >> "$work/signatures"; fi
  done
  [ -s "$work/signatures" ] || die "$UNTRUSTED" "$from has no signature beside manifest.json; nothing was changed"
}

verify_signature() {
  bring_signatures
  while read -r file; do
    if has minisign; then
      if minisign -Vq -P "$public_key" -m "$work/manifest.json" -x "$work/$file" > /dev/null 2>&1; then return 0; fi
    elif has openssl; then
      if openssl_verify "$work/$file"; then return 0; fi
    else
      die "$UNTRUSTED" "a signature needs minisign or openssl 3 to be verified, and neither is here;" \
        "install one, or give --digest in place of --public-key"
    fi
  done < "$work/signatures"
  die "$UNTRUSTED" "manifest.json of $from is not signed by the key that you gave; nothing was changed"
}

part() { tail -c "+$(($2 + 1))" "$1" | head -c "$3"; }
as_hex() { od -An -v -tx1 | tr -d ' \n'; }

# ed25519 SIGNATURE FILE: whether the key in $work/key.der made it.
ed25519() {
  openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/key.der" -rawin -in "$2" -sigfile "$1" > /dev/null 2>&1
}

# What minisign does, with openssl: the key id must fit, `ED` signs BLAKE2b-512 of the file and `Ed` the file
# itself, and a second signature covers the first one with the trusted comment.
openssl_verify() {
  printf '%s' "$public_key" | base64 -d > "$work/key.raw" 2> /dev/null || return 1
  [ "$(wc -c < "$work/key.raw")" = 42 ] || return 1
  # The head of an Ed25519 key in DER, RFC 8410.
  { printf '\060\052\060\005\006\003\053\145\160\003\041\000' && part "$work/key.raw" 10 32; } > "$work/key.der"
  sed -n 2p "$1" | base64 -d > "$work/sig.raw" 2> /dev/null || return 1
  sed -n 4p "$1" | base64 -d > "$work/comment.sig" 2> /dev/null || return 1
  [ "$(wc -c < "$work/sig.raw")" = 74 ] || return 1
  [ "$(wc -c < "$work/comment.sig")" = 64 ] || return 1
  [ "$(part "$work/sig.raw" 2 8 | as_hex)" = "$(part "$work/key.raw" 2 8 | as_hex)" ] || return 1
  part "$work/sig.raw" 10 64 > "$work/sig"
  case $(part "$work/sig.raw" 0 2 | as_hex) in
    4544) openssl dgst -blake2b512 -binary "$work/manifest.json" > "$work/signed" || return 1 ;;
    4564) cp "$work/manifest.json" "$work/signed" ;;
    *) return 1 ;;
  esac
  ed25519 "$work/sig" "$work/signed" || return 1
  { cat "$work/sig" && sed -n 3p "$1" | sed 's/^trusted comment: //' | tr -d '\r\n'; } > "$work/signed"
  ed25519 "$work/comment.sig" "$work/signed"
}

# The manifest is one line of JSON in one form (sorted keys, no white space), and is read only after it is trusted.
field() { sed -n "s/.*\"$1\":\"\\([^\"\\\\]*\\)\".*/\\1/p"; }

read_manifest() {
  manifest=$work/manifest.json
  grep -q '"product":"bellwether-agent"' "$manifest" || die "$UNTRUSTED" "the manifest is signed, but not for bellwether-agent"
  version=$(sed -n 's/.*,"version":"\([0-9A-Za-z.+-]*\)"}$/\1/p' "$manifest")
  sequence=$(sed -n 's/.*"sequence":\([0-9]*\),.*/\1/p' "$manifest")
  case $version in '' | .* | *..*) die "$UNTRUSTED" "the manifest names no version" ;; esac
  [ -n "$sequence" ] || die "$UNTRUSTED" "the manifest names no sequence"
  expires=$(field expires_at < "$manifest")
  if [ -n "$expires" ] && [ "$(printf '%s\n%s\n' "$expires" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" | sort | head -n 1)" = "$expires" ]; then
    die "$UNTRUSTED" "the release $version expired at $expires; get a newer one, or look at the clock of this machine"
  fi
  sed 's/"content":{[^{}]*},//g' "$manifest" | tr '{' '\n' | tr '}' '\n' | grep '"file":' \
    | grep '"format":"tar.gz"' | grep "\"arch\":\"$arch\"" | grep '"os":"linux"' | grep '"variant":"default"' > "$work/artifact" || true
  [ "$(wc -l < "$work/artifact")" = 1 ] || die "$FAILED" "the release $version has no agent for linux/$arch"
  archive=$(field file < "$work/artifact")
  archive_sha256=$(field sha256 < "$work/artifact")
  case $archive in '' | .* | *[!A-Za-z0-9._+-]*) die "$UNTRUSTED" "the manifest names an archive that is no file name" ;; esac
}

verify() {
  bring manifest.json "$MANIFEST_BYTES_MAX" || die "$FAILED" "there is no manifest.json in $from, or it cannot be read"
  if [ -n "$digest" ] && [ "$(sha256_of "$work/manifest.json")" != "$digest" ]; then
    die "$UNTRUSTED" "manifest.json of $from has the digest $(sha256_of "$work/manifest.json")," \
      "not the one that you gave; nothing was changed"
  fi
  if [ -n "$public_key" ]; then verify_signature; fi
  read_manifest
  bring "$archive" "$ARCHIVE_BYTES_MAX" || die "$FAILED" "$archive is not in $from, or cannot be read"
  if [ "$(sha256_of "$work/$archive")" != "$archive_sha256" ]; then
    die "$UNTRUSTED" "$archive is not the file that was signed: it is damaged or was exchanged; nothing was changed"
  fi
  say "verified bellwether-agent $version ($archive)"
}

# An older release is a real, signed one too: whoever can choose what you download must not choose that.
refuse_older() {
  installed=$agent_root/current/.bellwether.json
  [ -f "$installed" ] || return 0
  before=$(sed -n 's/.*"sequence":\([0-9]*\).*/\1/p' "$installed")
  if [ -n "$before" ] && [ "$sequence" -lt "$before" ]; then
    die "$UNTRUSTED" "a newer release is installed (sequence $before, this one has $sequence); nothing was changed"
  fi
}

# put FILE TO MODE: only when it is different, and never half.
put() {
  if cmp -s "$1" "$2"; then return 0; fi
  step install -m "$3" "$1" "$2.new"
  step mv -f "$2.new" "$2"
  changed=yes
}

folder() { [ -d "$2" ] || step install -d -m "$1" "$2"; }

make_user() {
  passwd=$root/etc/passwd
  if [ -f "$passwd" ] && grep -q '^bellwether:' "$passwd"; then return 0; fi
  if ! has useradd; then
    say "note: useradd is not here; make the user bellwether yourself if a service shall run as it"
    return 0
  fi
  # For services that need a user that stays; the agent itself runs as root. Nobody can log in as it.
  if [ -n "$root" ]; then set -- --prefix "$root"; else set --; fi
  step useradd "$@" --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin bellwether \
    || say "note: the user bellwether could not be made; it is needed only where a service shall run as it"
}

install_files() {
  tar -xzf "$work/$archive" -o -C "$work/tree" || die "$FAILED" "$archive cannot be unpacked; nothing was changed"
  [ -x "$work/tree/bellwether-agent" ] || die "$UNTRUSTED" "$archive holds no program bellwether-agent"
  said=$("$work/tree/bellwether-agent" version < /dev/null) || die "$FAILED" "the agent does not run here; nothing was changed"
  [ "$said" = "$version" ] || die "$UNTRUSTED" "the archive of $version holds the agent $said; nothing was changed"
  make_user
  folder 0755 "$root/opt/bellwether"
  folder 0755 "$agent_root"
  folder 0755 "$agent_root/versions"
  folder 0700 "$config_dir"
  folder 0755 "$root/usr/lib/bellwether"
  folder 0755 "$root/usr/local/bin"
  folder 0755 "$unit_dir"
  place_version
  write_policy
  for unit in "$tree"/systemd/*.service; do
    if [ -f "$unit" ]; then put "$unit" "$unit_dir/${unit##*/}" 0644; fi
  done
  if [ -f "$tree/systemd/rollback.sh" ]; then put "$tree/systemd/rollback.sh" "$root/usr/lib/bellwether/rollback.sh" 0755; fi
  keep_script
  if [ ! -L "$root/usr/local/bin/bellwether-agent" ]; then
    step ln -sfn /opt/bellwether/agent/current/bellwether-agent "$root/usr/local/bin/bellwether-agent"
  fi
}

# For `bellwether-agent uninstall`. Read from standard input there is no file to keep; no reason to restart anything.
keep_script() {
  before=$changed
  case $0 in */install.sh | install.sh) if [ -f "$0" ]; then put "$0" "$root/usr/lib/bellwether/install.sh" 0755; fi ;; esac
  changed=$before
}

# The version whole under another name, on the disk, and then by one rename; `current` by one more.
place_version() {
  tree=$agent_root/versions/$version
  describe_version
  if ! cmp -s "$work/marker" "$tree/.bellwether.json"; then
    step rm -rf "$agent_root/versions/.$version.new"
    step cp -R "$work/tree" "$agent_root/versions/.$version.new"
    step cp "$work/marker" "$agent_root/versions/.$version.new/.bellwether.json"
    step chmod -R u=rwX,go=rX "$agent_root/versions/.$version.new"
    step sync
    step rm -rf "$tree"
    step mv -T "$agent_root/versions/.$version.new" "$tree"
    changed=yes
  fi
  point_current
  if [ "$dry_run" = yes ]; then tree=$work/tree; fi
}

# The agent is a service of its own: it finds the marker of its version, and the state to begin with.
describe_version() {
  channel=$(field channel < "$manifest")
  about="\"channel\":\"$channel\",\"sequence\":$sequence,\"state_schema\":null,\"sha256\":\"$archive_sha256\""
  printf '{"version":"%s",%s}\n' "$version" "$about" > "$work/marker"
  cat > "$work/state.json" << END
{
 "schema": "bellwether.state.v1",
 "service": "agent",
 "product": "bellwether-agent",
 "variant": "default",
 "current": {"version":"$version",$about},
 "previous": null,
 "floors": {"$channel": $sequence},
 "generation": 0,
 "answers": [],
 "job": null,
 "outcome": null,
 "outbox": [],
 "events_made": 0
}
END
}

point_current() {
  before=$(readlink "$agent_root/current" 2> /dev/null || true)
  [ "$before" != "versions/$version" ] || return 0
  # One that runs would write its own state over the new one at its end.
  if [ -n "$before" ] && [ "$service_manager" = systemd ]; then step systemctl stop bellwether-agent.service; fi
  if [ -n "$before" ] && [ -d "$agent_root/$before" ]; then
    step ln -sfn "$before" "$agent_root/previous.new"
    step mv -T "$agent_root/previous.new" "$agent_root/previous"
  fi
  step ln -sfn "versions/$version" "$agent_root/current.new"
  step mv -T "$agent_root/current.new" "$agent_root/current"
  put "$work/state.json" "$agent_root/state.json" 0644
  changed=yes
}

# Whom the installer trusted, the agent trusts for its own upgrades. Without a key it takes none.
write_policy() {
  if [ -e "$agent_root/policy.toml" ] || [ ! -f "$tree/policy.toml" ]; then return 0; fi
  enabled=false signers=
  if [ -n "$public_key" ]; then
    enabled=true
    signers="\\n[[signers]]\\nname = \"release\"\\npublic_key = \"$public_key\""
  fi
  sed -e "s/@ENABLED@/$enabled/" -e "s|@SIGNERS@|$signers|" "$tree/policy.toml" > "$work/policy.toml"
  put "$work/policy.toml" "$agent_root/policy.toml" 0644
}

# Before anything is changed: whether the last step will have what it needs.
check_enrollment() {
  if [ -f "$config_dir/identity.json" ]; then
    known=$(sed -n 's/.*"manager": *"\([^"]*\)".*/\1/p' "$config_dir/identity.json")
    [ "$known" = "$manager" ] || die "$FAILED" "this machine is a node of $known already, not of $manager;" \
      "--uninstall --purge takes it out"
  elif [ "$dry_run" = no ]; then
    [ -n "$token_file" ] || wrong "--token-file is missing: this machine is not enrolled yet"
    if [ "$token_file" != - ] && [ ! -r "$token_file" ]; then die "$FAILED" "$token_file cannot be read"; fi
  fi
}

enroll() {
  if [ -f "$config_dir/identity.json" ]; then
    # One that was cut short behind the enrollment is ended by the next.
    if [ -f "$unfinished" ] && [ "$dry_run" = no ]; then describe_own_service; fi
    say "this machine is enrolled already"
    return 0
  fi
  if [ "$dry_run" = yes ]; then
    say "would: enroll with $manager"
    return 0
  fi
  (umask 077 && read_token > "$work/token")
  [ -s "$work/token" ] || die "$FAILED" "there is no token in $token_file"
  set -- --dir "$config_dir" --manager "$manager" --token-file "$work/token"
  if [ -n "$name" ]; then set -- "$@" --name "$name"; fi
  if [ "$plaintext" = yes ]; then set -- "$@" --allow-plaintext; fi
  while IFS= read -r label; do
    if [ -n "$label" ]; then set -- "$@" --label "$label"; fi
  done <<END
$labels
END
  while IFS= read -r word; do
    if [ -n "$word" ]; then set -- "$@" "$word"; fi
  done <<END
$reach
END
  : > "$unfinished"
  "$agent" enroll "$@" < /dev/null > "$work/said" 2>&1 || explain_enroll
  describe_own_service
  head -n 1 "$work/said"
}

# Whole or not at all, and once. The path is that of the machine on which it will run, also below --root.
describe_own_service() {
  if ! grep -q '^driver = "self"' "$config_dir/agent.toml"; then
    cp -p "$config_dir/agent.toml" "$config_dir/agent.toml.new"
    cat >> "$config_dir/agent.toml.new" << END

# The agent itself: it is upgraded as every service is, by the policy in that folder.
[[services]]
name = "agent"
product = "bellwether-agent"
root = "/opt/bellwether/agent"
driver = "self"
END
    mv -f "$config_dir/agent.toml.new" "$config_dir/agent.toml"
    sync
  fi
  rm -f "$unfinished"
}

read_token() {
  if [ "$token_file" = - ]; then
    head -c 4097
  else
    head -c 4097 "$token_file" || die "$FAILED" "$token_file cannot be read"
  fi
}

explain_enroll() {
  cat "$work/said" >&2
  die "$FAILED" "the agent is installed, but this machine could not be enrolled with $manager (see above);" \
    "mend that and run this again"
}

start() {
  if [ -n "$root" ]; then
    say "the agent is in $root; it starts there with: /opt/bellwether/agent/current/bellwether-agent run"
    return 0
  fi
  if [ "$service_manager" = none ]; then
    say "no service manager was asked: start it with"
    say "  $agent run --dir $config_dir"
    return 0
  fi
  [ -f "$unit_dir/bellwether-agent.service" ] || die "$FAILED" "the release brings no unit for systemd"
  step systemctl daemon-reload
  step systemctl enable --quiet bellwether-agent.service
  if [ "$changed" = yes ]; then
    step systemctl restart bellwether-agent.service || explain_start
  else
    step systemctl start bellwether-agent.service || explain_start
  fi
}

explain_start() {
  journalctl --no-pager -n 20 -u bellwether-agent.service >&2 2> /dev/null || true
  die "$FAILED" "the agent is installed and enrolled, but does not start (see above)"
}

status_field() { "$agent" status --json --dir "$config_dir" 2> /dev/null | sed -n "s/^  \"$1\": \"\\{0,1\\}\\([a-z0-9]*\\).*/\\1/p"; }

# The manager has seen the node when it has welcomed it; the agent notes that.
wait_for_manager() {
  if [ "$dry_run" = yes ] || [ "$wait_secs" = 0 ]; then return 0; fi
  say "waiting until $manager has seen this node"
  waited=0
  while [ "$waited" -lt "$wait_secs" ]; do
    if [ "$(status_field link)" = connected ]; then
      say "done: the manager has seen this node"
      return 0
    fi
    sleep 1
    waited=$((waited + 1))
  done
  explain_unseen
}

explain_unseen() {
  "$agent" status --dir "$config_dir" >&2 || true
  where='its log'
  if [ "$service_manager" = systemd ]; then where='journalctl -u bellwether-agent'; fi
  if [ "$(status_field agent_pid)" = null ]; then
    die "$UNSEEN" "installed and enrolled, but the agent does not run; see $where"
  fi
  if has curl && ! curl -fsS -o /dev/null --max-time 10 "$manager/healthz" 2> "$work/said"; then
    die "$UNSEEN" "installed and enrolled, but $manager does not answer this machine: $(cat "$work/said")." \
      "The agent goes on trying; look at the name, the network and the proxy in between"
  fi
  die "$UNSEEN" "installed and enrolled, and the manager answers, but it has not welcomed this node in $wait_secs seconds." \
    "The agent goes on trying. A proxy in between may not pass WebSockets on, the clock may be wrong by minutes, or" \
    "the node was revoked; see $where"
}

remove() {
  if [ "$service_manager" = systemd ]; then
    step systemctl disable --quiet --now bellwether-agent.service 2> /dev/null || true
    if [ "$purge" = yes ]; then step systemctl stop 'bellwether-svc@*.service' || true; fi
  elif [ -x "$agent" ] && [ "$(status_field agent_pid)" != null ] && [ -n "$(status_field agent_pid)" ]; then
    die "$FAILED" "the agent runs (process $(status_field agent_pid)): stop it first; nothing was changed"
  fi
  for path in "$unit_dir/bellwether-agent.service" "$unit_dir/bellwether-agent-rollback.service" \
    "$root/usr/local/bin/bellwether-agent" "$agent_root"; do
    drop "$path"
  done
  if [ "$purge" = yes ]; then remove_rest; fi
  if [ "$service_manager" = systemd ]; then step systemctl daemon-reload; fi
  if [ "$purge" = no ]; then
    say "the agent is removed. Services in $root/opt/bellwether, their units and $config_dir stay: --purge removes them"
  else
    say "everything is removed. The manager still lists this node: decommission it there"
  fi
}

remove_rest() {
  for path in "$unit_dir"/bellwether-svc*@.service "$root/usr/lib/bellwether" "$root/opt/bellwether" "$config_dir"; do
    drop "$path"
  done
  if [ -f "$root/etc/passwd" ] && grep -q '^bellwether:' "$root/etc/passwd" && has userdel; then
    if [ -n "$root" ]; then set -- --prefix "$root"; else set --; fi
    step userdel "$@" bellwether
  fi
}

drop() { if [ -e "$1" ] || [ -L "$1" ]; then step rm -rf "$1"; fi; }

main() {
  parse "$@"
  check_options
  agent_root=$root/opt/bellwether/agent config_dir=$root/etc/bellwether unit_dir=$root/etc/systemd/system
  agent=$agent_root/current/bellwether-agent unfinished=$config_dir/unfinished
  changed=no
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  trap 'exit 1' HUP INT TERM
  mkdir "$work/tree"
  if [ "$uninstall" = yes ]; then
    remove
    return
  fi
  arch=$(arch_of)
  if [ -z "$from" ]; then from=$(cd "$(dirname "$0")" && pwd); fi
  from=${from%/}
  check_enrollment
  verify
  refuse_older
  install_files
  enroll
  start
  wait_for_manager
}

# The last line: a script that was cut short on its way does nothing.
main "$@"
