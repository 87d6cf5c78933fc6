import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiObject, App, Chart, Names, YamlOutputType } from 'cdk8s';
import type { IConstruct } from 'constructs';
import { writingReadably } from '../constructs/readable';
import { yamlOf } from '../objects/yaml';

/** A chart’s id that is a valid file name: model ids may hold `_`, DNS names may not. */
const FILE_NAME = /^[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?$/;

function fileName(chart: Chart): string {
  const { id, path } = chart.node;
  return id === path && FILE_NAME.test(id) ? id : Names.toDnsLabel(chart);
}

/** The message of cdk8s, word for word. */
function validate(constructs: readonly IConstruct[]): void {
  const errors = constructs.flatMap((one) =>
    one.node.validate().map((message) => `[${one.node.path}] ${message}`),
  );
  if (errors.length === 0) return;
  throw new Error(`Validation failed with the following errors:\n  ${errors.join('\n  ')}`);
}

/** The objects of each chart, in tree order: without dependencies that is cdk8s’ order. */
function objectsByChart(constructs: readonly IConstruct[]): ReadonlyMap<Chart, ApiObject[]> {
  const charts = new Map<Chart, ApiObject[]>();
  for (const one of constructs) {
    if (Chart.isChart(one)) charts.set(one as Chart, []);
    else if (ApiObject.isApiObject(one))
      charts.get((one as ApiObject).chart)?.push(one as ApiObject);
  }
  return charts;
}

/**
 * An `App` whose time grows with its objects and not with their square: cdk8s validates and
 * resolves the whole tree again for every chart. The bytes are the same; the file is named after
 * the chart’s id where cdk8s would add a hash to it (`deep_tcm_diagnosis.k8s.yaml`). Dependencies
 * between constructs, charts in charts and other ways to divide the output are left to cdk8s.
 */
export class LinearApp extends App {
  override synth(): void {
    const constructs = this.node.findAll();
    if (this.#needsStock(constructs)) {
      writingReadably(() => super.synth());
      return;
    }
    validate(constructs);
    mkdirSync(this.outdir, { recursive: true });
    for (const [chart, objects] of objectsByChart(constructs)) {
      const text = yamlOf(objects.map((object) => object.toJson() as object));
      writeFileSync(join(this.outdir, `${fileName(chart)}${this.outputFileExtension}`), text);
    }
  }

  override synthYaml(): string {
    return writingReadably(() => super.synthYaml());
  }

  #needsStock(constructs: readonly IConstruct[]): boolean {
    const { recordConstructMetadata } = this as unknown as { recordConstructMetadata: boolean };
    return (
      recordConstructMetadata ||
      this.yamlOutputType !== YamlOutputType.FILE_PER_CHART ||
      constructs.some(({ node }) => node.dependencies.length > 0 || isNested(node))
    );
  }
}

/** A chart below a chart: then cdk8s numbers the files. */
function isNested({ scopes }: IConstruct['node']): boolean {
  return scopes.filter((one) => Chart.isChart(one)).length > 1;
}
