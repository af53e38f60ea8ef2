export { runCommand, USAGE, type ProgramWorld } from './program.js';
