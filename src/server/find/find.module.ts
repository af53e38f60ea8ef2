import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { ReleasesModule } from '../releases/index.js';
import { FindController } from './find.controller.js';
import { Find } from './find.js';

/** What a bootstrap installer may ask before there is a node. */
@Module({
  imports: [AccessModule, ReleasesModule],
  controllers: [FindController],
  providers: [Find],
})
export class FindModule {}
