export {
  judgeOrigin,
  judgeStart,
  type AdmissionErrorCode,
  type SignedRelease,
} from './admission.js';
export {
  ChannelIndex,
  hasExpired,
  IndexMemory,
  judgeByIndex,
  judgeFreshness,
  judgeIndex,
  revocationOf,
  revokedMessage,
  REVOKED_MAX,
  trustedIndexes,
  type IndexErrorCode,
  type Indexes,
  type Revocation,
} from './channel-index.js';
export {
  CONTROL_BYTES_MAX,
  judgeControl,
  LocalControl,
  NO_CONTROL,
  type ControlErrorCode,
} from './control.js';
export { DowngradePermit, judgeDowngradePermit } from './downgrade-permit.js';
export {
  judgeImageRelease,
  judgeRelease,
  judgeStanding,
  type Standing,
  type JudgeInput,
  type ReleaseErrorCode,
} from './judge.js';
export { Image, imageDigestsOf, imageFor, PlatformImage, type Images } from './image.js';
export {
  Artifact,
  artifactFor,
  Compatibility,
  Delta,
  deltasFor,
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
export { Arch, Channel, isOlder, Os, ProductName, Sha256, Variant, Version } from './names.js';
export { detourTo, type Detour } from './reach.js';
export { isWider, seenOn, widestOf } from './channels.js';
export { claimsOf, differencesOf, type Difference } from './compare.js';
export {
  channelOf,
  newestOn,
  offersFor,
  windowOf,
  type Offer,
  type Offerable,
  type SupportWindow,
  type Taker,
} from './offers.js';
export { judgePromotion } from './promotion.js';
export { manifestJsonSchema } from './schema.js';
export { NodePolicy } from './policy.js';
export { needsTrustedRoot, Signer } from './policy-signers.js';
export {
  assessSignatures,
  checkSignatureForm,
  judgeSignatures,
  type Assessment,
  type Finding,
  type SignatureErrorCode,
} from './signatures.js';
export { type SigstoreTrust } from './sigstore-adapter.js';
export { isAbout, parseBundle, type SigstoreBundle } from './sigstore-bundle.js';
export { examine, type Claim, type Examined, type KeylessIdentity } from './sigstore.js';
export { parseTrustedRoot, TRUSTED_ROOT_BYTES_MAX } from './trusted-root.js';
export {
  judgeNewPolicy,
  judgePolicyUpdate,
  POLICY_BYTES_MAX,
  PolicyUpdate,
} from './policy-update.js';
export {
  DOCUMENT_BYTES_MAX,
  documentBytes,
  documentDigest,
  parseDocument,
  SignedDocument,
} from './signed-document.js';
