import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RUNTIME_UID } from '../../lib/objects/security';

// How a container of the image runs. The Dockerfile says the same in its own words; a test compares.

export const ROOT = join(__dirname, '..', '..');

interface Package {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
}

export const PACKAGE = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Package;

const NANOSECONDS = 1_000_000_000;

/** The part of an OCI image configuration that a container starts with; Healthcheck is docker's own. */
export const CONTAINER = {
  User: `${RUNTIME_UID}:${RUNTIME_UID}`,
  WorkingDir: '/data',
  Env: [
    'PATH=/usr/local/bin:/usr/bin:/bin',
    'NODE_ENV=production',
    'HOME=/tmp',
    // Beyond loopback the service makes a key when none is configured, so this opens nothing.
    'AI_MODEL_SERVICE__SERVER__HOST=0.0.0.0',
    'ORT_DISABLE_TELEMETRY=1',
    // What requests leave behind is swept from 8 MB instead of 16 at no cost that can be measured,
    // and threads share what they allocate: together 25 MB less.
    'NODE_OPTIONS=--max-semi-space-size=8',
    'MALLOC_ARENA_MAX=2',
  ],
  Entrypoint: ['ai-model-service'],
  Cmd: ['serve'],
  ExposedPorts: { '8080/tcp': {}, '9090/tcp': {} },
  Healthcheck: {
    Test: ['CMD', 'node', '/app/healthcheck.cjs'],
    Interval: 30 * NANOSECONDS,
    Timeout: 5 * NANOSECONDS,
    StartPeriod: 30 * NANOSECONDS,
    Retries: 3,
  },
  Labels: {
    'org.opencontainers.image.title': 'ai-model-service',
    'org.opencontainers.image.description': PACKAGE.description,
    'org.opencontainers.image.version': PACKAGE.version,
    'org.opencontainers.image.licenses': PACKAGE.license,
  },
} as const;
