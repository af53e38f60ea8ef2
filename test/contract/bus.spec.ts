import { LocalBus } from '../../src/server/platform/bus/index.js';
import { RedisBus } from '../../src/server/platform/bus/redis.js';
import { silentLog } from '../support/databases.js';
import { freshPrefix, redisUrl } from '../support/redis.js';
import { describeBus } from './bus.contract.js';
import { allHear } from '../support/several/buses.js';

describeBus('local', async () => {
  const bus = new LocalBus();
  return { buses: [bus], ready: () => Promise.resolve(), stop: () => bus.close() };
});

describeBus('redis', async () => {
  const options = { url: redisUrl(), ca: null, prefix: freshPrefix(), log: silentLog };
  const buses = [0, 1, 2].map((index) => {
    const bus = new RedisBus(options);
    bus.answerTo(`mgr_${index}`);
    return bus;
  });
  return {
    buses,
    ready: () => allHear(buses),
    stop: async () => {
      for (const bus of buses) await bus.close();
    },
  };
});
