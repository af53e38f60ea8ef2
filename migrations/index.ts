import { CreateAudit1763712000000 } from './1763712000000-create-audit.js';
import { CreateAccess1763712100000 } from './1763712100000-create-access.js';
import { CreateNodes1763712200000 } from './1763712200000-create-nodes.js';
import { CreateEnrollment1763712250000 } from './1763712250000-create-enrollment.js';
import { CreateEvents1763712300000 } from './1763712300000-create-events.js';
import { CreateReleases1763712350000 } from './1763712350000-create-releases.js';
import { CreateRollouts1763712400000 } from './1763712400000-create-rollouts.js';
import { SealAudit1763712600000 } from './1763712600000-seal-audit.js';
import { CreatePeople1763712710000 } from './1763712710000-create-people.js';
import { ScopeTokens1763712720000 } from './1763712720000-scope-tokens.js';
import { ReshapeGroups1763712730000 } from './1763712730000-reshape-groups.js';
import { IndexEvents1763712740000 } from './1763712740000-index-events.js';
import { CreateSinks1763712750000 } from './1763712750000-create-sinks.js';
import { CreateMasterKeys1763712760000 } from './1763712760000-create-master-keys.js';
import { NameMakersOfTokens1763712770000 } from './1763712770000-name-makers-of-tokens.js';
import { AddNodeFacts1763712900000 } from './1763712900000-add-node-facts.js';
import { CreateIdempotency1763712910000 } from './1763712910000-create-idempotency.js';
import { CreateClusterTokens1763712935000 } from './1763712935000-create-cluster-tokens.js';
import { CreateManagers1763713100000 } from './1763713100000-create-managers.js';
import { CreatePlans1763713250000 } from './1763713250000-create-plans.js';
import { CreateAdmissionRefusals1763713300000 } from './1763713300000-create-admission-refusals.js';

/** Every migration, oldest first. The same classes run on SQLite and PostgreSQL. */
export const MIGRATIONS = [
  CreateAudit1763712000000,
  CreateAccess1763712100000,
  CreateNodes1763712200000,
  CreateEnrollment1763712250000,
  CreateEvents1763712300000,
  CreateReleases1763712350000,
  CreateRollouts1763712400000,
  SealAudit1763712600000,
  CreatePeople1763712710000,
  ScopeTokens1763712720000,
  ReshapeGroups1763712730000,
  IndexEvents1763712740000,
  CreateSinks1763712750000,
  CreateMasterKeys1763712760000,
  NameMakersOfTokens1763712770000,
  AddNodeFacts1763712900000,
  CreateIdempotency1763712910000,
  CreateClusterTokens1763712935000,
  CreateManagers1763713100000,
  CreatePlans1763713250000,
  CreateAdmissionRefusals1763713300000,
];
