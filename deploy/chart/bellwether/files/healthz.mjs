// Asks the Service for its health, by the certificate of the public address when it speaks TLS. Exit code 0: it is well.
import { readFileSync } from 'node:fs';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';

const { SERVICE_HOST: host, SERVICE_PORT: port, PUBLIC_URL, CERTIFICATE_FILE } = process.env;
const publicUrl = new URL(PUBLIC_URL);
const path = '/healthz';
const headers = { host: publicUrl.host };
const tls = CERTIFICATE_FILE && {
  servername: publicUrl.hostname,
  ca: readFileSync(CERTIFICATE_FILE),
  allowPartialTrustChain: true,
};
const ask = tls ? getHttps : getHttp;
const request = ask({ host, port, path, headers, timeout: 15_000, ...tls }, (answer) => {
  console.log(`${host}:${port}${path}: ${answer.statusCode}`);
  process.exitCode = answer.statusCode === 200 ? 0 : 1;
  answer.resume();
});
request.on('timeout', () => request.destroy(new Error('no answer in time')));
request.on('error', (error) => {
  console.log(`${host}:${port}${path}: ${error.message}`);
  process.exitCode = 1;
});
