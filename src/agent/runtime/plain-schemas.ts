import { z } from 'zod';

// Imported by the program before any schema is made. zod writes a function as text for each object and has
// it compiled: that pays for thousands of messages a second. The agent reads one in a while, and does not
// need to make code out of text. The SDK leaves this to its host.
z.config({ jitless: true });
