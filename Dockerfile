# The image of every step on Kubeflow Pipelines and Vertex AI, and of Beam's workers; docker/build builds it.
#   GPU=1   adds the CUDA libraries that TensorFlow was built with, as wheels of the same lock
#   BEAM    an image with the launcher of Beam's workers, apache/beam_python3.11_sdk:2.77.0; without it there is none
ARG PYTHON=docker.io/library/python:3.11-slim-bookworm
ARG BEAM=${PYTHON}

FROM ${BEAM} AS beam
RUN mkdir -p /launcher/opt/apache/beam \
 && for name in boot LICENSE NOTICE; do \
      if [ -e "/opt/apache/beam/$name" ]; then cp "/opt/apache/beam/$name" /launcher/opt/apache/beam; fi; \
    done

FROM ${PYTHON} AS uv
RUN pip install --no-cache-dir --root-user-action=ignore uv==0.13.9
ENV UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
WORKDIR /src

# What the lock holds of other packages: while that stays as it is, so does the environment, whatever else
# pyproject.toml says. libclang, which TensorFlow declares, is imported by nothing.
FROM uv AS requirements
COPY pyproject.toml uv.lock ./
ARG GPU=0
RUN uv export --locked --quiet --no-header --no-dev --no-emit-project --no-emit-package libclang \
      $([ "$GPU" = 0 ] || echo --extra gpu) --output-file requirements.txt

FROM uv AS environment
# Where Python is Debian's own, its headers are a package.
RUN apt-get update \
 && headers=$(python -c 'import os, sysconfig; print(os.path.exists(sysconfig.get_path("include") + "/Python.h"))') \
 && apt-get install --yes --no-install-recommends binutils g++ $([ "$headers" = True ] || echo libpython3.11-dev) \
 && rm -rf /var/lib/apt/lists/*
COPY --from=requirements /src/requirements.txt ./
# The base image's pip stays in sight: Beam's launcher asks it whether Beam is installed.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv venv --system-site-packages /opt/venv \
 && uv pip install --python /opt/venv/bin/python --no-deps --require-hashes --requirements requirements.txt
COPY docker/trim /usr/local/bin/
RUN trim /opt/venv \
 && echo /app > /opt/venv/lib/python3.11/site-packages/app.pth \
 && cp /proc/sys/kernel/random/uuid /opt/environment.uuid

FROM environment AS package
COPY LICENSE README.md pyproject.toml uv.lock ./
COPY components components
COPY pipeline pipeline
RUN --mount=type=cache,target=/root/.cache/uv \
    uv pip install --python /opt/venv/bin/python --no-deps --target /app . \
 && rm /app/.lock \
 && python -m compileall -q -j 0 --invalidation-mode checked-hash /app
ARG REVISION=
ARG DIRTY=
ARG SOURCE=
COPY docker/code_version.py /src/
RUN python code_version.py "$REVISION" "$DIRTY" "$SOURCE" > /app/code_version.json

FROM ${PYTHON}
COPY --from=beam /launcher /
# Other than COPY this needs not read all of an environment to see that it is the same: its name says so.
COPY --from=environment /opt/environment.uuid /opt/
RUN --mount=type=bind,from=environment,source=/opt/venv,target=/tmp/environment \
    cp -a /tmp/environment /opt/venv
COPY docker/entrypoint /usr/local/bin/
# HOME and USER hold for any uid, with or without a line in /etc/passwd: clusters choose one of their own.
ENV PATH=/app/bin:/opt/venv/bin:$PATH HOME=/tmp USER=vww PYTHONUNBUFFERED=1 RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
# Where nodes of GKE mount NVIDIA's driver; elsewhere its container runtime puts it among the system's libraries.
ENV LD_LIBRARY_PATH=/usr/local/nvidia/lib64
USER 65532:0
WORKDIR /app
ENTRYPOINT ["entrypoint"]
COPY --from=package /app /app
ARG VERSION=
ARG REVISION=
ARG SOURCE=
LABEL org.opencontainers.image.title="vww" \
      org.opencontainers.image.description="From a labelled image set to a gated int8 model for microcontrollers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.source="${SOURCE}"
