export { listAlerts, resolveAlert } from './alerts.js';
export {
  backfillSink,
  changeSink,
  createSink,
  deleteSink,
  discardLetters,
  listDeadLetters,
  listSinks,
  pauseSink,
  replayLetters,
  resumeSink,
  showSink,
  testSink,
} from './sinks.js';
