import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const FOLDER = join(__dirname, '../../examples/train');
const text = (file: string): string => readFileSync(join(FOLDER, file), 'utf8');
const json = (file: string): unknown => JSON.parse(text(file));

interface Syndrome {
  readonly name: string;
  readonly english: string;
  readonly age: number;
  readonly female: number;
  readonly symptoms: Readonly<Record<string, number>>;
}

interface Symptom {
  readonly english: string;
  readonly synonyms: readonly string[];
  readonly added: readonly string[];
}

const { syndromes } = json('syndromes.json') as { syndromes: readonly Syndrome[] };
const { symptoms } = json('symptoms.json') as { symptoms: Readonly<Record<string, Symptom>> };
const treatment = json('treatment.json') as {
  readonly english: Readonly<Record<string, string>>;
  readonly syndromes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly traits: Readonly<Record<string, Readonly<Record<string, number>>>>;
};

const isShare = (value: number): boolean => value > 0 && value < 1;

describe('the textbook tables', () => {
  test('have every symptom of a syndrome in the vocabulary, and the reverse', () => {
    const used = new Set(syndromes.flatMap((syndrome) => Object.keys(syndrome.symptoms)));
    expect([...used].sort()).toEqual(Object.keys(symptoms).sort());
  });

  test('give a word one symptom only', () => {
    const words = Object.entries(symptoms).flatMap(([name, { english, synonyms, added }]) =>
      [name, english, synonyms, added].flat(),
    );
    expect(words.filter((word, place) => words.indexOf(word) !== place)).toEqual([]);
    expect(words.filter((word) => word === '' || word !== word.trim())).toEqual([]);
  });

  test('give every syndrome a treatment, and every principle an English name', () => {
    const names = syndromes.map(({ name }) => name);
    expect(Object.keys(treatment.syndromes)).toEqual(names);
    const rows = [...Object.values(treatment.syndromes), ...Object.values(treatment.traits)];
    const principles = new Set(rows.flatMap((row) => Object.keys(row)));
    expect([...principles].sort()).toEqual(Object.keys(treatment.english).sort());
  });

  test('have weights that are shares, so that patients can be simulated', () => {
    const weights = [
      ...syndromes.flatMap(({ female, symptoms: shown }) => [female, ...Object.values(shown)]),
      ...Object.values(treatment.syndromes).flatMap((row) => Object.values(row)),
    ];
    expect(weights.filter((weight) => !isShare(weight))).toEqual([]);
  });
});

describe.each(['README.md', 'README.zh-CN.md'])('%s', (page) => {
  test('has the numbers of metrics.json', () => {
    const measured = new Set(text('metrics.json').match(/\b0\.\d+/g));
    const said = [...text(page).matchAll(/\b0\.\d{3,}/g)].map(([value]) => value);
    expect(said.length).toBeGreaterThan(10);
    expect(said.filter((value) => !measured.has(value))).toEqual([]);
  });

  test('has the size of the tables', () => {
    for (const count of [syndromes, Object.keys(symptoms), Object.keys(treatment.english)])
      expect(text(page)).toMatch(new RegExp(`(^|\\D)${count.length} `, 'm'));
  });

  test('states that it is not medical advice', () => {
    expect(text(page)).toMatch(/not medical advice|不是医疗建议/);
  });
});
