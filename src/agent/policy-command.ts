import { readConfig } from './config.js';
import { ControlFile } from './control-file.js';
import { problemsOfHooks } from './operator/hook-check.js';
import { PolicyFile } from './policy-file.js';
import { updatePolicy } from './policy-update.js';

/** Whose policies are meant: of one service, or of all. */
interface Wanted {
  readonly dir: string;
  readonly service: string | undefined;
}

async function servicesOf({ dir, service }: Wanted) {
  const { services } = await readConfig(dir);
  return services.filter(({ name }) => service === undefined || name === service);
}

/** One line a service; false when a policy, a switch or a hook cannot be used. */
export async function checkPolicies(wanted: Wanted): Promise<boolean> {
  let isFine = true;
  for (const { name, root, hooks } of await servicesOf(wanted)) {
    const policy = await new PolicyFile(root).read();
    if (policy.ok) {
      const { enabled, allowed_channels, signers, threshold } = policy.value;
      const who = signers.map((signer) => signer.name).join(', ') || 'nobody';
      const what = `channels ${allowed_channels.join(', ')}; ${threshold} of the signers ${who}`;
      console.log(`${name}: ${enabled ? what : 'upgrades are switched off'}`);
    } else {
      isFine = false;
      console.error(`${name}: ${policy.error.message}`);
    }
    const control = await new ControlFile(root).read();
    const problems = control.ok ? [] : [control.error.message];
    problems.push(...(await problemsOfHooks(hooks)));
    if (problems.length > 0) isFine = false;
    for (const problem of problems) console.error(`${name}: ${problem}`);
  }
  return isFine;
}

/** Every setting as it counts, with the defaults, and the digest that the manager is told. */
export async function showPolicies(wanted: Wanted): Promise<boolean> {
  let isFine = true;
  for (const { name, root } of await servicesOf(wanted)) {
    const file = new PolicyFile(root);
    const policy = await file.read();
    console.log(`${name}  ${file.path}`);
    if (!policy.ok) {
      isFine = false;
      console.error(`  ${policy.error.message}; every upgrade is refused`);
      continue;
    }
    console.log(`  digest = ${await file.digest()}`);
    for (const [key, value] of Object.entries(policy.value)) {
      console.log(`  ${key} = ${JSON.stringify(value)}`);
    }
  }
  return isFine;
}

/** Null when it was done; what is wrong with the command otherwise. Throws FleetError of the update. */
export async function updateFrom(wanted: Wanted, file: string): Promise<string | null> {
  const services = await servicesOf(wanted);
  const [service] = services;
  if (service === undefined) return 'there is no such service in agent.toml';
  if (services.length > 1) return 'say which service is meant: --service NAME';
  const { sequence, before } = await updatePolicy(service, file, Date.now());
  console.log(`${service.name}: policy ${sequence} is in force; the one before is ${before}`);
  return null;
}
