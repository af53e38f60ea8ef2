/* eslint-disable @typescript-eslint/no-dynamic-delete -- what comes over the wire has no types */
import { StatusError, type Fields, type Json } from './objects.js';

const isObject = (value: Json | undefined): value is Fields =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const bad = (message: string): StatusError => new StatusError(400, 'BadRequest', message);

/** RFC 7386. */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const merged: Fields = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

/** The keys that the API documents for the lists that are used here; other lists are replaced whole. */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumes: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
  conditions: 'type',
  ownerReferences: 'uid',
  ephemeralContainers: 'name',
  webhooks: 'name',
};
const DIRECTIVE = '$patch';

/** Strategic merge: as a merge patch, but lists with a merge key are merged by it. */
export function strategicPatch(target: Json | undefined, patch: Json, name = ''): Json {
  if (Array.isArray(patch)) return strategicList(target, patch, name);
  if (!isObject(patch)) return patch;
  if (patch[DIRECTIVE] === 'replace') {
    const { [DIRECTIVE]: _, ...rest } = patch;
    return rest;
  }
  const merged: Fields = isObject(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (key.startsWith('$')) continue;
    if (value === null) delete merged[key];
    else merged[key] = strategicPatch(merged[key], value, key);
  }
  return merged;
}

function strategicList(target: Json | undefined, patch: Json[], name: string): Json {
  const key = MERGE_KEYS[name];
  if (key === undefined) return patch;
  const merged = Array.isArray(target) ? [...target] : [];
  for (const item of patch) {
    if (!isObject(item)) throw bad(`${name}: not an object`);
    const id = item[key];
    if (id === undefined)
      throw bad(`map: ${JSON.stringify(item)} does not contain declared merge key: ${key}`);
    const at = merged.findIndex((one) => isObject(one) && one[key] === id);
    if (item[DIRECTIVE] === 'delete') {
      if (at >= 0) merged.splice(at, 1);
    } else if (at < 0) merged.push(strategicPatch(undefined, item));
    else merged[at] = strategicPatch(merged[at], item);
  }
  return merged;
}

/** RFC 6902, as far as add, remove, replace and test go. */
export function jsonPatch(target: Json, operations: Json): Json {
  if (!Array.isArray(operations)) throw bad('a JSON patch is a list');
  let result = structuredClone(target);
  for (const operation of operations) {
    if (!isObject(operation) || typeof operation['path'] !== 'string') throw bad('no operation');
    result = applyOne(result, operation, operation['path']);
  }
  return result;
}

function applyOne(root: Json, operation: Fields, path: string): Json {
  const parts = path
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  const last = parts.pop();
  if (last === undefined) throw bad('the whole document cannot be replaced');
  let holder: Json | undefined = root;
  for (const part of parts) holder = at(holder, part);
  const found = at(holder, last);
  const { op, value = null } = operation;
  if (op === 'test') {
    if (JSON.stringify(found) !== JSON.stringify(value))
      throw invalid(`testing path ${path} failed`);
    return root;
  }
  if (op !== 'add' && found === undefined) throw invalid(`${path} is not there`);
  if (Array.isArray(holder)) {
    const index = last === '-' ? holder.length : Number(last);
    holder.splice(index, op === 'add' ? 0 : 1, ...(op === 'remove' ? [] : [value]));
  } else if (isObject(holder)) {
    if (op === 'remove') delete holder[last];
    else holder[last] = value;
  } else throw invalid(`${path} is not there`);
  return root;
}
const invalid = (message: string): StatusError =>
  new StatusError(
    422,
    'Invalid',
    `the server rejected our request due to an error in our request: ${message}`,
  );
const at = (holder: Json | undefined, part: string): Json | undefined =>
  Array.isArray(holder) ? holder[Number(part)] : isObject(holder) ? holder[part] : undefined;
