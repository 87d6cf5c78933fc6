// HEALTHCHECK of the image: does the process answer? Both the service and the model server know this
// path. A refusal (no key) is an answer, too; only silence and 5xx are sick.
'use strict';

const TIMEOUT_MS = 4000;
const port = process.env.AI_MODEL_SERVICE__SERVER__PORT || '8080';

function ask(scheme, onError) {
  const options = {
    host: '127.0.0.1',
    port,
    path: '/v2/health/live',
    timeout: TIMEOUT_MS,
    // The certificate names the service's host, not loopback.
    rejectUnauthorized: false,
  };
  const request = require(`node:${scheme}`).get(options, ({ statusCode }) => {
    process.exit(statusCode < 500 ? 0 : 1);
  });
  request.on('timeout', () => request.destroy(new Error('no answer in time')));
  request.on('error', onError);
}

ask('http', () =>
  ask('https', (error) => {
    console.error(`127.0.0.1:${port}: ${error.message}`);
    process.exit(1);
  }),
);
