import { Module } from '@nestjs/common';
import { AccessModule } from '../access/index.js';
import { EventsModule } from '../events/index.js';
import { FleetModule } from '../fleet/index.js';
import { RolloutsModule } from '../rollouts/index.js';
import { CellsOfRollout } from './cells.js';
import { GroupNumbers } from './group-numbers.js';
import { LookRooms } from './look-rooms.js';
import { Needs } from './needs.js';
import { NodeStory } from './node-story.js';
import { NodeStoryController } from './node-story.controller.js';
import { OverviewController } from './overview.controller.js';

/** What people look at first, put together from what the modules before it know. */
@Module({
  imports: [AccessModule, EventsModule, FleetModule, RolloutsModule],
  controllers: [OverviewController, NodeStoryController],
  providers: [CellsOfRollout, GroupNumbers, LookRooms, Needs, NodeStory],
})
export class OverviewModule {}
