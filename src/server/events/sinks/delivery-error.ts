import type { ErrorCode } from '../../../protocol/index.js';

/** Why a receiver did not take what it was sent. */
export interface DeliveryFailure {
  readonly code: ErrorCode;
  /** For people; holds no credential, and of what the receiver said one short line at most. */
  readonly message: string;
  /** What the receiver asked for, within bounds; null when it said nothing. */
  readonly retryAfterMs: number | null;
  /**
   * The receiver works, and will not take one of these events as it is. With several sent at once nobody
   * knows which: they are then sent one by one.
   */
  readonly isFaultOfEvent: boolean;
}

export const failure = (
  code: ErrorCode,
  message: string,
  more: Partial<Pick<DeliveryFailure, 'retryAfterMs' | 'isFaultOfEvent'>> = {},
): DeliveryFailure => ({ code, message, retryAfterMs: null, isFaultOfEvent: false, ...more });

/** A failure on the way to a receiver, thrown between functions of one kind; never leaves it. */
export class DeliveryError extends Error {
  readonly failure: DeliveryFailure;

  constructor(
    code: ErrorCode,
    message: string,
    more: Partial<Pick<DeliveryFailure, 'retryAfterMs' | 'isFaultOfEvent'>> = {},
  ) {
    super(message);
    this.name = 'DeliveryError';
    this.failure = failure(code, message, more);
  }
}

/** Codes of OpenSSL and Node for a certificate that is not trusted, not of the name, or no TLS at all. */
const TLS_CODE =
  /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO$)/;

/** What any error on a socket becomes. */
export function failureOf(error: unknown, where: string): DeliveryFailure {
  if (error instanceof DeliveryError) return error.failure;
  const { code = '', name = '' } = error as { readonly code?: string; readonly name?: string };
  if (name === 'AbortError' || name === 'TimeoutError' || code === 'ETIMEDOUT') {
    return failure('sink_receiver_timeout', `${where} did not answer in time`);
  }
  if (TLS_CODE.test(code)) {
    return failure('sink_tls_failed', `the certificate of ${where} was not taken: ${code}`);
  }
  return failure(
    'sink_receiver_unreachable',
    `${where} cannot be reached or broke off${code === '' ? '' : `: ${code}`}`,
  );
}

/** Of what a receiver said, one short line that cannot steer a terminal or end a log line. */
export const oneLine = (text: string): string =>
  text
    .replace(/[^\x20-\x7e\u00a1-\ud7ff]+/g, ' ')
    .trim()
    .slice(0, 200);
