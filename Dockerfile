# The image; nothing else describes it. scripts/image.sh builds it by docker or, without a daemon, by buildah.

# Debian with Node 24 and npm.
ARG BASE=node:24-bookworm-slim

FROM ${BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY test/package.json test/
# The secret `ca` holds certificates of a proxy between here and the package registry.
RUN --mount=type=cache,target=/root/.npm --mount=type=secret,id=ca \
    if [ -e /run/secrets/ca ]; then export NODE_EXTRA_CA_CERTS=/run/secrets/ca; fi; \
    npm ci --workspaces=false --no-progress --loglevel=error
COPY . .
RUN node scripts/build.mjs bin

# One folder for each layer.
# ONNX Runtime for CPUs of this platform; the package has files for every platform.
RUN mkdir -p /image/onnxruntime/app && cp --parents \
      node_modules/onnxruntime-node/bin/napi-v6/linux/$(node -p process.arch)/* \
      node_modules/onnxruntime-node/package.json \
      node_modules/onnxruntime-node/dist/*.js \
      node_modules/onnxruntime-common/package.json \
      node_modules/onnxruntime-common/dist/cjs/package.json \
      node_modules/onnxruntime-common/dist/cjs/*.js \
      /image/onnxruntime/app
# The service, and jiti, which loads definitions in TypeScript.
RUN mkdir -p /image/app/app/build /image/app/usr/local/bin && cd /image/app/app && \
    cp -R /src/build/bin.cjs /src/build/bin.cjs.LEGAL.txt /src/build/docs-assets build && \
    cp /src/LICENSE /src/scripts/image/healthcheck.cjs . && \
    (cd /src && cp --parents node_modules/jiti/package.json node_modules/jiti/LICENSE \
      node_modules/jiti/lib/*.cjs node_modules/jiti/dist/*.cjs /image/app/app) && \
    ln -s /app/build/bin.cjs /image/app/usr/local/bin/ai-model-service
# Node, `env` for the first line of scripts, `sleep` for draining before Kubernetes 1.30, the shared libraries
# of these and of ONNX Runtime, and the licenses. Without nsswitch.conf glibc asks DNS before /etc/hosts.
RUN set -e; mkdir -p /image/system/etc /image/system/usr/bin /image/system/usr/local/bin; cd /image/system; \
    printf '%s\n' root:x:0:0:root:/:/sbin/nologin app:x:10001:10001:app:/data:/sbin/nologin >etc/passwd; \
    printf '%s\n' root:x:0: app:x:10001: >etc/group; \
    echo 'hosts: files dns' >etc/nsswitch.conf; \
    cp /usr/bin/env /usr/bin/sleep usr/bin; \
    cp "$(command -v node)" usr/local/bin/node; \
    ldd usr/bin/* usr/local/bin/node $(find /image/onnxruntime -path '*/bin/*' -type f) >/tmp/ldd; \
    if grep 'not found' /tmp/ldd; then exit 1; fi; \
    libraries=$(sed -En 's|.*[[:space:]](/[^ ]+) \(0x.*|\1|p' /tmp/ldd | grep -v '^/image/' | sort -u); \
    packages="coreutils $(dpkg-query --search $(printf '*/%s\n' $(basename -a $libraries)) | cut -d: -f1 | sort -u)"; \
    cp -L --parents $libraries $(printf '/usr/share/doc/%s/copyright\n' $packages) .; \
    cd /src; \
    node scripts/image/sbom.mjs $packages >/image/app/app/sbom.cdx.json; \
    chmod -R u=rwX,go=rX /image; \
    mkdir -m 1777 /image/system/tmp /image/system/data

# No shell and no package manager. To look inside: kubectl debug --image=busybox
FROM scratch
# The layer that changes least first, so that a new release pulls only the last one.
COPY --from=build /image/system/ /
COPY --from=build /image/onnxruntime/ /
COPY --from=build /image/app/ /
# Beyond loopback the service makes a key when none is configured, so HOST opens nothing. What requests leave
# behind is swept from 8 MB instead of 16 at no measurable cost, and threads share what they allocate: together
# 25 MB less.
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    NODE_ENV=production \
    HOME=/tmp \
    AI_MODEL_SERVICE__SERVER__HOST=0.0.0.0 \
    ORT_DISABLE_TELEMETRY=1 \
    NODE_OPTIONS=--max-semi-space-size=8 \
    MALLOC_ARENA_MAX=2
LABEL org.opencontainers.image.title="ai-model-service" \
      org.opencontainers.image.description="Run AI models on Kubernetes from TypeScript: typed definitions become plain manifests, and one small service routes, splits, scales, watches and calls them." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
USER 10001:10001
WORKDIR /data
EXPOSE 8080 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/healthcheck.cjs"]
ENTRYPOINT ["ai-model-service"]
CMD ["serve"]
