# The cloud on processors alone, with the reference model:
#     docker build -f deploy/cloud.Dockerfile -t heliograph-cloud .
# On x86-64 the usual torch brings several gigabytes for graphics cards. PyTorch's installation page names an index of
# builds without them: --build-arg PIP_EXTRA_INDEX_URL=... takes torch from there.
# Another model: mount its folder and give --vlm and --codec (docs/howto/deploy.md).
FROM python:3.11-slim AS build
ARG TORCH=torch==2.13.0
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/heliograph
RUN /opt/heliograph/bin/python -m pip install "${TORCH}"
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY benchmarks benchmarks
COPY packages packages
COPY src src
RUN /opt/heliograph/bin/python -m pip install ".[cloud]" ./packages/heliograph-cloud

# The sources and what pip leaves behind stay in the stage above.
FROM python:3.11-slim
COPY --from=build /opt/heliograph /opt/heliograph
COPY deploy/healthcheck.py /opt/heliograph/
RUN groupadd --gid 10001 heliograph \
    && useradd --uid 10001 --gid 10001 --create-home --home-dir /var/lib/heliograph heliograph
USER heliograph
WORKDIR /var/lib/heliograph
ENV PATH=/opt/heliograph/bin:$PATH PYTHONDONTWRITEBYTECODE=1
ENV HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false HELIOGRAPH_STATE=/var/lib/heliograph
EXPOSE 8765
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s CMD ["python", "/opt/heliograph/healthcheck.py"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["heliograph"]
CMD ["serve", "--host", "0.0.0.0", "--allow-host", "cloud"]
