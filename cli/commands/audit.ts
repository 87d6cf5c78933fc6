import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type * as Chain from '../../runtime/audit/chain';
import type * as Tail from '../../runtime/audit/tail';
import type { AuditRecord, LineFilter } from '../../runtime/audit/tail';
import type { ChainReport, LinePlace } from '../../runtime/audit/verify';
import type * as Verify from '../../runtime/audit/verify';
import type { CommandContext } from '../command-context';
import { CommandError, EXIT } from '../exit';
import type { Io } from '../io';
import { counted } from '../report';
import { wholeNumber } from './serve-onnx';

interface VerifyOptions {
  readonly keyFile: string;
  readonly head?: string;
}

interface TailOptions extends LineFilter {
  readonly lines: number;
  readonly follow: boolean;
}

const MAX_LINES = 100_000;

/** @throws CommandError when it is not there */
function fileAt(io: Io, file: string): string {
  const path = resolve(io.cwd, file);
  if (!existsSync(path))
    throw new CommandError(`${file}: no such file; name the file of audit.file`);
  return path;
}

const placeText = ({ file, line }: LinePlace): string => `${file}:${line}`;

function reportLines({
  files,
  lines,
  spans,
  faults,
  faultCount,
  tornBytes,
}: ChainReport): string[] {
  const found = spans.map(
    ({ instance, begin, end }) =>
      `chain of ${instance}: number ${begin.n} (${placeText(begin)}) to ${end.n} (${placeText(end)}), MAC ${end.mac}`,
  );
  const wrong = faults.map((one) => `${placeText(one)}: ${one.message}`);
  const more = faultCount > faults.length ? [`and ${faultCount - faults.length} more`] : [];
  const torn =
    tornBytes === 0 ? [] : [`the last ${tornBytes} bytes are a line that was not written whole`];
  const read = `${counted(lines, 'line')} in ${counted(files, 'file')}`;
  const fit = faultCount === 0 ? 'all fit the key' : `${counted(faultCount, 'fault')}`;
  return [...found, ...torn, ...wrong, ...more, `${read}: ${fit}`];
}

function verify({ io, format, finish }: CommandContext) {
  return async (file: string, { keyFile, head }: VerifyOptions): Promise<void> => {
    if (head !== undefined && !/^[0-9a-f]{12,64}$/i.test(head)) {
      throw new CommandError(
        `--head: got ${head}, must be 12 to 64 hex digits of a MAC; take it from the log`,
        EXIT.usage,
      );
    }
    const { readChainKey } = require('../../runtime/audit/chain') as typeof Chain;
    const { recordFiles, verifyChain } = require('../../runtime/audit/verify') as typeof Verify;
    const key = readChainKey(fileAt(io, keyFile));
    const report = await verifyChain(await recordFiles(fileAt(io, file)), key, head);
    const isMissed = report.hasHead === false;
    const missed = `no line has the MAC ${head}: lines were cut off, or it is of another record`;
    if (format() === 'json') io.out(`${JSON.stringify(report)}\n`);
    else io.out([...reportLines(report), ...(isMissed ? [missed] : []), ''].join('\n'));
    finish(report.faultCount > 0 || isMissed ? EXIT.findings : EXIT.ok);
  };
}

/** Aborted by SIGINT or SIGTERM. */
function untilEnd(): AbortSignal {
  const end = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => end.abort());
  return end.signal;
}

function tail({ io, format }: CommandContext) {
  return async (file: string, { lines, follow, ...filter }: TailOptions): Promise<void> => {
    const path = fileAt(io, file);
    const found = require('../../runtime/audit/tail') as typeof Tail;
    const { followLines, lastRecords, readable, wantedRecord } = found;
    const show = (record: AuditRecord): void =>
      io.out(`${format() === 'json' ? JSON.stringify(record) : readable(record)}\n`);
    (await lastRecords(path, lines, filter)).forEach(show);
    if (!follow) return;
    for await (const line of followLines(path, untilEnd())) {
      const record = wantedRecord(line, filter);
      if (record !== undefined) show(record);
    }
  };
}

/** Reads what `audit.file` of the service writes. */
export function addAudit(program: Command, context: CommandContext): void {
  const audit = program.command('audit').description('Verify or read the record of a service.');
  audit
    .command('verify')
    .argument('<file>', 'audit.file; files rotated away from it are read first')
    .description('Find lines that were changed, removed, moved or put in.')
    .requiredOption('--key-file <file>', 'audit.chain_key_file of the service')
    .option(
      '--head <mac>',
      'a MAC that must be there, from the log; finds a record cut off at its end',
    )
    .addHelpText(
      'after',
      '\nExample:\n  ai-model-service audit verify audit.jsonl --key-file chain.key',
    )
    .action(verify(context));
  audit
    .command('tail')
    .argument('<file>', 'audit.file')
    .description('Show the last lines, and those that come, for people; follows rotation.')
    .option('--lines <count>', 'so many at first', wholeNumber(0, MAX_LINES), 20)
    .option('--no-follow', 'end after them')
    .option('--caller <name>', 'only of this caller')
    .option('--model <id>', 'only about this model')
    .option('--action <action>', 'only this action: deploy, traffic, read, infer …')
    .addHelpText(
      'after',
      '\nExample:\n  ai-model-service audit tail audit.jsonl --model iris --action infer',
    )
    .action(tail(context));
}
