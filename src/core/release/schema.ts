import { z } from 'zod';
import { Manifest } from './manifest.js';

/**
 * The manifest as JSON Schema (draft 2020-12), made from the schema that every program reads it by.
 * What one field says about another is not in it: `parseManifest` alone is the whole check.
 */
export const manifestJsonSchema = (): Readonly<Record<string, unknown>> => ({
  ...z.toJSONSchema(Manifest, { target: 'draft-2020-12', unrepresentable: 'any' }),
  $id: 'urn:bellwether:schema:manifest.v1',
  title: 'Bellwether release manifest, version 1',
});
