import type { FetchSource, SpawnServer } from '../cluster/local';
import type { Log } from '../shared/log';
import type { LeveledLog } from './log';
import type { Config } from './config';
import type { ModelsFolderOptions } from './models-folder';

export interface ServiceOptions {
  readonly config: Config;
  /** Folder that the paths of the configuration are relative to. */
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  /** How the built-in ONNX server is started. */
  readonly spawnServer: SpawnServer;
  /** Loads artifacts for models of this machine; absent: only files are loaded. */
  readonly fetchSource?: FetchSource | undefined;
  readonly version: string;
  readonly log: Log & Partial<Pick<LeveledLog, 'level' | 'always'>>;
  /** Folder with the files of the offline API page; found automatically when absent. */
  readonly docsAssets?: string | undefined;
  /** Called after a change of the models folder was applied. */
  readonly onModelsChanged?: ModelsFolderOptions['onModelsChanged'];
}
