import { z } from 'zod';
import { isShowable, parseLogin, PASSWORD_LENGTH_MAX } from '../../core/people/index.js';
import { Id } from '../node/index.js';

const Moment = z.iso.datetime();
const GroupRole = z.enum(['viewer', 'operator', 'admin']);

/** Lower-case ASCII, so that no two names look alike; capitals are folded. */
export const Login = z
  .string()
  .max(200)
  .transform((text, context) => {
    const parsed = parseLogin(text);
    if (parsed.ok) return parsed.value;
    context.issues.push({ code: 'custom', message: parsed.error.message, input: text });
    return z.NEVER;
  });
/** Any letters, in one spelling (NFC); nothing unseen. It decides nothing. */
export const DisplayName = z
  .string()
  .trim()
  .min(1)
  .max(128)
  .refine(isShowable, 'take letters, marks, digits and signs that can be seen')
  .transform((text) => text.normalize('NFC'));
/** Its quality is judged when it is chosen; here only its size. UTF-16 units. */
const Password = z
  .string()
  .min(1)
  .max(PASSWORD_LENGTH_MAX * 2);
/** Six digits of an authenticator, or a recovery code. */
export const FactorCode = z
  .string()
  .trim()
  .regex(/^[0-9A-Za-z -]{6,40}$/, 'give six digits or a recovery code');
const Secret = z.string().min(16).max(200);

export const MeGrant = z.object({
  role: z.enum(['super_admin', 'release', 'viewer', 'operator', 'admin']),
  group_id: Id.nullable(),
});

export const SignIn = z.strictObject({
  login: Login,
  password: Password,
  /** Needed by whoever has a second factor; answered by `second_factor_required` when missing. */
  code: FactorCode.optional(),
  /** `cookie` for browsers; `token` answers a short-lived bearer token instead. */
  as: z.enum(['cookie', 'token']).default('cookie'),
});
export const Me = z.object({
  user: z.object({
    id: Id,
    login: z.string(),
    name: z.string(),
    has_password: z.boolean(),
    has_second_factor: z.boolean(),
    recovery_codes_left: z.int().min(0),
    expires_at: Moment.nullable(),
  }),
  grants: z.array(MeGrant),
  /** Until it is set up this session can do nothing else. */
  second_factor_missing: z.boolean(),
  session: z.object({ id: Id, expires_at: Moment }),
  /** To be sent as `X-Bellwether-CSRF` with whatever changes something; null for a token. */
  csrf: z.string().nullable(),
});
/** `token` is shown once, here; null for a cookie. */
export const SignedIn = Me.extend({ token: z.string().nullable() });

/** What may be known before anybody signed in. */
export const Doors = z.object({
  /** An OpenID provider is configured: `sso.start` leads there. */
  sso: z.boolean(),
  /** There is no admin yet: the set-up token makes the first user. */
  needs_setup: z.boolean(),
});

export const Session = z.object({
  id: Id,
  kind: z.enum(['cookie', 'token']),
  is_this: z.boolean(),
  created_at: Moment,
  used_at: Moment,
  expires_at: Moment,
  ip: z.string(),
  user_agent: z.string(),
});

export const ChangePassword = z.strictObject({ current: Password, new: Password });
export const BeginFactor = z.strictObject({ password: Password });
export const FactorBegun = z.object({
  /** Base32, for an authenticator program; shown once. */
  secret: z.string(),
  /** The same as `otpauth://`, for a QR code. */
  uri: z.string(),
});
export const ConfirmFactor = z.strictObject({ code: FactorCode });
/** Shown once, stored only as hashes; each works once. */
export const FactorConfirmed = z.object({ recovery_codes: z.array(z.string()) });
export const RemoveFactor = z.strictObject({ password: Password, code: FactorCode });

export const FirstUser = z.strictObject({
  setup_token: Secret,
  login: Login,
  name: DisplayName,
  password: Password,
});

export const User = z.object({
  id: Id,
  login: z.string(),
  name: z.string(),
  super_admin: z.boolean(),
  /** How the person signs in. */
  kind: z.enum(['local', 'sso']),
  has_second_factor: z.boolean(),
  status: z.enum(['active', 'disabled', 'expired']),
  created_at: Moment,
  expires_at: Moment.nullable(),
  last_sign_in_at: Moment.nullable(),
});
/** What is left out stays as it is. */
export const UpdateUser = z
  .strictObject({
    name: DisplayName.optional(),
    super_admin: z.boolean().optional(),
    /** Null: never. */
    expires_in_days: z.int().min(1).max(3_650).nullable().optional(),
  })
  .refine((given) => Object.keys(given).length > 0, 'say what should change');

export const Invite = z
  .strictObject({
    /** For whom, so that people know their invitations apart. */
    note: DisplayName,
    super_admin: z.boolean().default(false),
    group_id: Id.nullable().default(null),
    role: GroupRole.nullable().default(null),
    /** The user works for so many days; null: for good. */
    user_expires_in_days: z.int().min(1).max(3_650).nullable().default(null),
    /** The link works for so many hours, once. */
    expires_in_hours: z.int().min(1).max(336).default(72),
  })
  .refine((given) => (given.group_id === null) === (given.role === null), {
    path: ['role'],
    message: 'give group_id and role together',
  })
  .refine((given) => given.super_admin || given.group_id !== null, {
    path: ['group_id'],
    message: 'give a group and a role, or super_admin',
  });
export const Invitation = z.object({
  id: Id,
  note: z.string(),
  super_admin: z.boolean(),
  group_id: Id.nullable(),
  role: GroupRole.nullable(),
  invited_by: z.string(),
  created_at: Moment,
  expires_at: Moment,
});
/** `secret` is shown once; `link` holds it behind `#`, where no server and no log sees it. */
export const InvitationCreated = Invitation.extend({ secret: z.string(), link: z.string() });
export const AcceptInvitation = z.strictObject({
  secret: Secret,
  login: Login,
  name: DisplayName,
  password: Password,
  as: z.enum(['cookie', 'token']).default('cookie'),
});

export const Member = z.object({
  user_id: Id,
  login: z.string(),
  name: z.string(),
  group_id: Id,
  role: GroupRole,
  /** `sso`: taken from the claims at each sign-in, and changed there only. */
  source: z.enum(['manual', 'sso']),
  expires_at: Moment.nullable(),
});
export const SetMember = z.strictObject({
  login: Login,
  role: GroupRole,
  /** Null: for good. */
  expires_in_days: z.int().min(1).max(3_650).nullable().default(null),
});

/** What a provider sends back; more is passed over. */
export const SsoCallback = z.looseObject({
  code: z.string().max(4_096).optional(),
  state: z.string().max(512).optional(),
  error: z.string().max(256).optional(),
});
