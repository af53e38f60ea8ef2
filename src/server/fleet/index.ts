export { HealthBook, type ServicesObserver } from './health-book.js';
export { FleetModule } from './fleet.module.js';
export { LiveNodes } from './live-nodes.js';
export { Quotas } from './quotas.js';
export { Transfers, type NodeHolds } from './transfers.js';
export { Nodes, type FleetNode, type NodeStatus } from './nodes.store.js';
