/**
 * The closed list of error codes of both sides (DESIGN 3.10). Each has the HTTP status used when
 * an API answer carries it (node-side codes never do: null), a severity, its meaning, and what to
 * do. Docs and UI texts come from here; a test checks that every code thrown has its row.
 */
export type Severity = 'info' | 'warning' | 'critical';

interface ErrorRow {
  readonly http: number | null;
  readonly severity: Severity;
  readonly meaning: string;
  readonly fix: string;
}

const row = (http: number | null, severity: Severity, meaning: string, fix: string): ErrorRow => ({
  http,
  severity,
  meaning,
  fix,
});

export const ERRORS = {
  // -- anybody ------------------------------------------------------------------------------
  internal_error: row(
    500,
    'critical',
    'The manager met a mistake of its own.',
    'Look for the request id in the manager log and report it.',
  ),
  invalid_request: row(
    400,
    'warning',
    'The request does not fit its schema.',
    'Mend the fields named in `problems`.',
  ),
  payload_too_large: row(
    413,
    'warning',
    'The body is larger than this route reads.',
    'Send less; the limit is in the message.',
  ),
  request_too_slow: row(
    408,
    'warning',
    'The body of the request came too slowly.',
    'Try again on a better line; nothing was changed.',
  ),
  not_found: row(
    404,
    'info',
    'No such thing, or not one you may see.',
    'Check the id and your groups.',
  ),
  conflict: row(
    409,
    'warning',
    'The thing exists already or changed meanwhile.',
    'Read it again and repeat.',
  ),
  rate_limited: row(429, 'warning', 'Too many requests.', 'Wait as long as Retry-After says.'),
  unavailable: row(
    503,
    'warning',
    'The manager is starting, stopping or without its database.',
    'Try again; nothing was changed.',
  ),
  config_invalid: row(
    null,
    'critical',
    'The configuration is wrong.',
    'Mend every line listed; nothing was started.',
  ),
  master_key_wrong: row(
    null,
    'critical',
    'Secrets lie under a master key that was not given.',
    'Give back the key that the message names; nothing was started.',
  ),
  secret_unreadable: row(
    503,
    'critical',
    'A sealed secret cannot be opened with the master keys that the manager has.',
    'Restore the row or the key from a backup, or set the secret again.',
  ),
  // -- access -------------------------------------------------------------------------------
  unauthenticated: row(
    401,
    'warning',
    'No valid credential was given.',
    'Send `Authorization: Bearer <token>`.',
  ),
  insufficient_role: row(
    403,
    'warning',
    'Your role does not allow this here.',
    'Ask an admin of the group; `required_role` says which role.',
  ),
  token_exceeds_maker: row(
    403,
    'warning',
    'The token would be allowed more than whoever makes it.',
    'Leave out what you may not do yourself, or ask somebody who may.',
  ),
  quota_exceeded: row(
    409,
    'warning',
    'The group, or one above it, holds as many nodes as it may.',
    'Ask for a larger quota, or revoke nodes; `quota`, `current` and `limit` say which and how many.',
  ),
  group_not_empty: row(
    409,
    'warning',
    'The group still holds nodes or groups.',
    'Transfer or revoke its nodes and delete the groups below it first.',
  ),
  setup_done: row(409, 'warning', 'The first admin exists already.', 'Ask an admin for a token.'),
  setup_token_invalid: row(
    401,
    'warning',
    'The set-up token is wrong, used or expired.',
    'Restart the manager without an admin to get a new one.',
  ),
  // -- people -------------------------------------------------------------------------------
  sign_in_failed: row(
    401,
    'warning',
    'Login, password or code is wrong, or the user may not sign in.',
    'Try again; an admin can say whether the user is disabled.',
  ),
  second_factor_required: row(
    401,
    'info',
    'The password is right, and this user has a second factor.',
    'Send the same again with `code`.',
  ),
  second_factor_wrong: row(
    401,
    'warning',
    'The code is wrong, or was used before.',
    'Wait for the next code of the authenticator; check its clock.',
  ),
  second_factor_missing: row(
    403,
    'warning',
    'People of this role have to have a second factor here, and this one has none.',
    'Set one up (`POST /api/v1/account/second-factor`); the session can do nothing else until then.',
  ),
  password_weak: row(
    400,
    'warning',
    'The password would be guessed.',
    'Take a longer one, such as four words of no saying.',
  ),
  csrf_invalid: row(
    403,
    'warning',
    'The request did not prove that it comes from our own page.',
    'Send `X-Bellwether-CSRF` as the session told it, from the own origin.',
  ),
  person_required: row(
    403,
    'warning',
    'This is for people who are signed in; an API token is nobody.',
    'Sign in, and send the cookie or the token of the session.',
  ),
  invitation_invalid: row(
    401,
    'warning',
    'The invitation is wrong, used, revoked or expired.',
    'Ask for a new one.',
  ),
  last_super_admin: row(
    409,
    'warning',
    'Nobody would be left who could administer everything.',
    'Make another super admin first.',
  ),
  sso_not_configured: row(
    409,
    'info',
    'Single sign-on is not set up here.',
    'Sign in with a password, or set BELLWETHER_OIDC_FILE.',
  ),
  sso_failed: row(
    502,
    'warning',
    'The sign-in at the OpenID provider did not come to an end.',
    'Start again; the manager log says more under the request id.',
  ),
  sso_no_access: row(
    403,
    'warning',
    'The provider knows you, and no group of yours gives access here.',
    'Ask for a group that is mapped; `bellwether` never guesses one.',
  ),
  // -- enrollment ---------------------------------------------------------------------------
  enrollment_token_unknown: row(
    401,
    'warning',
    'The enrollment token is not known.',
    'Copy the whole token, or make a new one.',
  ),
  enrollment_token_expired: row(
    401,
    'warning',
    'The enrollment token is older than 15 minutes.',
    'Make a new one.',
  ),
  enrollment_token_used: row(
    401,
    'warning',
    'The enrollment token was used already.',
    'Make a new one; a token enrolls one node.',
  ),
  enrollment_proof_invalid: row(
    401,
    'warning',
    'The node did not prove that it holds its key.',
    'Check that the manager URL is the one the manager publishes.',
  ),
  // -- link ---------------------------------------------------------------------------------
  jwt_invalid: row(
    401,
    'warning',
    'The node token is malformed, wrongly signed or by an unknown or revoked node.',
    'Enroll the node again.',
  ),
  jwt_expired: row(
    401,
    'warning',
    'The node token is expired or lives longer than 120 s.',
    'Set the clock of the node.',
  ),
  jwt_wrong_audience: row(
    401,
    'warning',
    'The node token was made for another manager address.',
    'Use the address that the manager publishes (public_url).',
  ),
  jwt_replayed: row(
    401,
    'critical',
    'The node token was used before.',
    'If it was not a retry by a proxy, look for a copy of the node key.',
  ),
  poll_unknown: row(
    409,
    'info',
    'The manager knows no such poll of this node: it was restarted, or another one took over.',
    'None; the node begins a new one.',
  ),
  poll_out_of_order: row(
    409,
    'warning',
    'A request of a poll left out messages.',
    'None; the node begins a new poll. If it comes often, look at proxies that drop requests.',
  ),
  manager_pin_mismatch: row(
    null,
    'critical',
    'The manager, or somebody in between, has another key than the pinned one.',
    'Find out who answers there; only after a planned change of keys, set `manager_pins` anew.',
  ),
  frame_not_json: row(null, 'warning', 'A frame was not a JSON object.', 'Update the agent.'),
  frame_binary: row(
    null,
    'warning',
    'A frame was binary; the link speaks text.',
    'Update the agent.',
  ),
  frame_too_large: row(
    null,
    'warning',
    'A frame was larger than the limit.',
    'Send smaller batches.',
  ),
  message_invalid: row(
    null,
    'warning',
    'A message does not fit its schema.',
    'Update the agent; the message says which field.',
  ),
  message_unknown: row(
    null,
    'info',
    'A message of an unknown type was ignored.',
    'Update the older side.',
  ),
  message_out_of_order: row(
    null,
    'warning',
    'A message came before `hello`, or `hello` came twice.',
    'Update the agent.',
  ),
  message_rate_exceeded: row(
    null,
    'warning',
    'The node sent more messages than the link allows.',
    'Slow down; the agent reconnects by itself.',
  ),
  hello_timeout: row(
    null,
    'warning',
    'No `hello` came in time after connecting.',
    'Look at the network between node and manager.',
  ),
  heartbeat_lost: row(
    null,
    'warning',
    'Nothing was heard from the node for three heartbeats.',
    'Look at the node and the network.',
  ),
  protocol_unsupported: row(
    null,
    'warning',
    'The node speaks a protocol version that this manager does not.',
    'Update the agent or the manager.',
  ),
  events_out_of_order: row(
    null,
    'warning',
    'Event sequence numbers were not the next ones.',
    'None; the node sends again from the acknowledged number.',
  ),
  events_lost: row(
    null,
    'critical',
    'The node had to drop events before they were delivered.',
    'Look at the disk of the node; the range is in the details.',
  ),
  events_too_fast: row(
    null,
    'warning',
    'A node sent more batches of events than may wait for it.',
    'None; the node sends again from the acknowledged number, later.',
  ),
  events_pruned: row(
    410,
    'warning',
    'The events after this id were removed by retention.',
    'Go on from `oldest` in the context, and note the gap; keep events longer, or read them sooner.',
  ),
  events_verification_failed: row(
    null,
    'critical',
    'The export of events is not complete, or was changed.',
    'Export again; when it stays so, keep both files: events were removed or changed.',
  ),
  // -- streams of events --------------------------------------------------------------------
  too_many_streams: row(
    429,
    'warning',
    'This credential, or the manager, has as many open streams as it may.',
    'Close one that is not read; one reader needs one stream.',
  ),
  upgrade_required: row(
    426,
    'info',
    'This address speaks WebSocket only.',
    'Open it as a WebSocket with subprotocol `bellwether.events.v1`.',
  ),
  stream_too_slow: row(
    null,
    'warning',
    'The reader of a stream did not read for too long.',
    'Connect again after `resume_after`; nothing is lost.',
  ),
  stream_access_ended: row(
    null,
    'warning',
    'The credential of a stream ended, or may see no events any more.',
    'Connect with a credential that works, after `resume_after`.',
  ),
  stream_message_invalid: row(
    null,
    'warning',
    'A message of a reader of events does not fit its schema or its turn.',
    'Send `start` once, then `credit`; see docs/events.md.',
  ),
  // -- commands -----------------------------------------------------------------------------
  command_unknown_action: row(
    null,
    'warning',
    'The node does not know this action.',
    'Update the agent.',
  ),
  command_invalid: row(
    null,
    'warning',
    'The command does not fit its schema.',
    'Update the older side.',
  ),
  command_stale: row(null, 'info', 'A newer command exists; this one is refused.', 'None.'),
  command_expired: row(null, 'warning', 'The command is past its expiry.', 'Start a new rollout.'),
  command_unknown_service: row(
    null,
    'warning',
    'The node has no such service.',
    'Check the product of the release and the services of the node.',
  ),
  // -- upgrade, on the node (the codes of the field, kept) ----------------------------------
  upgrade_disabled: row(
    null,
    'warning',
    'Upgrades are switched off on this node.',
    'Set `enabled = true` in the local policy, or run `bellwether-agent enable` there.',
  ),
  upgrade_channel_not_allowed: row(
    null,
    'warning',
    'The local policy does not allow the channel.',
    'Add it to `allowed_channels` in the local policy.',
  ),
  upgrade_version_invalid: row(
    null,
    'warning',
    'The version is not a semantic version.',
    'Release with a version such as 1.4.2.',
  ),
  upgrade_version_too_old: row(
    null,
    'warning',
    'The version is below min_version or beyond the rollback grace.',
    'Choose a newer version, or widen the local policy.',
  ),
  upgrade_sequence_too_old: row(
    null,
    'warning',
    'The release is older than one this node already trusted.',
    'Publish it anew with a higher sequence.',
  ),
  upgrade_index_too_old: row(
    null,
    'critical',
    'The channel index is older than one that this node has seen.',
    'Upload the newest index; if nobody took it back, somebody replays old ones.',
  ),
  upgrade_index_expired: row(
    null,
    'warning',
    'The channel index has expired, and the local policy wants a fresh one.',
    'Sign and announce a new index, or set the clock of the node right.',
  ),
  upgrade_index_missing: row(
    null,
    'warning',
    'The local policy wants a channel index, and none came.',
    'Sign and announce an index of the channel.',
  ),
  upgrade_index_mismatch: row(
    null,
    'critical',
    'The channel index names another manifest for this version.',
    'Find out which of the two your pipeline signed.',
  ),
  upgrade_revoked: row(
    null,
    'critical',
    'The artifact is on the kill list of its product.',
    'Install a version that is not revoked.',
  ),
  upgrade_download_slow: row(
    null,
    'warning',
    'Every source sent more slowly than the agent puts up with.',
    'Use a source nearer to the node, or mend the line.',
  ),
  upgrade_length_mismatch: row(
    null,
    'warning',
    'A source announced another length than the signed manifest.',
    'Upload the artifact again to that source.',
  ),
  upgrade_release_expired: row(
    null,
    'warning',
    'The signed manifest has expired.',
    'Release again, or set the clock of the node right.',
  ),
  upgrade_hop_not_allowed: row(
    null,
    'warning',
    'The release cannot be reached from the installed version in one step.',
    'Upgrade to the version named in the message first.',
  ),
  upgrade_state_schema_mismatch: row(
    null,
    'warning',
    'The release cannot read the state that the installed version writes.',
    'Go by a version that reads both.',
  ),
  upgrade_hook_failed: row(
    null,
    'warning',
    'A hook of this node failed, took too long, or may not be run.',
    'Look at `details.output` of the event and at the program; the message says which hook.',
  ),
  upgrade_set_failed: row(
    null,
    'warning',
    'Another service of the same set did not make it, so this one was not swapped, or was turned back.',
    'Look at `details.cause_service` and `details.cause_code` of the event.',
  ),
  upgrade_dry_run: row(
    null,
    'info',
    'The local policy says `dry_run`: the release passed every check, was staged, and was not swapped in.',
    'None; take `dry_run` out of the local policy to have it installed.',
  ),
  upgrade_in_progress: row(
    null,
    'warning',
    'Another upgrade of this service is running.',
    'Wait for it, or withdraw it.',
  ),
  upgrade_policy_invalid: row(
    null,
    'critical',
    'The local policy cannot be read; everything is refused.',
    'Mend the file; `bellwether-agent policy check` says where.',
  ),
  policy_update_invalid: row(
    null,
    'critical',
    'The signed policy update is not for this service, or its policy cannot be used.',
    'Make it anew, from the policy that is meant.',
  ),
  policy_update_too_old: row(
    null,
    'critical',
    'The policy update has no higher sequence than the policy that is in force.',
    'Sign one with a higher sequence; if nobody mistook it, somebody replays old ones.',
  ),
  policy_update_expired: row(
    null,
    'warning',
    'The signed policy update has expired.',
    'Sign it anew, or set the clock of the node right.',
  ),
  upgrade_state_invalid: row(
    null,
    'critical',
    'state.json was damaged and was rebuilt from the installed links.',
    'Look at the disk; the damaged file was kept beside it.',
  ),
  upgrade_url_invalid: row(
    null,
    'warning',
    'A source address is not allowed.',
    'Use the manager or a source of the local policy.',
  ),
  upgrade_manifest_invalid: row(
    422,
    'warning',
    'The manifest is malformed or is not the one asked for.',
    'Release again; the message says which field.',
  ),
  upgrade_signature_invalid: row(
    422,
    'critical',
    'No allowed signer signed these bytes.',
    'Do not install. Find out who made this release.',
  ),
  upgrade_identity_not_allowed: row(
    null,
    'critical',
    'The signature is good, its signer is not in the local policy.',
    'Do not install, or add the signer to the local policy.',
  ),
  upgrade_rekor_invalid: row(
    422,
    'critical',
    'The signature does not stand in a transparency log that the trusted root names.',
    'Do not install. Sign again with an entry in the log, or look who made this bundle.',
  ),
  upgrade_trusted_root_invalid: row(
    null,
    'critical',
    'The policy lists Sigstore signers, and `trusted_root.json` beside it cannot be used.',
    'Put a whole one there; `bellwether-agent policy check` says what is wrong.',
  ),
  upgrade_arch_mismatch: row(
    null,
    'warning',
    'The release has no artifact for this os and architecture.',
    'Add one to the release.',
  ),
  upgrade_variant_mismatch: row(
    null,
    'warning',
    'The release has no artifact for this variant.',
    'Add one to the release.',
  ),
  upgrade_checksum_mismatch: row(
    null,
    'critical',
    'The artifact is not the one in the signed manifest.',
    'Look at mirrors and disks between the pipeline and the node.',
  ),
  upgrade_artifact_too_large: row(
    null,
    'warning',
    'The artifact is larger than announced or than the local policy allows.',
    'Raise `max_artifact_bytes`, or release smaller.',
  ),
  upgrade_network_error: row(
    null,
    'warning',
    'The download failed after retries.',
    'Look at the network; the rollout can be resumed.',
  ),
  upgrade_disk_full: row(
    null,
    'warning',
    'Less than three times the artifact is free.',
    'Free space on the node and retry.',
  ),
  upgrade_extract_failed: row(
    null,
    'warning',
    'The archive holds something that must not be unpacked, or is damaged.',
    'Pack it again with `bellwether release pack`.',
  ),
  upgrade_swap_failed: row(
    null,
    'critical',
    'The link `current` could not be moved.',
    'Look at the install root; the old version runs.',
  ),
  upgrade_unhealthy: row(
    null,
    'critical',
    'The new version was not healthy within its window.',
    'Look at the log of the service; the old version runs again.',
  ),
  upgrade_crash_loop: row(
    null,
    'critical',
    'The new version ended more often than max_boot_attempts.',
    'Look at the log of the service; the old version runs again.',
  ),
  upgrade_rollback_failed: row(
    null,
    'critical',
    'The old version could not be brought back.',
    'Go to the node.',
  ),
  upgrade_pinned: row(
    null,
    'warning',
    'The service is pinned to another version by hand on this node.',
    'If it may move, run `bellwether-agent unpin` on the node.',
  ),
  upgrade_rolled_back_by_hand: row(
    null,
    'warning',
    'A person on the node turned the version back.',
    'Ask who did it and why; pin the service there if it shall stay.',
  ),
  upgrade_withdrawn: row(null, 'info', 'The command was withdrawn before the swap.', 'None.'),
  upgrade_permit_denied: row(
    null,
    'info',
    'The manager does not let this node swap now.',
    'None; the node asks again.',
  ),
  // -- commands on the node ---------------------------------------------------------------
  agent_not_running: row(
    null,
    'warning',
    'No agent runs on this directory, or it does not answer.',
    'Start it (`systemctl start bellwether-agent`), look at its log, and repeat.',
  ),
  nothing_to_apply: row(
    null,
    'info',
    'No version waits for the hand of a person.',
    'None; `bellwether-agent status` says what goes on.',
  ),
  nothing_to_go_back_to: row(
    null,
    'warning',
    'There is no version before, or it cannot be used.',
    'Start a rollout to a version that works.',
  ),
  // -- releases -----------------------------------------------------------------------------
  release_exists: row(
    409,
    'warning',
    'This product and version was published before.',
    'Releases never change: take a new version.',
  ),
  release_document_invalid: row(
    400,
    'warning',
    'A channel index, downgrade permit or policy update is malformed or another one than asked for.',
    'Make and sign it anew.',
  ),
  release_document_superseded: row(
    409,
    'warning',
    'A document of the same or a higher sequence is there already.',
    'Take a higher sequence.',
  ),
  release_artifact_missing: row(
    409,
    'warning',
    'An artifact of the manifest was not uploaded.',
    'Upload every artifact first.',
  ),
  release_digest_mismatch: row(
    422,
    'critical',
    'The uploaded bytes do not have the digest of their address.',
    'Upload again.',
  ),
  release_yanked: row(
    409,
    'warning',
    'The release was yanked: nobody is brought to it any more.',
    'Take another version; `release show` says why it was yanked.',
  ),
  release_not_wider: row(
    409,
    'warning',
    'The version is known already, and this is no promotion of it.',
    'Promote to a wider channel, with a higher sequence and the same artifacts.',
  ),
  binary_not_staged: row(
    409,
    'warning',
    'An artifact that nodes in scope need is not in the store of the manager.',
    'Publish the release again: what is missing is uploaded.',
  ),
  blob_store_full: row(
    507,
    'critical',
    'The artifact store has no room; nothing was stored.',
    'Make room: see `release collect`, or enlarge the store.',
  ),
  blob_store_read_only: row(
    503,
    'critical',
    'The artifact store does not let the manager write.',
    'Look at the permissions of the store; what is there is still served.',
  ),
  blob_store_unavailable: row(
    503,
    'critical',
    'The artifact store does not answer as it should.',
    'Look at the store and at the way to it; try again.',
  ),
  upload_offset_mismatch: row(
    409,
    'info',
    'The upload goes on from another byte.',
    'Go on from `offset` of the context.',
  ),
  downloads_busy: row(
    503,
    'info',
    'As many nodes download as may at once.',
    'Wait as long as Retry-After says.',
  ),
  release_source_failed: row(
    502,
    'warning',
    'A source of releases could not be read.',
    'Look at the last result of the source; it is tried again by itself.',
  ),
  release_not_for_scope: row(
    409,
    'warning',
    'No node in scope can take this release.',
    'Check the product, and os, arch and variant of the artifacts.',
  ),
  release_pack_refused: row(
    null,
    'warning',
    'A file or folder cannot be packed.',
    'Take out what is named: only files, folders and links inside the tree can be packed.',
  ),
  signing_key_invalid: row(
    null,
    'critical',
    'The file is not a secret key that can be used.',
    'Give a key made by `bellwether release keygen` or by minisign.',
  ),
  signing_key_password_wrong: row(
    null,
    'warning',
    'The password does not open the secret key.',
    'Give the password that the key was made with.',
  ),
  // -- rollouts -----------------------------------------------------------------------------
  rollout_empty: row(
    409,
    'warning',
    'The scope holds no node that could be upgraded.',
    'Check the scope; `skipped` says why for each node.',
  ),
  rollout_node_busy: row(
    409,
    'warning',
    'A node is in another active rollout for this service.',
    'Finish or cancel that rollout first.',
  ),
  rollout_plan_invalid: row(
    400,
    'warning',
    'The plan of the rollout does not fit together.',
    'Mend every line in `problems`.',
  ),
  rollout_wave_unknown: row(
    404,
    'warning',
    'The rollout has no such wave.',
    'Waves are counted from 0; look at the rollout.',
  ),
  upgrade_already_pending: row(
    409,
    'warning',
    'An upgrade of this node is under way.',
    'Wait for it, or cancel the rollout that holds the node.',
  ),
  upgrade_version_changed: row(
    409,
    'warning',
    'The node does not run the version that you expected.',
    'Look at the node again, and decide anew.',
  ),
  node_offline: row(
    409,
    'warning',
    'The node is offline and the upgrade must not wait for it.',
    'Bring the node back, or leave out `only_online`.',
  ),
  upgrades_disabled: row(
    409,
    'warning',
    'Upgrades are switched off for this group.',
    'Ask who set the switch; `groups switch` shows the note.',
  ),
  rollout_wrong_state: row(
    409,
    'warning',
    'The verb does not fit the state of the rollout.',
    '`status` and `allowed` say what fits.',
  ),
  // -- audit --------------------------------------------------------------------------------
  audit_checkpoint_invalid: row(
    null,
    'critical',
    'A checkpoint of the audit log is not signed by the key that is trusted, or cannot be read.',
    'Compare the key with `bellwether audit key`; keep both checkpoints.',
  ),
  audit_history_forked: row(
    null,
    'critical',
    'The audit log was rewritten: two checkpoints do not tell one history.',
    'Keep both checkpoints, they are the proof; treat the manager as compromised.',
  ),
  audit_proof_missing: row(
    null,
    'warning',
    'Whether two checkpoints tell one history cannot be said without a proof.',
    'Fetch it with `bellwether audit consistency`, or ask the manager again.',
  ),
  audit_verification_failed: row(
    null,
    'critical',
    'The export is not what the checkpoint was signed for.',
    'Export again; when it stays so, entries were changed: keep export and checkpoint.',
  ),
  // -- command line -------------------------------------------------------------------------
  cli_usage: row(
    null,
    'info',
    'The command line is not understood.',
    'Look at `bellwether help`, or at the command with `--help`.',
  ),
  local_file_failed: row(
    null,
    'warning',
    'A file on this machine cannot be read or written.',
    'Check the path, its permissions and the free space.',
  ),
  manager_unreachable: row(
    null,
    'warning',
    'The manager did not answer.',
    'Check the address and the network; nothing is known to have changed.',
  ),
  manager_answer_invalid: row(
    null,
    'warning',
    'What answered does not speak like a manager of this version.',
    'Check the address; update the older side.',
  ),
  rollout_incomplete: row(
    null,
    'warning',
    'The rollout stopped before it was complete.',
    'Look at its reason and its nodes; resume or cancel it.',
  ),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

export const ERROR_CODES = Object.keys(ERRORS) as [ErrorCode, ...ErrorCode[]];

export const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);
