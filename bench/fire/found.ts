import type { Shot } from './openloop';
import type { SceneOptions } from './scene';
import { request } from './scene';

// What every scenario tells, and what most of them ask.

export interface Found {
  readonly goal: string;
  readonly measured: string;
  readonly isMet: boolean;
}

export const NATIVE = '/api/v1/models/m/inference';
export const ONE = { input_data: { x: [1, 2, 3] } };
export const plain = request(NATIVE, ONE);
export const isWell = ({ status }: Shot): boolean => status === 200;
export const failures = (shots: readonly Shot[]): number =>
  shots.filter((one) => !isWell(one)).length;
export const waits = (shots: readonly Shot[]): readonly number[] => shots.map(({ ms }) => ms);
export const FOUR: SceneOptions = {
  arms: { stable: 4 },
  serviceMs: 10,
  inference: { maxConcurrency: 64 },
};
