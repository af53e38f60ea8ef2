// Whether the manager is reached and trusted from here. Exit code 0: it is.
const url = new URL('/healthz', process.env.MANAGER_URL);
try {
  const answer = await fetch(url, { signal: AbortSignal.timeout(15_000) });
  console.log(`${url}: ${answer.status}`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  console.log(`${url}: ${error.cause?.code ?? error.cause?.message ?? error.message}`);
  process.exitCode = 1;
}
