/** The version of this manager; a spec keeps it equal to package.json. */
export const VERSION = '0.1.0';
