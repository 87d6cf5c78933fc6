let dateAt = 0;
let dateText = '';
/** The value of the `Date` header, cached for one second. */
export function date(): string {
  const now = Date.now();
  if (now - dateAt >= 1000 || now < dateAt) {
    dateAt = now - (now % 1000);
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}
