export { readIfThere, removeDurably, writeDurably } from './durable-file.js';
export { masterKeyFrom, parseMasterKey, type MasterKey } from './master-key.js';
export { MASTER_KEY_FILE, openSecrets } from './open.js';
export { sealedColumn } from './sealed-column.js';
export { Secrets, type SealedPlaces } from './secrets.js';
