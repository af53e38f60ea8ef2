import { Check, Minus } from 'lucide-react';
import { useEffect, useState, type ReactNode } from 'react';
import { PERMISSIONS, roleAllows, type Role } from '../../../core/access/index.js';
import { api } from '../../app/api.js';
import { Badge, Card } from '../../ui/index.js';
import { PERMISSION_WORDS, ROLE_WORDS } from './role-words.js';

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin', 'release', 'super_admin'];

/** Which role may do what, from the very table that the manager asks. */
export const Roles = (): ReactNode => (
  <div className="stack">
    <SsoCard />
    <Card title="What each role may do">
      <div className="stack">
        <p className="soft">
          Viewer, operator and admin are held on a group and count for all groups below it; release
          and super admin count everywhere. What is not ticked is refused.
        </p>
        <div className="scroll-x" tabIndex={0} role="region" aria-label="Roles and permissions">
          <table className="permission-table">
            <thead>
              <tr>
                <th scope="col">Permission</th>
                {ROLES.map((role) => (
                  <th key={role} scope="col" title={ROLE_WORDS[role]}>
                    {role.replace('_', ' ')}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {PERMISSIONS.map((permission) => (
                <tr key={permission}>
                  <td>
                    {PERMISSION_WORDS[permission]}
                    <div>
                      <code className="soft small">{permission}</code>
                    </div>
                  </td>
                  {ROLES.map((role) => (
                    <td key={role}>
                      {roleAllows(role, permission) ? (
                        <Check
                          size={17}
                          role="img"
                          aria-label="yes"
                          style={{ color: 'var(--good)' }}
                        />
                      ) : (
                        <Minus
                          size={15}
                          role="img"
                          aria-label="no"
                          style={{ color: 'var(--idle)' }}
                        />
                      )}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </div>
    </Card>
  </div>
);

type Sso = 'asking' | 'on' | 'off' | 'failing';
const SSO: Readonly<
  Record<Sso, { readonly tone: 'idle' | 'good' | 'bad'; readonly word: string }>
> = {
  asking: { tone: 'idle', word: 'asking' },
  on: { tone: 'good', word: 'set up' },
  off: { tone: 'idle', word: 'not set up' },
  failing: { tone: 'bad', word: 'the provider does not answer' },
};

/** Whether the manager would send a browser to a provider. It is asked as a browser asks, and not followed. */
async function askSso(signal: AbortSignal): Promise<Sso> {
  const response = await fetch(api.addressOf('sso.start', {}), { redirect: 'manual', signal });
  if (response.type === 'opaqueredirect') return 'on';
  const { code } = (await response.json()) as { code?: string };
  return code === 'sso_not_configured' ? 'off' : 'failing';
}

const SsoCard = (): ReactNode => {
  const [state, setState] = useState<Sso>('asking');
  useEffect(() => {
    const ended = new AbortController();
    askSso(ended.signal).then(setState, () => {
      if (!ended.signal.aborted) setState('failing');
    });
    return () => ended.abort();
  }, []);
  const { tone, word } = SSO[state];
  return (
    <Card title="Single sign-on" actions={<Badge tone={tone}>{word}</Badge>}>
      <p>
        {state === 'on'
          ? 'People may sign in at the OpenID provider of this manager; their roles on groups come from its claims at each sign-in, and are changed there.'
          : 'People sign in with passwords. An OpenID provider is set up in a file of the manager, with the claims that give roles.'}
      </p>
      <p>
        <a href="/docs/people">How it is set up</a>
      </p>
    </Card>
  );
};
