import { z } from 'zod';
import { parseVerifier } from '../core/audit/index.js';

/** A verifier key of the log, as it may stand in `agent.toml`. */
export const AuditKeyText = z
  .string()
  .max(400)
  .refine((line) => parseVerifier(line).ok, 'give the line that `bellwether audit key` prints');
