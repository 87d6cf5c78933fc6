// Names of environment variables. Variables of a loader, a runtime, a library or a server may make
// a trusted image run other code, trust another authority, or use another cloud identity; REST may
// set only those in OPEN. All other names belong to the application.

const family = (...beginnings: readonly string[]): RegExp =>
  new RegExp(`^(?:${beginnings.join('|')})`);

/** Prefixes of names that do not belong to the application; compared in capitals. */
const FAMILIES: readonly RegExp[] = [
  // The dynamic loader, libc, shells and compilers.
  family('LD_', 'DYLD_', '_RLD', 'GLIBC_', 'MALLOC_', 'GCONV_PATH', 'GETCONF_DIR', 'LOCPATH'),
  family('NLSPATH', 'HOSTALIASES', 'RES_OPTIONS', 'LOCALDOMAIN', 'RESOLV_', 'TZDIR', 'TERMINFO'),
  family('PATH$', 'HOME$', 'ENV$', 'BASH', 'ZDOTDIR', 'SHELL', 'IFS$', 'PS4$', 'PROMPT_COMMAND'),
  family('CDPATH', 'FPATH', 'XDG_', 'INPUTRC', 'LESS', 'PAGER', 'EDITOR', 'VISUAL', 'BROWSER'),
  family('GIT_', 'SSH_', 'TMPDIR$', 'FAKECHROOT', 'LIBRARY_PATH', 'CPATH', 'COMPILER_PATH'),
  family('GCC_', 'CC$', 'CXX$', 'CPP$', 'NVCC', 'MAKE', 'CMAKE_', 'COLLECT_'),
  // Languages and their servers.
  family('PYTHON', 'PIP_', 'PIPENV', 'UV_', 'CONDA', 'VIRTUAL_ENV', 'POETRY_', 'PDM_', 'PEX_'),
  family('IPYTHON', 'JUPYTER', 'PYTEST_', 'PYDANTIC_', 'PYDEVD', 'DEBUGPY', 'COVERAGE_', 'NUMBA_'),
  family('NODE_', 'NPM_', 'YARN_', 'PNPM_', 'COREPACK_', 'DENO_', 'BUN_', 'TS_NODE', 'ELECTRON_'),
  family('JAVA', '_JAVA', 'JDK_', 'JRE_', 'JVM_', 'CLASSPATH', 'CATALINA', 'MAVEN', 'MVN_'),
  family('GRADLE', 'SPARK_', 'HADOOP_', 'SPRING_', 'KOTLIN', 'SCALA', 'SBT_', 'GROOVY', 'LEIN_'),
  family('DOTNET', 'COMPLUS', 'CORECLR', 'COR_', 'ASPNETCORE_', 'NUGET_', 'MONO_'),
  family('PERL', 'RUBY', 'GEM_', 'BUNDLE', 'RACK_', 'PHP', 'LUA_', 'JULIA', 'TCL', 'GUILE'),
  family('R_(?:PROFILE|ENVIRON|LIBS|HOME|DEFAULT)', 'RENV_', 'ERL_', 'ELIXIR', 'MIX_', 'OCAML'),
  family('GO(?:FLAGS|PATH|ROOT|PROXY|DEBUG|TRACEBACK)', 'CGO_', 'RUST', 'CARGO', 'GHC', 'CAML'),
  family('GUNICORN_', 'UVICORN_', 'HYPERCORN_', 'FLASK_', 'DJANGO_', 'CELERY_', 'WERKZEUG_'),
  // Trusted authorities, endpoints, and identities.
  family('SSL', 'OPENSSL', 'GNUTLS_', 'NSS_', 'KRB5', 'P11_', 'CURL_', 'REQUESTS_', 'NETRC'),
  family('AWS_', 'AZURE_', 'GOOGLE_', 'GCE_', 'GCLOUD_', 'CLOUDSDK_', 'BOTO', 'IDENTITY_', 'MSI_'),
  // Libraries that load plugins, modules or settings from a path, and start scripts of images.
  family('GDAL_', 'GST_', 'LADSPA_', 'LV2_', 'ALSA_', 'VDPAU_', 'LIBVA_', 'MAGICK_', 'SASL_'),
  family('ODBC', 'LDAP', 'PGS', 'PGPASSFILE', 'MYSQL_HOME', 'TNS_ADMIN', 'FONTCONFIG_', 'PROJ_'),
  family('MPL(?:BACKEND|CONFIGDIR)$', 'NLTK_DATA', 'PSMODULE', 'PRE_START_PATH$', 'APP_MODULE$'),
  family('(?:MODULE|VARIABLE)_NAME$', 'SETUPTOOLS_', 'NEW_RELIC_CONFIG', '_RJEM_', 'OPENCV_'),
  family('KUBE', 'VAULT_', 'ALIBABA_', 'TENCENTCLOUD_', 'FSSPEC_', 'S3_', 'OTEL_'),
  // Machine learning: libraries that load plugins, and servers with variables of their own.
  family('HF_', 'HUGGING', 'TRANSFORMERS_', 'DATASETS_', 'DIFFUSERS_', 'TOKENIZERS_', 'MLFLOW_'),
  family('TORCH', 'PYTORCH_', 'TRITON', 'TF_', 'TENSORFLOW', 'XLA_', 'JAX_', 'KERAS_', 'ORT_'),
  family('OMP_', 'KMP_', 'MKL_', 'OPENBLAS_', 'NUMEXPR_', 'GOMP_', 'NCCL_', 'CUDA', 'CUDNN'),
  family('CUBLAS', 'NVIDIA_', 'NVTX_', 'NVVM', 'NSYS_', 'ROC', 'HIP_', 'HSA_', 'MIOPEN_', 'AMD_'),
  family('UCX_', 'UCC_', 'OMPI_', 'I_MPI_', 'PMIX_', 'FI_', 'RAY_', 'DASK_', 'OCL_', 'OPENCL_'),
  family('VK_', 'EGL_', '__EGL', '__GL', 'GIO_', 'GTK_', 'QT_', 'BNB_', 'FLASH_', 'XFORMERS_'),
  family('MLSERVER_', 'VLLM_', 'SGLANG_', 'LMCACHE_', 'KSERVE_', 'SELDON_', 'AI_MODEL_SERVICE'),
  family('MODEL_BASE_PATH$', 'MODEL_NAME$'),
];

/** Suffixes with the same meaning in every family. */
const ENDINGS =
  /(?:_PROXY|_OPTS|_OPTIONS|_PRELOAD|_PLUGINS?|_PLUGIN_(?:PATH|DIR)|_INJECTION(?:64)?_PATH|_STARTUP_?HOOKS?|_CMD_ARGS|_CA_BUNDLE|TRUST_REMOTE_CODE)$/;

const named = (...names: readonly string[]): RegExp => new RegExp(`^(?:${names.join('|')})$`);

/** Names of the families that change speed or logging, or describe the model. */
const OPEN: readonly RegExp[] = [
  named('NODE_ENV', 'RUST_LOG', 'GOOGLE_CLOUD_PROJECT', 'AWS_(?:DEFAULT_)?REGION'),
  named('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN'),
  named('OTEL_(?:SERVICE_NAME|RESOURCE_ATTRIBUTES|TRACES_SAMPLER(?:_ARG)?)'),
  named('HF_TOKEN', 'HF_HUB_(?:OFFLINE|DOWNLOAD_TIMEOUT|DISABLE_TELEMETRY|ENABLE_HF_TRANSFER)'),
  named('TRANSFORMERS_(?:OFFLINE|VERBOSITY)', 'HF_DATASETS_OFFLINE', 'TOKENIZERS_PARALLELISM'),
  named('OMP_(?:NUM_THREADS|PROC_BIND|PLACES|SCHEDULE|DYNAMIC|WAIT_POLICY|THREAD_LIMIT)'),
  named('(?:MKL|OPENBLAS|NUMBA|NUMEXPR)_NUM_THREADS', 'NUMEXPR_MAX_THREADS'),
  named('KMP_(?:AFFINITY|BLOCKTIME)', 'CUBLAS_WORKSPACE_CONFIG', 'JAX_PLATFORMS'),
  named('NCCL_(?:DEBUG|DEBUG_SUBSYS|ALGO|PROTO|(?:P2P|IB|SHM|NVLS)_DISABLE|CUMEM_ENABLE)'),
  named('NCCL_(?:P2P_LEVEL|SOCKET_IFNAME|IB_HCA)', 'CUDA_(?:VISIBLE_DEVICES|DEVICE_ORDER)'),
  named('CUDA_(?:LAUNCH_BLOCKING|MODULE_LOADING)', 'PYTORCH_(?:CUDA_)?ALLOC_CONF'),
  named('TF_(?:CPP_MIN_LOG_LEVEL|FORCE_GPU_ALLOW_GROWTH|ENABLE_ONEDNN_OPTS|GPU_THREAD_MODE)'),
  named('TF_NUM_INT(?:RA|ER)OP_THREADS', 'XLA_PYTHON_CLIENT_(?:PREALLOCATE|MEM_FRACTION)'),
  named('MLSERVER_MODEL_HUGGINGFACE_(?:TASK|TASK_SUFFIX|DEVICE|FRAMEWORK|OPTIMUM_MODEL)'),
  named('MLSERVER_MODEL_(?:MAX_BATCH_SIZE|MAX_BATCH_TIME|WARM_WORKERS)', 'MLSERVER_DEBUG'),
  named('VLLM_(?:LOGGING_LEVEL|ATTENTION_BACKEND|USE_V1|CPU_KVCACHE_SPACE|NO_USAGE_STATS)'),
  named('VLLM_(?:DO_NOT_TRACK|CPU_OMP_THREADS_BIND|ENGINE_ITERATION_TIMEOUT_S)'),
];

/** The allowed alternative to a variable of this name; undefined: REST may set it. */
export function envTrouble(name: string): string | undefined {
  const capitals = name.toUpperCase();
  const isRead = ENDINGS.test(capitals) || FAMILIES.some((one) => one.test(capitals));
  if (!isRead || OPEN.some((one) => one.test(name))) return undefined;
  return 'absent in a definition by REST: the loader or the model server reads it';
}
