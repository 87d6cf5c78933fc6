import { quoted } from '../shared/quoted';

/** A provider that takes longer counts as down. */
const TIMEOUT_MS = 5000;
/** A hundred keys with certificate chains. */
const MAX_BYTES = 1024 * 1024;
const MAX_REDIRECTS = 3;

/** Gets a document of an identity provider. Rejects with a message without its content. */
export type FetchJson = (url: string) => Promise<unknown>;

const THIS_MACHINE = /^(?:localhost|127(?:\.[0-9]+){3}|\[::1\])$/;

/** A URL may come from a document of the provider: it is shown escaped, and its beginning only. */
const MAX_SHOWN_CHARACTERS = 200;
const shown = (url: string): string => quoted(url.slice(0, MAX_SHOWN_CHARACTERS));

/** @throws Error for a URL whose answer others on the network could change */
export function checkedUrl(url: string): URL {
  if (!URL.canParse(url)) throw new Error(`${shown(url)}: is not a URL`);
  const parsed = new URL(url);
  if (parsed.username !== '' || parsed.password !== '') {
    throw new Error(`${shown(parsed.host)}: the URL must hold no user and no password`);
  }
  if (parsed.protocol === 'https:') return parsed;
  if (parsed.protocol === 'http:' && THIS_MACHINE.test(parsed.hostname)) return parsed;
  throw new Error(`${shown(url)}: must be https (http on this machine only)`);
}

/** @throws Error when it is longer than a document may be */
async function limitedText(answer: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of answer.body ?? []) {
    bytes += (chunk as Uint8Array).length;
    if (bytes > MAX_BYTES) throw new Error(`answered more than ${MAX_BYTES} bytes`);
    chunks.push(chunk as Uint8Array);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The URL that a redirect leads to. @throws Error for another host */
function redirected(from: URL, location: string | null): URL {
  const to = checkedUrl(new URL(location ?? '', from).href);
  if (to.host === from.host && to.protocol === from.protocol) return to;
  throw new Error(`redirects to another host (${shown(to.host)}); write the final URL`);
}

async function answerOf(url: URL, signal: AbortSignal, left = MAX_REDIRECTS): Promise<string> {
  const headers = { accept: 'application/json' };
  const answer = await fetch(url, { redirect: 'manual', signal, headers });
  if (answer.status >= 300 && answer.status < 400) {
    await answer.body?.cancel();
    if (left === 0) throw new Error(`redirects more than ${MAX_REDIRECTS} times`);
    return answerOf(redirected(url, answer.headers.get('location')), signal, left - 1);
  }
  if (!answer.ok) {
    await answer.body?.cancel();
    throw new Error(`answered ${answer.status}`);
  }
  return limitedText(answer);
}

/** Bounded in time and size; follows redirects within the host only. */
export const fetchJson: FetchJson = async (url) => {
  const checked = checkedUrl(url);
  const host = checked.host.slice(0, MAX_SHOWN_CHARACTERS);
  const text = await answerOf(checked, AbortSignal.timeout(TIMEOUT_MS)).catch((error: unknown) => {
    const { name, message, cause } = error as Error;
    const words = name === 'TimeoutError' ? `gave no answer in ${TIMEOUT_MS} ms` : message;
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    throw new Error(`${host}: ${words}${why}`);
  });
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw new Error(`${host}: answered no JSON`);
  }
};
