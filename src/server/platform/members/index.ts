export { LEASE_MS, Members } from './members.js';
