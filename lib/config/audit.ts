import { z } from 'zod';
import { JSON_PATH_FORM, parseJsonPath } from './json-path';
import { pathSchema } from './path';

const MIB = 1024 * 1024;

const KIB = 1024;

const payloadSchema = z
  .strictObject({
    sampleRatio: z
      .number()
      .gt(0)
      .max(1)
      .describe('Part of the inferences whose payload is recorded; 1: all.'),
    models: z
      .array(z.string().min(1))
      .min(1)
      .max(1000)
      .describe('Ids of the models whose payload is recorded; `*`: all.'),
    redact: z
      .array(
        z
          .string()
          .max(256)
          .refine((path) => parseJsonPath(path) !== undefined, { error: JSON_PATH_FORM }),
      )
      .max(32)
      .default([])
      .describe(
        'JSON paths of values that are replaced, in requests and answers: `$.a.b`, `$.a[*].b`, `$..name`. With any, error answers are left out, and members `error` of others are replaced, since their text may quote a value.',
      ),
    maxBytes: z
      .int()
      .min(1)
      .max(32 * KIB)
      .default(16 * KIB)
      .describe('A larger request or answer is left out.'),
  })
  .describe(
    'Content of inferences in their lines, for the few who must keep it. Absent: none is recorded.',
  );

export const auditSchema = z
  .strictObject({
    file: pathSchema.optional().describe('JSON lines; absent: no audit; "-": stdout.'),
    inference: z
      .boolean()
      .default(false)
      .describe(
        'A line for every inference as well: caller, version and time; its content only with payload.',
      ),
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
    payload: payloadSchema.optional(),
  })
  .refine(({ inference, payload }) => payload === undefined || inference, {
    path: ['inference'],
    error:
      'true, since payload is given and is part of the line of an inference; set it to true, or remove payload',
  })
  .refine(({ file, payload }) => payload === undefined || file !== undefined, {
    path: ['file'],
    error: 'a file, or "-", since payload is given; name one, or remove payload',
  })
  .refine(({ file, chainKeyFile }) => chainKeyFile === undefined || file !== undefined, {
    path: ['file'],
    error: 'a file, or "-", since chainKeyFile is given; name one, or remove chainKeyFile',
  });
