import { parseConfig } from '../../runtime/config';
import { DEFAULT_TUNING } from '../../runtime/core/tuning';
import { DEFAULT_LIMITS } from '../../runtime/data';
import { DEFAULT_CLIENT } from '../../runtime/data/http/client';
import { DEFAULT_CALLER_LIMITS } from '../../runtime/data/http/serverconnection';
import { callersOf, connectionsOf, limitsOf, tuningOf } from '../../runtime/settings';

test('the defaults of the configuration are the constants that the code explains', () => {
  const config = parseConfig('');
  expect(tuningOf(config)).toEqual(DEFAULT_TUNING);
  expect(connectionsOf(config)).toEqual(DEFAULT_CLIENT);
  expect(callersOf(config)).toEqual(DEFAULT_CALLER_LIMITS);
  expect(limitsOf(config)).toEqual(DEFAULT_LIMITS);
});

test('every key of server, routing and inference arrives, in the unit it is used in', () => {
  const config = parseConfig(`
server: { headers_seconds: 2, keep_alive_seconds: 3, max_header_bytes: 2048 }
routing:
  { connect_ms: 11, idle_ms: 101, max_idle_connections: 3, decay_seconds: 4, ramp_seconds: 5,
    consecutive_failures: 6, ejection_seconds: 7, max_ejection_seconds: 8, retry_percent: 9,
    free_retries_per_second: 12, min_retry_delay_ms: 13, max_retry_delay_ms: 14 }
inference:
  { max_answer_bytes: 2001, max_openai_body_bytes: 2002, max_shadow_bytes: 2003,
    stream_above_bytes: 2004, shadow_percent: 50 }
`);
  expect(tuningOf(config)).toEqual({
    decayMs: 4000,
    rampMs: 5000,
    consecutiveFailures: 6,
    firstOutMs: 7000,
    longestOutMs: 8000,
    retryRatio: 0.09,
    freeRetriesPerSecond: 12,
    minJitterMs: 13,
    maxJitterMs: 14,
  });
  expect(connectionsOf(config)).toEqual({ connectMs: 11, idleMs: 101, maxIdle: 3 });
  const given = { headMs: 2000, keepAliveMs: 3000, maxHeadBytes: 2048 };
  expect(callersOf(config)).toEqual({ ...DEFAULT_CALLER_LIMITS, ...given });
  expect(limitsOf(config)).toEqual({
    answerBytes: 2001,
    openaiBytes: 2002,
    streamBytes: 2004,
    shadowBytes: 2003,
    shadowPart: 0.5,
  });
});

test('a value out of its range is refused with the range', () => {
  expect(() => parseConfig('routing:\n  retry_percent: 101\n')).toThrow(
    'config.yaml:2: routing.retry_percent: got 101, must be ≤ 100; lower it',
  );
});
