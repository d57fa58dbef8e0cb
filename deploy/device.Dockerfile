# A device: no torch.
#     docker build -f deploy/device.Dockerfile -t heliograph-device .
#     docker run --rm -v "$PWD/photos:/photos:ro" heliograph-device ask /photos/1.jpg "what is on the sign?" --server wss://...
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m pip install ".[edge]"

RUN useradd --system --create-home --home-dir /var/lib/heliograph heliograph
USER heliograph
WORKDIR /var/lib/heliograph
ENV HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false HELIOGRAPH_STATE=/var/lib/heliograph
ENTRYPOINT ["heliograph"]
CMD ["doctor"]
