export { SinksModule } from './sinks.module.js';
