/** Git and editors on Windows end lines with CR LF, which does not change the manifest. */
export function withoutCarriageReturns(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
