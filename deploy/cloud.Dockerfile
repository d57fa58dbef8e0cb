# The cloud on processors alone, with the reference model:
#     docker build -f deploy/cloud.Dockerfile -t heliograph-cloud .
# Another model: mount its folder and give --vlm and --codec (docs/howto/deploy.md).
FROM python:3.11-slim

# torch first and pinned: a plain install may bring several gigabytes for graphics cards.
ARG TORCH=torch==2.13.0
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
RUN python -m pip install "${TORCH}"

WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY benchmarks benchmarks
COPY packages packages
COPY src src
RUN python -m pip install ".[cloud]" ./packages/heliograph-cloud

RUN useradd --system --create-home --home-dir /var/lib/heliograph heliograph
USER heliograph
WORKDIR /var/lib/heliograph
ENV HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false HELIOGRAPH_STATE=/var/lib/heliograph
EXPOSE 8765
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8765/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["heliograph"]
CMD ["serve", "--host", "0.0.0.0", "--allow-host", "cloud"]
