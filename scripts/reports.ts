// Reports of tools that check manifests, as findings.
import { z } from 'zod';
import type { Finding } from './waivers';

const kubeconform = z.object({
  // Only what is wrong is listed.
  resources: z
    .array(
      z.object({
        filename: z.string(),
        kind: z.string(),
        name: z.string(),
        status: z.string(),
        msg: z.string(),
      }),
    )
    .nullish(),
});

export function kubeconformFindings(report: unknown): readonly Finding[] {
  return (kubeconform.parse(report).resources ?? []).map(
    ({ filename, kind, name, status, msg }) => ({
      tool: 'kubeconform',
      check: msg.startsWith('could not find schema') ? 'no-schema' : status,
      object: `${kind}/${name}`,
      file: filename,
      says: msg,
    }),
  );
}

const kubeScoreObjects = z.array(
  z.object({
    type_meta: z.object({ kind: z.string() }),
    object_meta: z.object({ name: z.string() }),
    file_name: z.string(),
    checks: z
      .array(
        z.object({
          check: z.object({ id: z.string() }),
          grade: z.int(),
          skipped: z.boolean(),
          comments: z.array(z.object({ path: z.string(), summary: z.string() })).nullable(),
        }),
      )
      .nullable(),
  }),
);

/** Null for a file with no object that it knows. */
const kubeScore = kubeScoreObjects.nullable();

/** kube-score's grades: 1 is critical, 5 a warning, 7 almost right, 10 right. */
const CRITICAL = 1;
const NO_COMMENT = [{ summary: '(no comment)' }];

export function kubeScoreFindings(report: unknown): readonly Finding[] {
  return (kubeScore.parse(report) ?? []).flatMap(({ type_meta, object_meta, file_name, checks }) =>
    (checks ?? [])
      .filter(({ grade, skipped }) => grade <= CRITICAL && !skipped)
      .flatMap(({ check, comments }) =>
        // One for each container, which may say the same.
        [...new Set((comments ?? NO_COMMENT).map(({ summary }) => summary))].map((says) => ({
          tool: 'kube-score',
          check: check.id,
          object: `${type_meta.kind}/${object_meta.name}`,
          file: file_name,
          says,
        })),
      ),
  );
}

const checkovRun = z.object({
  summary: z.object({ passed: z.int(), parsing_errors: z.int(), resource_count: z.int() }),
  results: z.object({
    failed_checks: z.array(
      z.object({
        check_id: z.string(),
        check_name: z.string(),
        resource: z.string(),
        file_path: z.string(),
      }),
    ),
  }),
});

/** checkov names an object `Kind.namespace.name`, with its labels behind when it is a pod template. */
function checkovObject(resource: string): string {
  const [kind = '', , name = ''] = resource.split('.');
  return `${kind}/${name}`;
}

export function checkovFindings(report: unknown): readonly Finding[] {
  const { summary, results } = checkovRun.parse(report);
  if (summary.parsing_errors > 0 || summary.passed === 0) {
    throw new Error(`checkov could not read the manifests: ${JSON.stringify(summary)}`);
  }
  return results.failed_checks.map(({ check_id, check_name, resource, file_path }) => ({
    tool: 'checkov',
    check: check_id,
    object: checkovObject(resource),
    file: file_path,
    says: check_name,
  }));
}
