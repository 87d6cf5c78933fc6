import { z } from 'zod';
import { pathSchema } from './path';

const MIB = 1024 * 1024;

export const auditSchema = z
  .strictObject({
    file: pathSchema.optional().describe('JSON lines; absent: no audit; "-": stdout.'),
    inference: z
      .boolean()
      .default(false)
      .describe('A line for every inference as well: caller, version and time, never its content.'),
    chainKeyFile: pathSchema
      .optional()
      .describe(
        'File with a secret of at least 16 bytes; each line then has a MAC over itself and the line before. Absent: no chain.',
      ),
    rotateBytes: z
      .int()
      .min(MIB)
      .max(1024 * 1024 * MIB)
      .optional()
      .describe('A file that would grow larger is put away. Absent: whatever its size.'),
    rotateHours: z
      .int()
      .min(1)
      .max(87_600)
      .optional()
      .describe('A file whose first line is older is put away. Absent: whatever its age.'),
    keep: z
      .int()
      .min(1)
      .max(100_000)
      .optional()
      .describe('Files that are kept beside the one that is written. Absent: all.'),
    onFailure: z
      .enum(['refuse', 'drop'])
      .default('drop')
      .describe(
        'While no line can be written: refuse changes (503), but never an abort, a lower share or an inference; or drop lines that memory has no room for, and count them.',
      ),
  })
  .refine(({ file, chainKeyFile }) => chainKeyFile === undefined || file !== undefined, {
    path: ['file'],
    error: 'a file, or "-", since chainKeyFile is given; name one, or remove chainKeyFile',
  });
