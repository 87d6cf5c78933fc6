import type { Config } from '../app/config';
import type { FetchJson } from './json-fetch';
import { checkedUrl, fetchJson as fetchFromNetwork } from './json-fetch';
import type { JwksOptions } from './jwks';
import { Jwks } from './jwks';
import type { ReloadCounts } from './key-store';
import { Tokens } from './tokens';

/** The identity provider whose tokens are accepted. */
export interface TokenIssuer {
  readonly tokens: Tokens;
  /** Reads its keys; a provider that is down does not keep the service from its start. */
  readonly open: () => Promise<void>;
  readonly refresh: () => Promise<void>;
  readonly fetches: () => ReloadCounts;
  readonly close: () => void;
}

export interface TokenIssuerOptions extends Pick<JwksOptions, 'clock' | 'log'> {
  readonly fetchJson?: FetchJson | undefined;
}

/** @throws Error when a URL of the configuration is not safe */
export function createTokenIssuer(
  jwt: NonNullable<Config['auth']['jwt']>,
  { clock, log, fetchJson = fetchFromNetwork }: TokenIssuerOptions,
): TokenIssuer {
  const { issuer, jwksUrl } = jwt;
  checkedSetting('auth.jwt.jwks_url', jwksUrl);
  if (jwksUrl === undefined) checkedSetting('auth.jwt.issuer', issuer);
  const jwks = new Jwks({ issuer, jwksUrl, fetchJson, clock, log }, () => tokens.flush());
  const tokens: Tokens = new Tokens({ ...jwt, now: clock.now }, jwks);
  return {
    tokens,
    open: () => jwks.refresh(),
    refresh: () => jwks.refresh(),
    fetches: () => jwks.counts(),
    close: () => jwks.close(),
  };
}

function checkedSetting(name: string, url: string | undefined): void {
  try {
    if (url !== undefined) checkedUrl(url);
  } catch (error) {
    throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
  }
}
