# Two stages: the first builds a virtual environment from hash-locked dependencies, the second only carries it.
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim-trixie AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/build && python -m venv /opt/postroom
# Dependencies first: they change less often than the code, so that this layer is mostly cached.
COPY requirements/build.txt requirements/run.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/pip install --require-hashes --only-binary=:all: -r requirements/build.txt \
 && /opt/postroom/bin/pip install --require-hashes --only-binary=:all: -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY daemon ./daemon
COPY config/postroom.yaml ./config/
# Compiled now, because a read-only file system cannot keep what Python would compile at each start.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/postroom/bin/pip install --no-deps --no-index /dist/*.whl \
 && /opt/postroom/bin/pip uninstall --yes pip \
 && /opt/postroom/bin/python -m compileall -q -j0 /opt/postroom/lib

FROM python:${PYTHON_VERSION}-slim-trixie
ARG VERSION=0.1.0
LABEL org.opencontainers.image.title="Postroom" \
      org.opencontainers.image.description="The mailroom for Microsoft 365" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 postroom \
 && useradd --uid 10001 --gid postroom --home-dir /nonexistent --no-create-home \
    --shell /usr/sbin/nologin postroom \
 && install -d -o postroom -g postroom -m 0700 /var/lib/postroom \
 && install -d -m 0755 /etc/postroom
COPY --from=build /opt/postroom /opt/postroom
# Secrets mounted by the container engine are where systemd's would be: one configuration serves both.
ENV PATH=/opt/postroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    POSTROOM_CONFIG=/etc/postroom/postroom.yaml \
    POSTROOM_STATE=/var/lib/postroom \
    CREDENTIALS_DIRECTORY=/run/secrets
WORKDIR /var/lib/postroom
USER 10001:10001
VOLUME ["/var/lib/postroom"]
EXPOSE 8642
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 CMD ["postroom", "health"]
ENTRYPOINT ["postroom"]
CMD ["run"]
