# The exporter, and nothing that it does not run on. The base is pinned by version: raise it on
# purpose, for its fixes.
FROM python:3.13.11-slim-trixie AS base

FROM base AS build
WORKDIR /source
# Wheels only, each with its hash: nothing is compiled, so no compiler is needed. What builds the
# program has an environment of its own, and the program's has not even pip.
COPY requirements.txt deploy/requirements-build.txt ./
RUN python -m venv /build \
    && python -m venv --without-pip /opt/scaleengine-exporter \
    && /build/bin/pip install \
        --no-cache-dir --only-binary=:all: --require-hashes -r requirements-build.txt \
    && /build/bin/pip --python /opt/scaleengine-exporter/bin/python install \
        --no-cache-dir --only-binary=:all: --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE config.example.yaml ./
COPY monitoring/alerts.yml monitoring/dashboard.json monitoring/
COPY deploy/build_hooks.py deploy/
COPY deploy/systemd deploy/systemd
COPY exporter exporter
ARG REVISION
RUN SOURCE_REVISION="${REVISION}" /build/bin/pip wheel \
        --no-build-isolation --no-deps --no-index --wheel-dir /wheels . \
    && /build/bin/pip --python /opt/scaleengine-exporter/bin/python install \
        --no-cache-dir --no-deps --no-index /wheels/*.whl

FROM base
ARG REVISION
ARG SOURCE
LABEL org.opencontainers.image.title="scaleengine-exporter" \
      org.opencontainers.image.description="Prometheus exporter for ScaleEngine accounts" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="python:3.13.11-slim-trixie"
COPY --from=build /opt/scaleengine-exporter /opt/scaleengine-exporter
# Python writes no bytecode beside its modules: the root may be read-only. The C library returns
# memory that is free; without the variable, the exporter sets it and starts itself once more.
ENV PATH="/opt/scaleengine-exporter/bin:${PATH}" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONMALLOC=malloc \
    SCALEENGINE_EXPORTER_CONFIG_FILE=/etc/scaleengine-exporter/config.yaml
# By number, so that an orchestrator can tell that it is not root.
USER 10058:10058
EXPOSE 10058
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s \
    CMD ["scaleengine-exporter", "healthcheck"]
ENTRYPOINT ["scaleengine-exporter"]
