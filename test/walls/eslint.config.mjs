// The rules of the house that a machine can check while it knows the types. Run from the root:
// `npm run lint`. Formatting is Prettier's business; imports between folders are imports.cjs's.
import tseslint from 'typescript-eslint';

const SPECS = ['**/*.spec.ts', 'test/**/*.ts'];

/** Where reading the environment is the job of the file. Everything else is told what it needs. */
const READS_ENVIRONMENT = [
  'src/server/platform/config/*.ts',
  'src/agent/main.ts',
  'src/cli/main.ts',
  'src/demo/**/*.ts',
  'test/**/*.ts',
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
    languageOptions: { parserOptions: { project: 'test/tsconfig.json' } },
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
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
      'no-restricted-properties': ['error', ENVIRONMENT],
    },
  },
  {
    files: ['**/*.ts'],
    ignores: SPECS,
    rules: {
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      '@typescript-eslint/max-params': ['error', { max: 5 }],
    },
  },
  {
    files: ['src/core/**/*.ts'],
    ignores: SPECS,
    rules: {
      complexity: ['error', 10],
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
    },
  },
  {
    files: ['**/*.{mjs,cjs,js}'],
    rules: { eqeqeq: 'error', 'no-var': 'error', 'prefer-const': 'error' },
  },
);
