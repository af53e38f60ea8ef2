import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { AuditModule } from '../audit/index.js';
import { EventsModule, Ingest } from '../events/index.js';
import { FleetModule } from '../fleet/index.js';
import { AdmissionRefusals } from './admission-refusals.js';
import { EnrollmentController, EnrollmentTokensController } from './enrollment.controller.js';
import { Enrollment } from './enrollment.js';
import { ClusterEnrollment } from './cluster-enrollment.js';
import { ClusterTokensController } from './cluster-tokens.controller.js';
import { ClusterTokens } from './cluster-tokens.store.js';
import { EnrollmentTokens } from './enrollment.store.js';
import { EnrollmentGate } from './gate.js';
import { GoneNodes } from './gone-nodes.js';
import { EnrollmentRecords } from './records.js';

/** How machines become nodes. */
@Module({
  imports: [AuditModule, AccessModule, EventsModule, FleetModule],
  controllers: [EnrollmentTokensController, ClusterTokensController, EnrollmentController],
  providers: [
    AdmissionRefusals,
    ClusterEnrollment,
    ClusterTokens,
    Enrollment,
    EnrollmentGate,
    EnrollmentRecords,
    EnrollmentTokens,
    GoneNodes,
  ],
  exports: [GoneNodes],
})
export class EnrollmentModule {
  constructor(ingest: Ingest, refusals: AdmissionRefusals) {
    ingest.addObserver(refusals);
  }
}
