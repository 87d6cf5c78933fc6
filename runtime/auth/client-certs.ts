import { randomBytes, timingSafeEqual } from 'node:crypto';
import type { ClientCertEntry } from '../../lib/config';
import type { AuthRequest, AuthResult, ClientCertificate } from './port';
import { HAND_OVER_HEADER, refused } from './port';

/** `CN=app,O=Clinic` → `['CN=app', 'O=Clinic']`; a comma within a value stands behind a backslash. */
const partsOf = (subject: string): readonly string[] =>
  subject.split(/(?<!\\)[,\n]/).map((part) => part.trim());

/** Authors write a name from its root on, or towards it (RFC 4514). */
function isSubject(given: readonly string[], written: readonly string[]): boolean {
  const text = given.join('\n');
  return text === written.join('\n') || text === written.toReversed().join('\n');
}

/** `DNS:a, URI:b` → its names. Node quotes a value that holds a comma. */
function namesOf({ subjectAltName = '' }: ClientCertificate): readonly string[] {
  const found = subjectAltName.matchAll(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g);
  return [...found].map(([name]) => comparable(name.trim().replace(/^IP Address:/, 'IP:')));
}

/** DNS has no capitals. */
const comparable = (name: string): string => (/^dns:/i.test(name) ? name.toLowerCase() : name);

interface Rule {
  readonly isFor: (certificate: ClientCertificate) => boolean;
  readonly result: AuthResult;
}

function ruleOf({ subject, san, name, scopes, models }: ClientCertEntry): Rule {
  const caller = { name, scopes, ...(models && { models }), credential: 'certificate' } as const;
  const written = subject === undefined ? undefined : partsOf(subject);
  const wanted = san === undefined ? undefined : comparable(san);
  return {
    isFor: (certificate) =>
      (written === undefined || isSubject(partsOf(certificate.subject), written)) &&
      (wanted === undefined || namesOf(certificate).includes(wanted)),
    result: { ok: true, caller },
  };
}

const UNKNOWN = refused(
  'UNAUTHENTICATED',
  'the client certificate is not known here; ask the administrator to add it (auth.client_certs)',
  'unknown',
  'certificate',
);
const EXPIRED = refused(
  'UNAUTHENTICATED',
  'the client certificate has ended; get another one',
  'expired',
  'certificate',
);

interface Judged {
  /** Index of the rule; undefined: none is for it. */
  readonly rule: number | undefined;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Callers that show a certificate of `server.tls.client_ca`. */
export class ClientCertificates {
  private readonly rules: readonly Rule[];
  /** A connection shows one certificate, and asks many times. */
  private readonly judged = new WeakMap<ClientCertificate, Judged>();
  /** Known to this process alone, so that no caller can say that it showed a certificate. */
  private readonly secret = randomBytes(32).toString('hex');

  constructor(
    entries: readonly ClientCertEntry[],
    private readonly now: () => number,
  ) {
    this.rules = entries.map(ruleOf);
  }

  /** Undefined: the request shows no certificate. */
  resultOf({ fields, certificate }: AuthRequest): AuthResult | undefined {
    if (certificate === undefined) return this.handedOver(fields.get(HAND_OVER_HEADER));
    const { rule, until } = this.judge(certificate);
    if (until <= this.now()) return EXPIRED;
    return rule === undefined ? UNKNOWN : (this.rules[rule]?.result ?? UNKNOWN);
  }

  /** The value of the header for the management app; undefined: there is nothing to say. */
  handOver({ certificate }: Pick<AuthRequest, 'certificate'>): string | undefined {
    if (certificate === undefined) return undefined;
    const { rule, until } = this.judge(certificate);
    return until <= this.now() ? undefined : `${this.secret}${rule ?? ''}`;
  }

  private handedOver(value: string | undefined): AuthResult | undefined {
    const { length } = this.secret;
    if (value === undefined || value.length < length) return undefined;
    const shown = Buffer.from(value.slice(0, length), 'latin1');
    if (!timingSafeEqual(shown, Buffer.from(this.secret, 'latin1'))) return undefined;
    return this.rules[Number(value.slice(length) || Number.NaN)]?.result ?? UNKNOWN;
  }

  private judge(certificate: ClientCertificate): Judged {
    const before = this.judged.get(certificate);
    if (before !== undefined) return before;
    const rule = this.rules.findIndex(({ isFor }) => isFor(certificate));
    const until = Date.parse(certificate.validTo);
    const judged = { rule: rule < 0 ? undefined : rule, until };
    this.judged.set(certificate, judged);
    return judged;
  }
}
