// The rules of the house that a machine can check while it knows the types. Run from the root:
// `npm run lint`. Formatting is Prettier's business; imports between folders are imports.cjs's.
import { fileURLToPath } from 'node:url';
import tseslint from 'typescript-eslint';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

const SPECS = ['**/*.spec.ts', 'test/**/*.ts'];

/** Where reading the environment is the job of the file. Everything else is told what it needs. */
const READS_ENVIRONMENT = [
  'src/server/platform/config/*.ts',
  'src/agent/main.ts',
  // The service gets the PATH of the agent, and nothing else of its environment.
  'src/agent/supervisor/child-process.ts',
  // What systemd gave the agent, taken away from what the agent starts.
  'src/agent/sd-notify.ts',
  'src/cli/main.ts',
  'src/demo/**/*.ts',
  'src/simulator/live/main.ts',
  'test/**/*.ts',
  'src/operator/main.ts',
];

const ENVIRONMENT = {
  object: 'process',
  property: 'env',
  message: 'Configuration is read in one place (see platform/config) and passed on.',
};

/** What makes a rule depend on more than its arguments: time, chance, the world. */
const IMPURE_GLOBALS = [
  'process',
  'console',
  'fetch',
  'performance',
  'crypto',
  'globalThis',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'queueMicrotask',
].map((name) => ({ name, message: 'src/core is pure: take it as an argument.' }));

const IMPURE_CRYPTO = [
  'randomBytes',
  'randomFillSync',
  'randomInt',
  'randomUUID',
  'generateKeyPair',
  'generateKeyPairSync',
  'generateKeySync',
  'webcrypto',
];

export default tseslint.config(
  { ignores: ['**/node_modules/**', 'dist/**', 'data/**', 'demo-data/**', 'coverage/**'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { project: 'test/tsconfig.json', tsconfigRootDir: ROOT } },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      // Leaves files with decorators alone: Nest reads the constructor types at run time.
      '@typescript-eslint/consistent-type-imports': [
        'error',
        { prefer: 'type-imports', fixStyle: 'inline-type-imports' },
      ],
      // Numbers and booleans read well in texts; objects and undefined do not.
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      // `() => say('x')` is a statement in short form; nobody uses its value.
      '@typescript-eslint/no-confusing-void-expression': [
        'error',
        { ignoreArrowShorthand: true, ignoreVoidOperator: true },
      ],
      // A module of Nest is a class that holds nothing but its decorator.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      // Nest types its options as classes, and everybody gives it plain objects.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
      // `async` also makes a thrown error a rejection, which every caller of a port relies on.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/no-unused-vars': ['error', { ignoreRestSiblings: true }],
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-restricted-properties': ['error', ENVIRONMENT],
    },
  },
  {
    // The console has a project of its own: a browser is around it, and JSX in it.
    files: ['src/console/**/*.ts', 'src/console/**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: { project: 'src/console/tsconfig.json', tsconfigRootDir: ROOT },
    },
    rules: {
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      '@typescript-eslint/require-await': 'off',
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'no-restricted-properties': ['error', ENVIRONMENT],
      // What would make markup or code of a text.
      'no-restricted-syntax': [
        'error',
        {
          selector: "JSXAttribute[name.name='dangerouslySetInnerHTML']",
          message: 'A text stays a text.',
        },
      ],
    },
  },
  {
    files: ['**/*.ts'],
    // A migration is one list of statements.
    ignores: [...SPECS, 'migrations/**', 'src/console/**'],
    rules: {
      'max-lines-per-function': ['error', { max: 70, skipBlankLines: true, skipComments: true }],
      // Constructors count too, with all that is injected.
      '@typescript-eslint/max-params': ['error', { max: 6 }],
    },
  },
  {
    files: ['src/core/**/*.ts'],
    ignores: SPECS,
    rules: {
      // A switch over a closed union is one decision, however many cases it has.
      complexity: ['error', { max: 10, variant: 'modified' }],
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      'no-restricted-globals': ['error', ...IMPURE_GLOBALS],
      'no-restricted-properties': [
        'error',
        ENVIRONMENT,
        { object: 'Date', property: 'now', message: 'src/core is pure: take `now`.' },
        { object: 'Math', property: 'random', message: 'src/core is pure: take a seed.' },
      ],
      'no-restricted-syntax': [
        'error',
        {
          selector: "NewExpression[callee.name='Date'][arguments.length=0]",
          message: 'src/core is pure: take `now`.',
        },
        { selector: "CallExpression[callee.name='Date']", message: 'src/core is pure.' },
      ],
      'no-restricted-imports': [
        'error',
        {
          paths: ['node:crypto', 'crypto'].map((name) => ({
            name,
            importNames: IMPURE_CRYPTO,
            message: 'src/core is pure: take bytes as an argument.',
          })),
        },
      ],
    },
  },
  {
    files: READS_ENVIRONMENT,
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: SPECS,
    rules: {
      // A spec may say `!`: when it is wrong, the test fails, as it should.
      '@typescript-eslint/no-non-null-assertion': 'off',
      '@typescript-eslint/unbound-method': 'off',
      '@typescript-eslint/no-extraneous-class': 'off',
    },
  },
  {
    files: ['**/*.{mjs,cjs,js}'],
    rules: { eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error' },
  },
);
