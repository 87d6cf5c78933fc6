import type { Fruitless } from '../../core/routing/batching';
import {
  afterDifferent,
  afterJoined,
  afterRefused,
  afterUnsplit,
  isCompared,
  mayJoin,
  timeClass,
  waitMs,
} from '../../core/routing/batching';
import type { Compared } from '../../core/routing/batching';
import type { CallOptions, UpstreamContext } from '../upstream/call';
import type { Clock } from '../dispatch/queue';
import { haveSameRows } from './splice';
import type { JointEnd, Member, Part } from './batched-call';
import { askTogether } from './batched-call';
import type { Companion } from '../dispatch/job';

/** A call that batching made. */
export interface Joined {
  readonly model: string;
  readonly arm: string;
  readonly requests: number;
  /** It came to nothing: the requests were called one by one. */
  readonly isUndone: boolean;
  /** Some of its requests were called alone as well, and what that has shown. */
  readonly compared?: 'same' | 'different' | undefined;
}

/** Collects requests that are alike and asks for them together. */
export interface Joiner {
  /** Takes a request whose arm is known; `partOf` says how it goes with others, if it does. */
  readonly gather: (
    base: CallOptions,
    companion: Companion,
    partOf: () => Part | undefined,
  ) => void;
}

interface Group {
  readonly members: Set<Member>;
  rows: number;
  bytes: number;
  cancel: () => void;
}

/** What one call may have at most, and how long the first of it waits for others. */
interface Most {
  readonly maxSize: number;
  readonly maxBytes: number;
  readonly maxDelayMs: number;
}

interface Options {
  readonly calling: UpstreamContext;
  readonly clock: Clock;
  readonly onJoined: (joined: Joined) => void;
  /** Draws the joined calls that are compared: [0, 1). */
  readonly random: () => number;
  readonly mayCompare: () => boolean;
}

/** In the same turn of the event loop all that has arrived is read; this comes behind it. */
function soon(call: () => void): () => void {
  const handle = setImmediate(call);
  return () => clearImmediate(handle);
}

/** What is wrong with a request is told when it goes alone. */
function tryPart(partOf: () => Part | undefined): Part | undefined {
  try {
    return partOf();
  } catch {
    return undefined;
  }
}

class Groups implements Joiner {
  private readonly open = new Map<string, Group>();
  /** One entry per arm: what was learnt of its last version. */
  private readonly fruitless = new Map<string, Fruitless>();

  private readonly compared = new Map<string, Compared>();

  constructor(private readonly options: Options) {}

  gather(base: CallOptions, companion: Companion, partOf: () => Part | undefined): void {
    const { batching, maxBodyBytes } = base.model.inference;
    const known = this.fruitless.get(nameOf(base, companion));
    const isTried = mayJoin(known, companion.arm.version, this.options.clock.now());
    const part = isTried ? tryPart(partOf) : undefined;
    if (batching === undefined || part === undefined || part.cut.rows >= batching.maxSize) {
      return companion.alone(false);
    }
    this.add({ base, companion, part }, { ...batching, maxBytes: maxBodyBytes });
  }

  private add(member: Member, { maxSize, maxBytes, maxDelayMs }: Most): void {
    const { base, companion, part } = member;
    const time = timeClass(companion.deadline - this.options.clock.now());
    const key = [nameOf(base, companion), base.priority, time, part.key].join('\0');
    const { rows } = part.cut;
    let group = this.open.get(key);
    const isFull = (one: Group): boolean =>
      one.rows + rows > maxSize || one.bytes + part.bytes > maxBytes;
    if (group !== undefined && isFull(group)) {
      this.flush(key, group);
      group = undefined;
    }
    const own = group ?? this.begin(key, waitMs(maxDelayMs, time));
    own.members.add(member);
    own.rows += rows;
    own.bytes += part.bytes;
    companion.whenGone(() => this.leave(key, own, member));
    if (own.rows >= maxSize) this.flush(key, own);
  }

  private begin(key: string, delayMs: number): Group {
    const group: Group = { members: new Set(), rows: 0, bytes: 0, cancel: () => undefined };
    const flush = (): void => this.flush(key, group);
    group.cancel = delayMs === 0 ? soon(flush) : this.options.clock.setTimeout(flush, delayMs);
    this.open.set(key, group);
    return group;
  }

  private leave(key: string, group: Group, member: Member): void {
    group.members.delete(member);
    group.rows -= member.part.cut.rows;
    group.bytes -= member.part.bytes;
    if (group.members.size > 0) return;
    group.cancel();
    this.open.delete(key);
  }

  private flush(key: string, { members, cancel }: Group): void {
    cancel();
    this.open.delete(key);
    const all = [...members];
    const [first] = all;
    if (first === undefined) return;
    if (all.length === 1) {
      this.tell(first, 1);
      return first.companion.alone(false);
    }
    const { calling, clock } = this.options;
    const name = nameOf(first.base, first.companion);
    const isProof = all.some(({ part }) => !haveSameRows(part.cut, first.part.cut));
    const known = this.compared.get(name);
    const { version: own } = first.companion.arm;
    const isChecked =
      this.options.mayCompare() && isCompared(known, own, isProof, this.options.random());
    this.compared.set(name, afterJoined(known, own, isChecked && isProof));
    askTogether(calling, all, clock.now, isChecked, (end, version) => {
      this.tell(first, all.length, end, isChecked);
      this.learn(name, end, version ?? own);
    });
  }

  private tell({ base, companion }: Member, requests: number, end?: JointEnd, isChecked = false) {
    const isUndone = end === 'refused' || end === 'unsplit' || end === 'different';
    const result = end === 'split' ? 'same' : end === 'different' ? 'different' : undefined;
    const compared = isChecked ? result : undefined;
    const [model, arm] = [base.model.id, companion.arm.name];
    this.options.onJoined({ model, arm, requests, isUndone, compared });
  }

  private learn(name: string, end: JointEnd, version: string): void {
    if (end === 'split') this.fruitless.delete(name);
    if (end === 'unsplit') this.fruitless.set(name, afterUnsplit(version));
    if (end === 'different') this.fruitless.set(name, afterDifferent(version));
    if (end !== 'refused') return;
    const now = this.options.clock.now();
    this.fruitless.set(name, afterRefused(this.fruitless.get(name), version, now));
  }
}

const nameOf = ({ model }: CallOptions, { arm }: Companion): string => `${model.id}\0${arm.name}`;

export function createJoiner(options: Options): Joiner {
  return new Groups(options);
}
