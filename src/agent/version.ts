/** The version of this agent; a spec holds it against package.json. */
export const AGENT_VERSION = '0.1.0';
