export {
  Artifact,
  artifactFor,
  Manifest,
  MANIFEST_BYTES_MAX,
  manifestBytes,
  parseManifest,
  SIGNATURE_BYTES_MAX,
} from './manifest.js';
export { Arch, Channel, Os, ProductName, Sha256, Variant, Version } from './names.js';
