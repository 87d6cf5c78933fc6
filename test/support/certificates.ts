import type { KeyObject } from 'node:crypto';
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';

// Node reads X.509 but does not write it. What follows is just enough DER (X.690, RFC 5280) for an
// authority and a server certificate, so that no key lies in the repository and none expires.

export interface Certificate {
  /** PEM. */
  readonly cert: string;
  /** PEM. */
  readonly key: string;
}

export interface Authority extends Certificate {
  /** A certificate for 127.0.0.1, localhost and further names; `subject`: its common name. */
  readonly issue: (subject?: string, ...names: readonly string[]) => Certificate;
}

function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  if (body.length < 0x80) return Buffer.concat([Buffer.from([tag, body.length]), body]);
  // As short as can be: Go refuses other lengths.
  const digits = body.length.toString(16);
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, body]);
}

const sequence = (...content: readonly Uint8Array[]): Buffer => der(0x30, ...content);
const bits = (content: Uint8Array): Buffer => der(0x03, Buffer.from([0]), content);
const octets = (content: Uint8Array): Buffer => der(0x04, content);
const oid = (hex: string): Buffer => der(0x06, Buffer.from(hex, 'hex'));
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));

const COMMON_NAME = oid('550403');
const BASIC_CONSTRAINTS = oid('551d13');
const ALTERNATIVE_NAME = oid('551d11');
const ECDSA_SHA256 = sequence(oid('2a8648ce3d040302'));
const TRUE = der(0x01, Buffer.from([0xff]));
/** GeneralizedTime: the life of every test. */
const VALIDITY = sequence(
  der(0x18, Buffer.from('20200101000000Z')),
  der(0x18, Buffer.from('21200101000000Z')),
);

const nameOf = (name: string): Buffer => sequence(der(0x31, sequence(COMMON_NAME, utf8(name))));

function extensions(isAuthority: boolean, names: readonly string[]): Buffer {
  const one = isAuthority
    ? sequence(BASIC_CONSTRAINTS, TRUE, octets(sequence(TRUE)))
    : sequence(
        ALTERNATIVE_NAME,
        octets(
          sequence(
            der(0x87, Buffer.from([127, 0, 0, 1])),
            ...['localhost', ...names].map((name) => der(0x82, Buffer.from(name))),
          ),
        ),
      );
  return der(0xa3, sequence(one));
}

interface Signing {
  readonly issuer: string;
  readonly subject: string;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly names?: readonly string[];
}

function certificate({ issuer, subject, publicKey, signer, names = [] }: Signing): string {
  const serial = Buffer.concat([Buffer.from([1]), randomBytes(8)]);
  const body = sequence(
    der(0xa0, der(0x02, Buffer.from([2]))),
    der(0x02, serial),
    ECDSA_SHA256,
    nameOf(issuer),
    VALIDITY,
    nameOf(subject),
    publicKey.export({ type: 'spki', format: 'der' }),
    extensions(issuer === subject, names),
  );
  const whole = sequence(body, ECDSA_SHA256, bits(sign('sha256', body, signer)));
  // An empty line at the end, where 64 divides the length, is one that OpenSSL does not read.
  const lines =
    whole
      .toString('base64')
      .match(/.{1,64}/g)
      ?.join('\n') ?? '';
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' });

const pemOf = (key: KeyObject): string => key.export({ type: 'pkcs8', format: 'pem' }).toString();

/** A certificate authority of its own; two of the same name do not trust each other. */
export function createAuthority(name = 'test authority'): Authority {
  const own = keyPair();
  const signer = own.privateKey;
  const self = { issuer: name, subject: name, publicKey: own.publicKey, signer };
  return {
    cert: certificate(self),
    key: pemOf(signer),
    issue: (subject = '127.0.0.1', ...names) => {
      const { publicKey, privateKey } = keyPair();
      const signing = { issuer: name, subject, publicKey, signer, names };
      return { cert: certificate(signing), key: pemOf(privateKey) };
    },
  };
}
