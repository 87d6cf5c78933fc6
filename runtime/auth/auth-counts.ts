import type { AuthResult, Credential, FailureReason } from './port';

/** How often an authentication ended so; both are of closed lists. */
export interface CountedResult {
  readonly credential: Credential | 'none';
  readonly result: FailureReason | 'ok';
  readonly count: number;
}

type Results = Map<CountedResult['result'], number>;

/** Counts authentications by credential and result. */
export class AuthCounts {
  private readonly all = new Map<CountedResult['credential'], Results>();

  add(result: AuthResult): void {
    const { credential = 'none' } = result.ok ? result.caller : result;
    const found = result.ok ? 'ok' : (result.reason ?? 'ok');
    const results = this.all.get(credential) ?? new Map();
    if (results.size === 0) this.all.set(credential, results);
    results.set(found, (results.get(found) ?? 0) + 1);
  }

  results(): readonly CountedResult[] {
    return [...this.all].flatMap(([credential, results]) =>
      [...results].map(([result, count]) => ({ credential, result, count })),
    );
  }
}
