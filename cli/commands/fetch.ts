import { resolve } from 'node:path';
import type { Command } from 'commander';
import type * as Fetch from '../fetch/fetch';
import type { CommandContext } from '../command-context';
import { wholeNumber } from './serve-onnx';

const several = (host: string, others: readonly string[] = []): readonly string[] => [
  ...others,
  host,
];

export function addFetch(program: Command, { io, format }: CommandContext): void {
  program
    .command('fetch')
    .description(
      'Load an artifact to a folder: file, https, s3, gs, hf, oci. Resumes, checks sha256.',
    )
    .argument('<uri>', 'URI of the artifact')
    .requiredOption('--to <folder>', 'folder to write to')
    .option('--as <name>', 'file name to store it under, for servers that require one')
    .option('--unpack', 'unpack the artifact, a tar or zip')
    .option('--sha256 <hex>', 'digest of the file or archive')
    .option('--endpoint <url>', 'endpoint of an S3-compatible store, hub mirror or registry')
    .option('--ca <file>', 'certificate authority of the endpoint')
    .option('--allow-host <host>', 'host that may have a private address; may be repeated', several)
    .option('--wait <seconds>', 'load nothing; wait until the artifact is there', wholeNumber(1))
    .addHelpText(
      'after',
      `
Credentials come from the environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (s3, gs),
AWS_ROLE_ARN with AWS_WEB_IDENTITY_TOKEN_FILE (s3), GOOGLE_CREDENTIALS (gs), HF_TOKEN (hf),
OCI_USERNAME and OCI_PASSWORD (oci). HTTP_PROXY, HTTPS_PROXY and NO_PROXY are heeded.

Example:
  ai-model-service fetch s3://models/triage/1.4.0/model.onnx --to /models/triage --as model.onnx`,
    )
    .action(async (uri: string, options: Omit<Fetch.FetchJob, 'uri'>) => {
      // Loaded on demand: its HTTP client takes as long to load as a small synth.
      const { fetchArtifact } = require('../fetch/fetch') as typeof Fetch;
      const to = resolve(io.cwd, options.to);
      const log = (line: string): void => io.err(`${line}\n`);
      await fetchArtifact({ ...options, uri, to }, { env: io.env, log });
      if (format() === 'json') io.out(`${JSON.stringify({ uri, folder: to })}\n`);
    });
}
