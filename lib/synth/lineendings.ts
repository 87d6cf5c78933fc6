/** Git and editors on Windows end lines with CR LF; the manifest says the same. */
export function withoutCarriageReturns(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
