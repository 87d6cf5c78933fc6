# syntax=docker/dockerfile:1
# What is in the image is listed once, in scripts/image/contents.ts; how it runs, in scripts/image/config.ts.
# A test compares the lines below with the latter. Without docker: scripts/dev.sh image.

FROM node:24-bookworm-slim AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY test/package.json test/
RUN --mount=type=cache,target=/root/.npm npm ci --no-progress --loglevel=error
COPY . .
RUN node scripts/build.mjs bin && npx tsx scripts/image.ts --tree /image

# Nothing else: no shell, no package manager. To look inside: kubectl debug --image=busybox
FROM scratch
COPY --from=build /image/system/ /
COPY --from=build /image/onnxruntime/ /
COPY --from=build /image/app/ /
ENV PATH=/usr/local/bin:/usr/bin:/bin \
    NODE_ENV=production \
    HOME=/tmp \
    AI_MODEL_SERVICE__SERVER__HOST=0.0.0.0 \
    ORT_DISABLE_TELEMETRY=1 \
    NODE_OPTIONS=--max-semi-space-size=8 \
    MALLOC_ARENA_MAX=2
ARG CREATED=1970-01-01T00:00:00Z
ARG REVISION=unknown
LABEL org.opencontainers.image.title="ai-model-service" \
      org.opencontainers.image.description="Run AI models on Kubernetes from TypeScript: typed definitions become plain manifests, and one small service routes, splits, scales, watches and calls them." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
WORKDIR /data
EXPOSE 8080 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD ["node", "/app/healthcheck.cjs"]
ENTRYPOINT ["ai-model-service"]
CMD ["serve"]
