/** What JSON writes as it is; most names and ids are such. */
const PLAIN = /^[\w .:/+=@-]*$/;

/** A text as JSON has it; JSON.stringify costs five times as much. */
export const quoted = (text: string): string =>
  PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
