export { startOtel, type Otel } from './otel.js';
