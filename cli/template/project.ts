import { PACKAGE } from '../package-source';
import { IRIS_ONNX } from './iris';

/** A file of a new project; the path is relative to its folder. */
export interface TemplateFile {
  readonly path: string;
  readonly content: string | Uint8Array;
}

const MODEL = `import { defineModel } from '@suoke/ai-model-service';

export default defineModel({
  id: 'iris',
  version: '1.0.0',
  type: 'classification',
  framework: 'onnx',
  source: './iris.onnx',
});
`;

const CDK8S = `# "cdk8s synth" and "ai-model-service synth" write the same manifests to dist/.
language: typescript
app: npx ai-model-service synth models
`;

const REQUEST = `{"input_data": {"measurements": [5.1, 3.5, 1.4, 0.2]}}
`;

const readme = (name: string): string => `# ${name}

Each file of models/ is one model. Change one, then:

\`\`\`sh
npm run validate   # every fault of every definition, in one answer
npm run dev        # the models answer on http://127.0.0.1:8080
npm run plan       # what would change in dist/
npm run synth      # write dist/; commit it, and let CI or GitOps apply it
\`\`\`

A call, while \`npm run dev\` runs:

\`\`\`sh
curl http://127.0.0.1:8080/api/v1/models/iris/inference \\
  -H 'content-type: application/json' -d @examples/requests/iris.json
\`\`\`
`;

const TSCONFIG = {
  compilerOptions: {
    target: 'es2022',
    module: 'node20',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
  },
  include: ['models'],
};

/** Dependencies of a new project: the major versions that this package is tested with. */
const DEPENDENCIES = {
  cdk8s: '^2.70.0',
  'cdk8s-plus-28': '^2.5.6',
  constructs: '^10.4.0',
  'onnxruntime-node': '^1.23.0',
};

/** For `cdk8s synth`, and for types in the editor. */
const TOOLS = { 'cdk8s-cli': '^2.200.0', typescript: '^6.0.0' };

function packageJson(name: string, dependency: string): string {
  const content = {
    name,
    version: '0.1.0',
    private: true,
    scripts: {
      dev: 'ai-model-service dev models',
      synth: 'ai-model-service synth models',
      validate: 'ai-model-service validate models',
      plan: 'ai-model-service plan models',
    },
    dependencies: { [PACKAGE]: dependency, ...DEPENDENCIES },
    devDependencies: TOOLS,
    // Its install script downloads GPU files that a CPU does not need.
    allowScripts: { 'onnxruntime-node': false },
  };
  return `${JSON.stringify(content, null, 2)}\n`;
}

/**
 * Git on Windows would write CRLF into the manifests, which `synth --check` and kubectl see as
 * other bytes.
 */
const GIT_ATTRIBUTES = `* text=auto eol=lf
*.onnx binary
*.tgz binary
`;

/**
 * The files of a new project.
 * @param dependency version of this package in package.json: a range, or `file:…`
 */
export function projectFiles(name: string, dependency: string): readonly TemplateFile[] {
  return [
    { path: 'models/iris.ts', content: MODEL },
    { path: 'models/iris.onnx', content: IRIS_ONNX },
    { path: 'examples/requests/iris.json', content: REQUEST },
    { path: 'README.md', content: readme(name) },
    { path: 'cdk8s.yaml', content: CDK8S },
    { path: 'package.json', content: packageJson(name, dependency) },
    { path: 'tsconfig.json', content: `${JSON.stringify(TSCONFIG, null, 2)}\n` },
    { path: '.gitignore', content: 'node_modules/\n.ai-model-service/\n' },
    { path: '.gitattributes', content: GIT_ATTRIBUTES },
  ];
}
