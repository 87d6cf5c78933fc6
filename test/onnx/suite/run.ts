import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { startServer } from '../support/server';
import type { TestServer } from '../support/server';
import { runAlone } from './runtime';
import { ask, near, rowOf, valuesOf } from './tensors';
import type { Answer, SuiteCase, SuiteTensor, Variant } from './tensors';

// The ONNX backend suite through the real server: npm run test:onnx. Each case must be answered as
// the suite says, or be refused; and each model with rows must answer 64 different requests together
// as it answers them alone, after equal ones. Ends with 1 on any difference.

const ROOT = path.resolve(__dirname, '../../..');
const FOLDER = path.join(ROOT, 'build/onnx');
const PACKAGES = path.join(FOLDER, 'python');
const CASES = path.join(FOLDER, 'cases');
const PACKAGE = 'onnx==1.23.2';
const ROWS = 64;
const GROUP = 48;
const WARM_UPS = 3;

function prepare(): void {
  const marker = path.join(CASES, 'made-of.txt');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === PACKAGE) return;
  mkdirSync(CASES, { recursive: true });
  const steps = [
    ['-m', 'pip', 'install', '--quiet', '--upgrade', '--target', PACKAGES, PACKAGE],
    [path.join(__dirname, 'export.py'), PACKAGES, CASES],
  ];
  for (const step of steps) {
    const { status } = spawnSync('python3', step, { stdio: ['ignore', 'inherit', 'inherit'] });
    if (status !== 0) throw new Error(`python3 ${step.join(' ')} ended with ${status}`);
  }
  writeFileSync(marker, PACKAGE);
}

function readCases(): readonly SuiteCase[] {
  const only = new RegExp(process.argv[2] ?? '');
  const lines = readFileSync(path.join(CASES, 'cases.jsonl'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line) as SuiteCase).filter(({ name }) => only.test(name));
}

/** Something to be served, and what is done with it. */
interface Task {
  readonly id: string;
  readonly file: string;
  readonly run: (url: string, isJoined: () => Promise<boolean>) => Promise<string>;
}

const counts = new Map<string, number>();
const bad: string[] = [];

/** `equal`, `refused: …` and the like; what begins with `DIFFERENT` ends the run with 1. */
function count(result: string, id: string): void {
  const kind = result.split('\n')[0] ?? '';
  counts.set(kind, (counts.get(kind) ?? 0) + 1);
  if (kind.startsWith('DIFFERENT')) bad.push(`${id}: ${result.replace('\n', ': ').slice(0, 300)}`);
}

/** Why a model or a request was refused, in few words that many have in common. */
function causeOf(text: string): string {
  const causes: readonly (readonly [RegExp, string])[] = [
    [/which cannot be served|is not a tensor/, 'an input or output is not a tensor'],
    [
      /not a registered function|No Op registered|Could not find an implementation|NOT_IMPLEMENTED/,
      'ONNX Runtime does not implement the operator',
    ],
    [
      /opset|ai\.onnx\.ml|training|IR_VERSION|is till opset/,
      'ONNX Runtime does not know the operator set',
    ],
    [/has no elements/, 'a tensor without elements'],
    [/NUL character/, 'a string with NUL'],
    [/could not compute/, 'ONNX Runtime refuses the input'],
    [/cannot be loaded/, 'ONNX Runtime refuses the model'],
  ];
  return causes.find(([words]) => words.test(text))?.[1] ?? text.slice(0, 120);
}

const refused = (text: string): string => `refused: ${causeOf(text)}`;

function differs(got: Answer, wanted: readonly SuiteTensor[], one: SuiteCase): string | undefined {
  for (const [at, tensor] of wanted.entries()) {
    const output = got.outputs[at];
    const values = valuesOf(tensor);
    // Half floats have eleven bits: two of the last one.
    const rtol = tensor.datatype === 'FP16' ? Math.max(one.rtol, 2 ** -9) : one.rtol;
    if (output?.shape.join() !== tensor.shape.join()) {
      return `output ${at} has shape [${output?.shape.join()}], not [${tensor.shape.join()}]`;
    }
    const place = values.findIndex((value, i) => !near(output.values[i], value, rtol, one.atol));
    if (place >= 0) {
      return `output ${at}, element ${place} is ${String(output.values[place])}, not ${String(values[place])}`;
    }
  }
  return undefined;
}

const isSame = (a: readonly unknown[], b: readonly unknown[]): boolean =>
  a.length === b.length && a.every((value, at) => near(b[at], value, 0, 0));

const caseTask = (one: SuiteCase): Task => ({
  id: one.name,
  file: one.file,
  run: async (url) => {
    const answer = await ask(url, one.inputs);
    if (answer.status !== 200) return refused(answer.error);
    const difference = differs(answer, one.outputs, one);
    if (difference === undefined) return 'equal';
    const alone = await runAlone(path.join(CASES, one.file), one.inputs);
    const isOurs = alone.some((values, at) => !isSame(values, answer.outputs[at]?.values ?? []));
    return isOurs
      ? `DIFFERENT from the suite\n${difference}`
      : 'equal to ONNX Runtime itself, which differs from the suite';
  },
});

/** As the server compares: halves have fewer bits, and are told from others by their datatype only. */
function sameAnswer(a: Answer, b: Answer): boolean {
  if (a.status !== b.status || a.outputs.length !== b.outputs.length) return false;
  return b.outputs.every(({ shape, values }, at) => {
    const other = a.outputs[at];
    if (other?.shape.join() !== shape.join()) return false;
    return values.every((value, i) => near(other.values[i], value, 4e-3, 1e-5));
  });
}

async function inTurn(url: string, requests: readonly (readonly SuiteTensor[])[]) {
  const answers: Answer[] = [];
  for (const request of requests) answers.push(await ask(url, request));
  return answers;
}

const variantTask = (one: SuiteCase, variant: Variant): Task => ({
  id: `${one.name} (${variant.rows.map(({ name }) => name).join(', ')})`,
  file: variant.file,
  run: async (url, isJoined) => {
    const was = await isJoined();
    // What runs one by one is the same alone by construction; a few requests show it.
    const requests = Array.from({ length: was ? ROWS : 8 }, (_, row) =>
      variant.rows.map((tensor) => rowOf(tensor, row)),
    );
    const alone = await inTurn(url, requests);
    if (alone.every(({ status }) => status !== 200)) return 'refused alone, and so together';
    const [first = []] = requests;
    for (let round = was ? 0 : WARM_UPS; round < WARM_UPS; round += 1) {
      await Promise.all(requests.map(() => ask(url, first)));
    }
    const together = await Promise.all(requests.map((request) => ask(url, request)));
    const wrong = together.flatMap((answer, row) =>
      sameAnswer(answer, alone[row] as Answer) ? [] : [row],
    );
    if (wrong.length > 0) {
      const again = await inTurn(url, requests);
      const isChance = again.some((answer, row) => !sameAnswer(answer, alone[row] as Answer));
      if (isChance) return 'left to chance: differs from run to run';
      return `DIFFERENT together\n${wrong.length} of ${requests.length} requests, first ${wrong[0]}`;
    }
    if (!was) return 'equal one by one: not shown by the graph';
    return (await isJoined()) ? 'equal joined' : 'equal: joining ended by a comparison';
  },
});

interface Named {
  readonly name: string;
  readonly task: Task;
}

/** Serves as many of these as can be served. */
async function serving(group: readonly Named[]): Promise<[TestServer | undefined, Named[]]> {
  let left = [...group];
  while (left.length > 0) {
    const models = left.map(({ name, task }) => ({
      name,
      version: '1',
      path: path.join(CASES, task.file),
    }));
    try {
      const batching = { maxSize: 16, maxDelayMs: 0 };
      return [await startServer({ models, batching, maxQueueDepth: 1000 }), left];
    } catch (error) {
      const text = (error as Error).message;
      const name = /model '(m\d+)'/.exec(text)?.[1];
      const failed = left.find((one) => one.name === name) ?? left[0];
      const isOurs = name !== undefined;
      count(isOurs ? refused(text) : `DIFFERENT: the server ended\n${text}`, failed?.task.id ?? '');
      left = left.filter((one) => one !== failed);
    }
  }
  return [undefined, []];
}

async function runGroup(group: readonly Named[]): Promise<void> {
  const [server, left] = await serving(group);
  if (server === undefined) return;
  const joins = async (name: string): Promise<boolean> => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return text.includes(`onnx_server_joins_requests{model="${name}"} 1\n`);
  };
  for (const [at, { name, task }] of left.entries()) {
    try {
      const url = `${server.url}/v2/models/${name}/infer`;
      count(await task.run(url, () => joins(name)), task.id);
    } catch (error) {
      if (server.child.exitCode === null && server.child.signalCode === null) {
        count(`DIFFERENT: no answer\n${String(error)}`, task.id);
        continue;
      }
      count('DIFFERENT: the server ended', task.id);
      return runGroup(left.slice(at + 1));
    }
  }
  await server.stop();
}

async function main(): Promise<void> {
  prepare();
  const cases = readCases();
  const unknown = cases.filter((one) => one.unknown !== undefined);
  for (const one of unknown)
    count(`refused: ${one.unknown} has no words in the protocol`, one.name);
  const known = cases.filter((one) => one.unknown === undefined);
  const tasks = known.flatMap((one) => [
    caseTask(one),
    ...one.joined.map((variant) => variantTask(one, variant)),
  ]);
  const named = tasks.map((task, at) => ({ name: `m${at}`, task }));
  for (let from = 0; from < named.length; from += GROUP) {
    await runGroup(named.slice(from, from + GROUP));
    process.stderr.write(`${Math.min(named.length, from + GROUP)} of ${named.length} models\n`);
  }
  end(`${cases.length} cases, ${named.length - known.length} models with rows`);
}

function end(total: string): never {
  const lines = [...counts].toSorted((a, b) => b[1] - a[1]).map(([kind, n]) => `${n}\t${kind}`);
  process.stdout.write(`\n${total}\n${lines.join('\n')}\n`);
  for (const line of bad) process.stdout.write(`${line}\n`);
  process.stdout.write(bad.length === 0 ? 'no difference\n' : `${bad.length} differ\n`);
  process.exit(bad.length === 0 ? 0 : 1);
}

// What was seen until then is told, and counts as not run.
process.once('SIGTERM', () => {
  bad.push('ended before it was done');
  end('not all of it');
});

void main();
