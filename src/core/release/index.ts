export { judgeRelease, judgeSignatures, type JudgeInput, type ReleaseErrorCode } from './judge.js';
export {
  Artifact,
  artifactFor,
  Compatibility,
  Delta,
  Image,
  Manifest,
  MANIFEST_BYTES_MAX,
  manifestBytes,
  parseManifest,
  SIGNATURE_BYTES_MAX,
} from './manifest.js';
export {
  formatSecretKey,
  needsPassword,
  newSecretKey,
  parseSecretKey,
  SENSITIVE_COST,
  type DerivationCost,
  type SecretKeyErrorCode,
} from './minisign-secret-key.js';
export {
  formatPublicKey,
  isSignedBy,
  parsePublicKey,
  parseSignature,
  publicKeyOf,
  secretKeyOf,
  shownKeyId,
  signMinisign,
  verify,
  type MinisignKey,
  type MinisignSecretKey,
  type MinisignSignature,
} from './minisign.js';
export { Arch, Channel, Os, ProductName, Sha256, Variant, Version } from './names.js';
export { detourTo, type Detour } from './reach.js';
export { NodePolicy, Signer } from './policy.js';
