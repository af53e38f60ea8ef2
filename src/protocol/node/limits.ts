/**
 * Every number of the node protocol, with where it comes from. `README.md` beside `src/protocol`
 * is the normative text; a test keeps the two in step.
 */
export const SUBPROTOCOL = 'bellwether.node.v1';
export const PROTOCOL_VERSION = 1;
export const LINK_PATH = '/node/v1/link';
export const ENROLL_PATH = '/node/v1/enroll';
export const BLOB_PATH = '/node/v1/blobs/sha256';
export const RELEASE_PATH = '/node/v1/releases';
export const CHANNEL_PATH = '/node/v1/channels';
export const DOWNGRADE_PATH = '/node/v1/downgrades';
/** Which releases let workloads run an image: `…/<product>/<64 hex digits>`. */
export const IMAGES_PATH = '/node/v1/images';
/** The link without a socket, and what simpler nodes and installers ask. */
export const SYNC_PATH = '/node/v1/sync';
/** Where a node says that it leaves for good. */
export const DECOMMISSION_PATH = '/node/v1/decommission';
export const HEARTBEAT_PATH = '/node/v1/heartbeat';
export const FIND_PATH = '/node/v1/find';

/** DESIGN 5. A hello with 64 services and their labels needs about 20 KiB. */
export const NODE_FRAME_BYTES_MAX = 64 * 1024;
/** A welcome with every open command of a node stays far below. */
export const MANAGER_FRAME_BYTES_MAX = 256 * 1024;
export const EVENTS_PER_BATCH_MAX = 100;
export const EVENT_DETAILS_BYTES_MAX = 8 * 1024;
export const SERVICES_PER_NODE_MAX = 64;

/** DESIGN 5: the first frame is `hello`; 10 s is what the closest peer allows as well. */
export const HELLO_TIMEOUT_MS = 10_000;
/** DESIGN 5; the manager may change it in `welcome`. */
export const HEARTBEAT_INTERVAL_MS = 15_000;
/** A node that missed three heartbeats is taken for gone. */
export const HEARTBEATS_MISSED_MAX = 3;
/** An `ack` or `reject` follows a command within this time. */
export const ACK_TIMEOUT_MS = 10_000;

/** Token bucket of a socket: a burst of 200 messages, refilled with 50 a second. */
export const MESSAGE_BURST_MAX = 200;
export const MESSAGE_REFILL_PER_SECOND = 50;

/** RFC 7523 style node token (DESIGN 3.6). */
export const JWT_LIFETIME_MS_MAX = 120_000;
/** Clocks of managers and nodes may differ by this much; `iat` in the future beyond it fails. */
export const JWT_CLOCK_SKEW_MS = 30_000;

/** The permission to swap lives this long; so Pause is quiet after it (DESIGN 3.8). */
export const PERMIT_LEASE_MS = 10_000;

export const RECONNECT_BASE_MS = 1_000;
export const RECONNECT_MAX_MS = 60_000;

/** A request that waits ends below the 30 s after which the strictest of common proxies cut one. */
export const SYNC_WAIT_MS_MAX = 25_000;
/** Two of the largest frames of a node; so a request always has room for the next one. */
export const SYNC_REQUEST_BYTES_MAX = 2 * NODE_FRAME_BYTES_MAX;
/** Two of the largest frames of the manager. */
export const SYNC_ANSWER_BYTES_MAX = 2 * MANAGER_FRAME_BYTES_MAX;
export const SYNC_MESSAGES_MAX = 100;
/** An honest node asks at most twenty times a second; the burst is for coming back. */
export const SYNC_BURST_MAX = 60;
export const SYNC_REFILL_PER_SECOND = 25;
