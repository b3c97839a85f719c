# Three images from one file: `make images TAG=dev`, or `docker build --target api|worker|scraper-worker .`
# and what `make dev` runs: `docker build --target dev --build-arg SERVICE=worker .`
# Layers, from what seldom changes to what often does: Python, a service's dependencies by hash, the code.
# uv is only mounted while a layer is made, so no image holds it, a build tool or a download cache.
ARG SERVICE=api
FROM ghcr.io/astral-sh/uv:0.13 AS uv

FROM python:3.13-slim-trixie AS base
ARG UV_CACHE_DIR=/tmp/uv-cache UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_PROGRESS=1
ENV VIRTUAL_ENV=/opt/longrun PATH=/opt/longrun/bin:$PATH PYTHONUNBUFFERED=1
# tini is process 1: it reaps what a killed job leaves behind, which Celery, knowing only its own children, does not
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
    && pip uninstall --yes --quiet --root-user-action=ignore pip \
    && groupadd --gid 10001 longrun \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin longrun
RUN --mount=from=uv,source=/uv,target=/tmp/uv /tmp/uv venv --quiet $VIRTUAL_ENV
WORKDIR /tmp

# ---- the wheels of this repository's packages; what changes most often comes last
FROM base AS wheels
WORKDIR /src
COPY --from=uv /uv /usr/local/bin/
COPY requirements/build.lock .
RUN --mount=type=cache,target=/tmp/uv-cache uv pip install --no-deps --require-hashes --requirements build.lock
ENV UV_OFFLINE=1
COPY libs/longrun-client client
RUN uv build --quiet --wheel --no-build-isolation client --out-dir /wheels/client
COPY services/scraper-worker scraper
RUN uv build --quiet --wheel --no-build-isolation scraper --out-dir /wheels/scraper
COPY services/worker worker
RUN uv build --quiet --wheel --no-build-isolation worker --out-dir /wheels/worker
COPY services/api api
RUN uv build --quiet --wheel --no-build-isolation api --out-dir /wheels/api
COPY libs/jobcore jobcore
RUN uv build --quiet --wheel --no-build-isolation jobcore --out-dir /wheels/jobcore

# ---- what every service needs
FROM base AS core
RUN --mount=from=uv,source=/uv,target=/tmp/uv --mount=type=cache,target=/tmp/uv-cache \
    --mount=source=libs/jobcore/requirements.lock,target=/tmp/jobcore.lock \
    /tmp/uv pip install --no-deps --require-hashes --requirements /tmp/jobcore.lock
# a new named volume that is mounted here gets this owner
RUN install --directory --owner 10001 --group 10001 /var/lib/longrun/files
ENV LONGRUN_LOG_FORMAT=json
ENTRYPOINT ["tini", "--"]
STOPSIGNAL SIGTERM
ARG VERSION=dev REVISION=unknown

# ---- what every worker needs
FROM core AS worker-core
RUN --mount=from=uv,source=/uv,target=/tmp/uv --mount=type=cache,target=/tmp/uv-cache \
    --mount=source=services/worker/requirements.lock,target=/tmp/worker.lock \
    /tmp/uv pip install --no-deps --require-hashes --requirements /tmp/worker.lock
ENV LONGRUN_HEARTBEAT_FILE=/tmp/longrun-heartbeat
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s \
    CMD test -n "$(find "$LONGRUN_HEARTBEAT_FILE" -newermt '30 seconds ago')"

FROM worker-core AS worker
RUN --mount=from=uv,source=/uv,target=/tmp/uv \
    --mount=from=wheels,source=/wheels/jobcore,target=/tmp/wheels/jobcore \
    --mount=from=wheels,source=/wheels/worker,target=/tmp/wheels/worker \
    /tmp/uv pip install --no-deps --offline /tmp/wheels/*/*.whl
USER 10001:10001
CMD ["celery", "-A", "longrun_worker.app", "worker", "--without-gossip", "--without-mingle", "-l", "info"]
LABEL org.opencontainers.image.title="Longrun worker" org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

FROM worker-core AS scraper-worker
RUN --mount=from=uv,source=/uv,target=/tmp/uv --mount=type=cache,target=/tmp/uv-cache \
    --mount=source=services/scraper-worker/requirements.lock,target=/tmp/scraper.lock \
    /tmp/uv pip install --no-deps --require-hashes --requirements /tmp/scraper.lock
RUN --mount=from=uv,source=/uv,target=/tmp/uv \
    --mount=from=wheels,source=/wheels/jobcore,target=/tmp/wheels/jobcore \
    --mount=from=wheels,source=/wheels/scraper,target=/tmp/wheels/scraper \
    /tmp/uv pip install --no-deps --offline /tmp/wheels/*/*.whl
USER 10001:10001
CMD ["celery", "-A", "longrun_scraper.app", "worker", "--without-gossip", "--without-mingle", "-l", "info"]
LABEL org.opencontainers.image.title="Longrun scraper worker" org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

# The API checks inputs with the task types' own models (docs/adr/0005), so it holds them all; and the `longrun` command.
FROM core AS api
RUN --mount=from=uv,source=/uv,target=/tmp/uv --mount=type=cache,target=/tmp/uv-cache \
    --mount=source=services/api/image.lock,target=/tmp/image.lock \
    /tmp/uv pip install --no-deps --require-hashes --requirements /tmp/image.lock
RUN --mount=from=uv,source=/uv,target=/tmp/uv --mount=from=wheels,source=/wheels,target=/tmp/wheels \
    /tmp/uv pip install --no-deps --offline /tmp/wheels/*/*.whl
USER 10001:10001
ENV LONGRUN_HOST=0.0.0.0
EXPOSE 8000
ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "longrun_api"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s \
    CMD python -c "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/healthz', timeout=4)"
LABEL org.opencontainers.image.title="Longrun API" org.opencontainers.image.licenses="MIT" \
    org.opencontainers.image.version="$VERSION" org.opencontainers.image.revision="$REVISION"

# ---- for development: one of the images above, with `reload COMMAND` (k8s/values-dev.yaml)
FROM ${SERVICE} AS dev
USER root
RUN --mount=from=uv,source=/uv,target=/tmp/uv --mount=type=cache,target=/tmp/uv-cache \
    --mount=source=requirements/dev.lock,target=/tmp/dev.lock \
    /tmp/uv pip install --no-deps --require-hashes --requirements /tmp/dev.lock
COPY deploy/reload.sh /usr/local/bin/reload
USER 10001:10001
ENV PYTHONPATH=/src
