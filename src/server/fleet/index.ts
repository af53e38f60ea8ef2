export { FleetModule } from './fleet.module.js';
export { Nodes, type FleetNode, type NodeStatus } from './nodes.store.js';
