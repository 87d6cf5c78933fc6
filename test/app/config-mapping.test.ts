import { parseConfig } from '../../runtime/app/config';
import { DEFAULT_TUNING } from '../../runtime/core/routing/tuning';
import { DEFAULT_LIMITS } from '../../runtime/data';
import { DEFAULT_CLIENT } from '../../runtime/data/http/client/client';
import { DEFAULT_CALLER_LIMITS } from '../../runtime/data/http/server/caller-limits';
import {
  callerLimitsOf,
  clientOptionsOf,
  limitsOf,
  shadowLogMsOf,
  tuningOf,
  opsHostOf,
} from '../../runtime/app/config-mapping';
import { SAMPLE_MS } from '../../runtime/app/shadow-log';

test('configuration defaults equal the constants of the code', () => {
  const config = parseConfig('');
  expect(tuningOf(config)).toEqual(DEFAULT_TUNING);
  expect(clientOptionsOf(config)).toEqual(DEFAULT_CLIENT);
  expect(callerLimitsOf(config)).toEqual(DEFAULT_CALLER_LIMITS);
  expect(limitsOf(config)).toEqual(DEFAULT_LIMITS);
  expect(shadowLogMsOf(config)).toBe(SAMPLE_MS);
});

test('every key of server, routing and inference is mapped, in its unit', () => {
  const config = parseConfig(`
server:
  { headers_seconds: 2, keep_alive_seconds: 3, max_header_bytes: 2048, body_seconds: 4,
    stall_seconds: 5 }
routing:
  { connect_ms: 11, idle_ms: 101, max_idle_connections: 3, decay_seconds: 4, ramp_seconds: 5,
    consecutive_failures: 6, ejection_seconds: 7, max_ejection_seconds: 8, retry_percent: 9,
    free_retries_per_second: 12, min_retry_delay_ms: 13, max_retry_delay_ms: 14,
    ramp_from_percent: 15, max_unreachable_seconds: 16, ejection_jitter_percent: 17,
    ejection_memory_seconds: 18, comparison_seconds: 19, excused_lag_ms: 20,
    max_ejected_percent: 21, panic_percent: 22, retry_window_seconds: 23, retry_avoid_ms: 24,
    priority_age_ms: 25, oldest_every: 26, priority_percent: 20, cold_queue_depth: 28 }
inference:
  { max_answer_bytes: 2001, max_openai_body_bytes: 2002, max_shadow_bytes: 2003,
    stream_above_bytes: 2004, shadow_percent: 50, shadow_log_seconds: 6 }
`);
  expect(tuningOf(config)).toEqual({
    decayMs: 4000,
    rampMs: 5000,
    consecutiveFailures: 6,
    baseEjectionMs: 7000,
    maxEjectionMs: 8000,
    retryRatio: 0.09,
    freeRetriesPerSecond: 12,
    minJitterMs: 13,
    maxJitterMs: 14,
    rampFrom: 0.15,
    maxUnreachableMs: 16_000,
    ejectionJitter: 0.17,
    ejectionMemoryMs: 18_000,
    comparisonSeconds: 19,
    excusedLagMs: 20,
    maxEjectedRatio: 0.21,
    panicRatio: 0.22,
    budgetSeconds: 23,
    avoidMs: 24,
    priorityAgeMs: 25,
    oldestEvery: 26,
    reservedRatio: 0.2,
    coldQueueDepth: 28,
  });
  expect(clientOptionsOf(config)).toEqual({ connectMs: 11, idleMs: 101, maxIdle: 3 });
  expect(callerLimitsOf(config)).toEqual({
    headMs: 2000,
    keepAliveMs: 3000,
    maxHeadBytes: 2048,
    bodyMs: 4000,
    stallMs: 5000,
  });
  expect(shadowLogMsOf(config)).toBe(6000);
  expect(limitsOf(config)).toEqual({
    answerBytes: 2001,
    openaiBytes: 2002,
    streamBytes: 2004,
    shadowBytes: 2003,
    shadowPart: 0.5,
  });
});

const snakeOf = (key: string): string =>
  key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

test('every key of routing sets one constant, and every constant has a key', () => {
  const of = (text: string) => {
    const config = parseConfig(text);
    return Object.entries({ ...tuningOf(config), ...clientOptionsOf(config) });
  };
  const defaults = new Map(of(''));
  const set = Object.entries(parseConfig('').routing).map(([key, value]) => {
    const changed = of(`routing: { ${snakeOf(key)}: ${value + 1} }`);
    return changed.filter(([name, now]) => now !== defaults.get(name)).map(([name]) => name);
  });
  expect(set.map(({ length }) => length)).toEqual(set.map(() => 1));
  expect(set.flat().toSorted()).toEqual([...defaults.keys()].toSorted());
});

test('a value out of range is refused with the range', () => {
  expect(() => parseConfig('routing:\n  retry_percent: 101\n')).toThrow(
    'config.yaml:2: routing.retry_percent: got 101, must be ≤ 100; lower it',
  );
});

test.each([
  ['server: { ops_port: 9090 }', '127.0.0.1'],
  ['server: { host: 0.0.0.0, ops_port: 9090 }', '0.0.0.0'],
  ['server: { host: 0.0.0.0, ops_port: 9090, ops_host: 10.0.0.7 }', '10.0.0.7'],
  ['server: { ops_port: 9090, ops_host: "[::1]" }', '::1'],
])('the ops port of %j listens on %s', (text, host) => {
  expect(opsHostOf(parseConfig(text))).toBe(host);
});
