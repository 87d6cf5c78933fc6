import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { yamlOf } from '../../lib/objects/yaml';
import { awkwardText, SPECIAL_WORDS } from '../support/texts';

// The readers themselves: Kubernetes' own, built with Go, and PyYAML. Each is skipped, and said so,
// where it cannot be had.

const FOLDER = join(__dirname, '..', '..', 'build', 'e2e', 'readers');

const GO_MODULE = `module reader
go 1.24
require k8s.io/apimachinery v0.34.1
`;
const GO_READER = `package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
)

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		fail(err)
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := reader.Read()
		if err == io.EOF {
			return
		}
		if err != nil {
			fail(err)
		}
		text, err := utilyaml.ToJSON(document)
		if err != nil {
			fail(err)
		}
		fmt.Println(string(text))
	}
}
`;
const PYTHON_READER = `
import json, sys, yaml
with open(sys.argv[1], encoding='utf-8', newline='') as file:
    for one in yaml.safe_load_all(file): print(json.dumps(one, default=str))
`;

function command(name: string, ...args: readonly string[]): ReturnType<typeof spawnSync> {
  return spawnSync(name, args, { cwd: FOLDER, encoding: 'utf8', maxBuffer: 1 << 30 });
}

/** The command line of a reader; undefined where it cannot be had. */
function goReader(): readonly [string, ...string[]] | undefined {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'go.mod'), GO_MODULE);
  writeFileSync(join(FOLDER, 'main.go'), GO_READER);
  const made = [command('go', 'mod', 'tidy'), command('go', 'build', '-o', 'reader', '.')];
  return made.every(({ status }) => status === 0) ? [join(FOLDER, 'reader')] : undefined;
}

function pythonReader(): readonly [string, ...string[]] | undefined {
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, 'reader.py'), PYTHON_READER);
  const has = command('python3', '-c', 'import yaml').status === 0;
  return has ? ['python3', join(FOLDER, 'reader.py')] : undefined;
}

const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    awkwardText,
    fc.oneof(awkwardText, fc.integer(), fc.boolean()),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(awkwardText, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ),
}));
const document = fc.dictionary(awkwardText, value, {
  minKeys: 1,
  maxKeys: 5,
  noNullPrototype: true,
});

test.each([
  ['the reader of Kubernetes', goReader],
  ['PyYAML', pythonReader],
])('%s reads every text as it was written', (name, find) => {
  const reader = find();
  if (reader === undefined) {
    console.warn(`SKIPPED ${name}: it cannot be installed here`);
    return;
  }
  const words = SPECIAL_WORDS.map((word) => ({ [word]: word, list: [word], one: 1 }));
  const docs = [...words, ...fc.sample(document, 4000)].filter(
    (one) => !/\\ud[89a-f]/i.test(JSON.stringify(one)),
  );
  const file = join(FOLDER, 'documents.yaml');
  writeFileSync(file, yamlOf(docs));
  const [program, ...args] = reader;
  const { status, stdout, stderr } = command(program, ...args, file);
  expect([status, stderr]).toEqual([0, '']);
  const read = String(stdout)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  expect(read).toEqual(JSON.parse(JSON.stringify(docs)));
});
