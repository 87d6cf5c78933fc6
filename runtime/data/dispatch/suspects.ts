import type { AttemptResult } from '../../core/routing/outcome';
import type { Poisoned } from '../../core/routing/poisoned-requests';
import {
  addPoisoned,
  hasPoisoned,
  createPoisoned,
  crashVerdict,
  mayHaveCrashed,
  poisonedMs,
} from '../../core/routing/poisoned-requests';
import type { ArmState, EndpointState } from './arm-state';

/** A replica on which an attempt broke, and the fingerprint of the request there. */
export interface Death {
  readonly endpoint: EndpointState;
  readonly fingerprint: string | undefined;
}

interface Suspect {
  readonly arm: ArmState<unknown>;
  readonly deaths: readonly Death[];
  readonly since: number;
}

/** More suspects than this at once are not caused by single requests. */
const MAX_SUSPECTS = 1_000;

/**
 * Requests whose two attempts broke, until the table shows whether both replicas died; and the
 * poisoned requests that killed two replicas. The death of one replica makes no suspect.
 */
export class Suspects {
  private readonly poisoned: Poisoned = createPoisoned();
  private suspects: readonly Suspect[] = [];
  /** Some requests are known to crash replicas: the rare case in which `concerns` is called. */
  hasPoisoned = false;

  constructor(private readonly now: () => number) {}

  /** Called when both attempts broke. */
  add(arm: ArmState<unknown>, deaths: readonly Death[]): void {
    if (this.suspects.length >= MAX_SUSPECTS) return;
    this.suspects = [...this.suspects, { arm, deaths, since: this.now() }];
    this.review();
  }

  /** Called after a table swap: replicas that left the table have died. */
  review(): void {
    if (this.suspects.length === 0) return;
    const now = this.now();
    this.suspects = this.suspects.filter((suspect) => this.isOpen(suspect, now));
  }

  private isOpen({ arm, deaths, since }: Suspect, now: number): boolean {
    const found = new Set(deaths.map(({ endpoint }) => crashVerdict(endpoint, now - since)));
    if (found.has('alive')) return false;
    if (found.has('unknown')) return true;
    const fingerprints = new Set(deaths.flatMap(({ fingerprint }) => fingerprint ?? []));
    for (const one of fingerprints) addPoisoned(this.poisoned, arm.model.route.id, one, now);
    if (fingerprints.size === 0) return false;
    this.hasPoisoned = true;
    arm.poisoned += 1;
    return false;
  }

  concerns(model: string): boolean {
    const isConcerned = hasPoisoned(this.poisoned, model, this.now());
    this.hasPoisoned = this.poisoned.models.size > 0;
    return isConcerned;
  }

  /** Milliseconds for which the request is refused; 0: it may be sent. */
  poisonedMs(fingerprint: string | undefined): number {
    return poisonedMs(this.poisoned, fingerprint ?? '', this.now());
  }
}

/** A terminating replica ends anyway, so it is not counted. */
export function mayHaveDied({ replica }: EndpointState, result: AttemptResult): boolean {
  return mayHaveCrashed(result) && !replica.terminating;
}
