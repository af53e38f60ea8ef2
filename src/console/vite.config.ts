import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { defineConfig } from 'vite';
import { addressesOf } from '../../dist/src/client/index.js';
import { PASSWORD_LENGTH_MIN } from '../../dist/src/core/people/index.js';
import { ROUTES } from '../../dist/src/protocol/api/index.js';
import { ERRORS } from '../../dist/src/protocol/errors.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** A manager for `npm run console`, which serves the sources and passes calls on. */
const MANAGER = 'http://127.0.0.1:8480';

/** What each code means and what to do about it, for lists that tell the code only. */
const fixes = Object.entries(ERRORS).map(([code, { meaning, fix }]) => [code, `${meaning} ${fix}`]);

export default defineConfig({
  root: here('.'),
  base: '/',
  plugins: [react()],
  // The route table without its schemas: a page needs addresses, and no parser.
  define: {
    __ROUTES__: JSON.stringify(addressesOf(ROUTES)),
    __FIXES__: JSON.stringify(Object.fromEntries(fixes)),
    __PASSWORD_LENGTH_MIN__: String(PASSWORD_LENGTH_MIN),
  },
  build: {
    outDir: here('../../dist/console'),
    emptyOutDir: true,
    target: 'es2023',
    // Nothing inline: the policy of the console takes nothing that is not a file of ours.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  server: { proxy: { '/api': MANAGER, '/healthz': MANAGER } },
});
