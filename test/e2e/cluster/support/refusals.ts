import type { Place } from './place';

/** Lines of the routers' logs about something the API server did not let them do. */
export async function refusals({ logs }: Pick<Place, 'logs'>): Promise<readonly string[]> {
  return (await logs()).split('\n').filter((line) => /\b403\b|forbidden/i.test(line));
}
