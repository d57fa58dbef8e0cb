# A device: no torch.
#     docker build -f deploy/device.Dockerfile -t heliograph-device .
#     docker run --rm -v "$PWD/photos:/photos:ro" heliograph-device ask /photos/1.jpg "what is on the sign?" --server wss://...
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/heliograph
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/heliograph/bin/python -m pip install ".[edge]"

# The sources and what pip leaves behind stay in the stage above.
FROM python:3.11-slim
COPY --from=build /opt/heliograph /opt/heliograph
RUN groupadd --gid 10001 heliograph \
    && useradd --uid 10001 --gid 10001 --create-home --home-dir /var/lib/heliograph heliograph
USER heliograph
WORKDIR /var/lib/heliograph
ENV PATH=/opt/heliograph/bin:$PATH PYTHONDONTWRITEBYTECODE=1
ENV HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false HELIOGRAPH_STATE=/var/lib/heliograph
ENTRYPOINT ["heliograph"]
CMD ["doctor"]
