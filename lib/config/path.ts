import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';

/** Resolves a path of the configuration: `~/x` is in the home directory. */
function expanded(path: string, context: z.core.$RefinementCtx<string>): string {
  if (!path.startsWith('~')) return path;
  const refuse = (message: string): never => {
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  };
  if (path !== '~' && !path.startsWith('~/'))
    return refuse('a path; only ~/ stands for a home directory, your own: write the whole path');
  try {
    return join(homedir(), path.slice(1));
  } catch {
    return refuse('a path without ~: this user has no home directory; write the whole path');
  }
}

/** A file or folder of this machine. */
export const pathSchema = z.string().min(1).transform(expanded);
