import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { connect } from 'node:net';
import type { HealthCheck } from './service-config.js';

/**
 * Asks once. Never throws and never takes longer than the time-out: whatever is not a clear yes is
 * a no. `cwd` is the version directory.
 */
export function isHealthy(check: HealthCheck, isRunning: boolean, cwd: string): Promise<boolean> {
  if (!isRunning) return Promise.resolve(false);
  switch (check.kind) {
    case 'none':
      return Promise.resolve(true);
    case 'http':
      return askHttp(check.url, check.timeout_secs * 1000);
    case 'tcp':
      return askTcp(check.host, check.port, check.timeout_secs * 1000);
    case 'command':
      return askCommand(check.command, check.timeout_secs * 1000, cwd);
  }
}

function askHttp(url: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const asking = request(url, { timeout: timeoutMs, agent: false }, (response) => {
      const status = response.statusCode ?? 0;
      response.destroy();
      resolve(status >= 200 && status < 300);
    });
    // Slow headers count against the same time as a slow connect.
    const timer = setTimeout(() => asking.destroy(), timeoutMs);
    asking.on('close', () => {
      clearTimeout(timer);
      resolve(false);
    });
    asking.on('error', () => {
      resolve(false);
    });
    asking.end();
  });
}

function askTcp(host: string, port: number, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const answer = (isUp: boolean): void => {
      socket.destroy();
      resolve(isUp);
    };
    socket.once('connect', () => {
      answer(true);
    });
    socket.once('timeout', () => {
      answer(false);
    });
    socket.once('error', () => {
      answer(false);
    });
  });
}

function askCommand(command: readonly string[], timeoutMs: number, cwd: string): Promise<boolean> {
  return new Promise((resolve) => {
    const [program = '', ...args] = command;
    // In a group of its own, so that nothing that a check started outlives it.
    const child = spawn(program, args, { cwd, stdio: 'ignore', detached: true });
    const endGroup = (): void => {
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // Nobody is left in it.
      }
    };
    const timer = setTimeout(endGroup, timeoutMs);
    const answer = (isUp: boolean): void => {
      clearTimeout(timer);
      endGroup();
      resolve(isUp);
    };
    child.once('error', () => {
      answer(false);
    });
    child.once('exit', (code) => {
      answer(code === 0);
    });
  });
}
