import { freshState, type InstalledVersion, type UpdateState } from '../../../core/update/index.js';
import { SimSpool } from './sim-spool.js';

/** What `errno` says of a disk that has no room. */
export class DiskFull extends Error {
  readonly code = 'ENOSPC';
  constructor() {
    super('no space left on device');
  }
}

/** The agent's process, or the machine, ended here. */
export class NodeCrashed extends Error {
  constructor() {
    super('the node has crashed');
  }
}

/** All of a node that outlives a crash. */
export class NodeDisk {
  readonly spool: SimSpool;
  /** What the links `current` and `previous` point to. */
  current: string | null;
  previous: string | null = null;
  isFull = false;
  #state: UpdateState;

  constructor(spoolId: string, installed: InstalledVersion) {
    this.spool = new SimSpool(spoolId);
    this.current = installed.version;
    const names = { service: 'edge', product: 'edge', variant: 'default' };
    this.#state = { ...freshState(names), current: installed };
  }

  get state(): UpdateState {
    return this.#state;
  }

  save(state: UpdateState): void {
    if (this.isFull) throw new DiskFull();
    this.#state = state;
  }
}
