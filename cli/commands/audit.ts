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
  readonly head: readonly string[];
  readonly from: number;
  readonly newChain: readonly string[];
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

/** The findings without the last line, which counts them. */
function foundLines({ faults, faultCount, tornBytes, missingHeads }: ChainReport): string[] {
  const wrong = faults.map((one) => `${placeText(one)}: ${one.message}`);
  const more = faultCount > faults.length ? [`and ${faultCount - faults.length} more`] : [];
  const torn =
    tornBytes === 0 ? [] : [`the last ${tornBytes} bytes are a line that was not written whole`];
  const missed = missingHeads.map(
    (head) => `no line has the MAC ${head}: lines were cut off, or it is of another record`,
  );
  return [...torn, ...wrong, ...more, ...missed];
}

function reportLines(report: ChainReport): string[] {
  const { files, lines, spans, spanCount, faultCount } = report;
  const older = spanCount > spans.length ? [`${spanCount - spans.length} older chains`] : [];
  const found = spans.map(
    ({ instance, begin, end }) =>
      `chain of ${instance}: number ${begin.n} (${placeText(begin)}) to ${end.n} (${placeText(end)}), MAC ${end.mac}`,
  );
  const read = `${counted(lines, 'line')} in ${counted(files, 'file')}`;
  const fit = faultCount === 0 ? 'all fit the key' : `${counted(faultCount, 'fault')}`;
  return [...older, ...found, ...foundLines(report), `${read}: ${fit}`];
}

/** A repeatable option that takes a MAC, or its beginning. */
function macOption(flag: string) {
  return (text: string, before: readonly string[]): readonly string[] => {
    if (/^[0-9a-f]{12,64}$/i.test(text)) return [...before, text];
    throw new CommandError(
      `${flag}: got ${text}, must be 12 to 64 hex digits of a MAC; take it from the log`,
      EXIT.usage,
    );
  };
}

function verify({ io, format, finish }: CommandContext) {
  return async (file: string, options: VerifyOptions): Promise<void> => {
    const { keyFile, head, from, newChain } = options;
    const { readChainKey } = require('../../runtime/audit/chain') as typeof Chain;
    const { plain } = require('../../runtime/audit/tail') as typeof Tail;
    const { recordFiles, verifyChain } = require('../../runtime/audit/verify') as typeof Verify;
    const key = readChainKey(fileAt(io, keyFile));
    const files = await recordFiles(fileAt(io, file));
    const report = await verifyChain(files, key, { heads: head, from, newChains: newChain });
    if (format() === 'json') io.out(`${JSON.stringify(report)}\n`);
    else io.out([...reportLines(report).map(plain), ''].join('\n'));
    const isWrong = report.faultCount > 0 || report.missingHeads.length > 0;
    finish(isWrong ? EXIT.findings : EXIT.ok);
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
      'a MAC that must be there, from the log; finds a record cut off at its end; repeatable',
      macOption('--head'),
      [],
    )
    .option(
      '--from <n>',
      'the first number of a record whose older files were deleted on purpose',
      wholeNumber(1, Number.MAX_SAFE_INTEGER),
      1,
    )
    .option(
      '--new-chain <mac>',
      'the MAC of a line that begins a new chain on purpose; repeatable',
      macOption('--new-chain'),
      [],
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
