import { Module } from '@nestjs/common';
import { AuditLog } from './audit-log.js';

/** The record of deeds. Reading it over HTTP is a question of access, and lives there. */
@Module({ providers: [AuditLog], exports: [AuditLog] })
export class AuditModule {}
