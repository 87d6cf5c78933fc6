import type { TableHolder } from '../../runtime/core/routing/table';
import { EMPTY_TABLE } from '../../runtime/core/routing/table';
import { createDispatcher } from '../../runtime/data/dispatch/dispatcher';
import type { Load } from '../../runtime/core/routing/load';
import { seeded } from '../core/simulator';

/** A data plane without sockets: a real dispatcher on a table, and servers that fail as told. */
export interface Callers {
  readonly table: TableHolder;
  readonly load: Load;
  /** Part of the requests of an arm that break. */
  readonly broken: Record<string, number>;
  /** Attempts by arm. */
  readonly tried: Record<string, number>;
  readonly counts: { broken: number };
  /** One request of one caller. */
  readonly request: (key: string | undefined) => void;
}

export function createCallers(now: () => number, seed = 7): Callers {
  const random = seeded(seed);
  const table: TableHolder = { current: EMPTY_TABLE };
  const broken: Record<string, number> = {};
  const tried: Record<string, number> = {};
  const counts = { broken: 0 };
  const { dispatcher, load } = createDispatcher({
    table,
    clock: { now, setTimeout: () => () => undefined },
    random,
    onOutcome: () => undefined,
  });
  const request = (key: string | undefined): void => {
    const model = table.current.models.get('iris');
    if (model === undefined) throw new Error('iris has no route');
    dispatcher.start(
      {
        model,
        cohortKey: key,
        priority: 'normal',
        timeoutMs: 30_000,
        items: 1,
        signal: new AbortController().signal,
      },
      {
        replayable: false,
        attempt: ({ arm: { name } }, report) => {
          tried[name] = (tried[name] ?? 0) + 1;
          const fails = random() < (broken[name] ?? 0);
          if (fails) counts.broken += 1;
          const result = fails
            ? ({ kind: 'reset', message: 'broke' } as const)
            : ({ kind: 'answered', status: 200 } as const);
          if (report.settled(result) === 'deliver' && !fails) report.finished(result);
        },
        receive: () => undefined,
        fingerprint: () => undefined,
        onUnanswered: () => undefined,
      },
    );
  };
  return { table, load, broken, tried, counts, request };
}

/** The candidate's share in a table, percent. */
export function shareIn({ table }: Pick<Callers, 'table'>): number {
  const shares = table.current.models.get('iris')?.shares ?? [];
  return (shares.find(({ arm }) => arm === 'next')?.hundredths ?? 0) / 100;
}
