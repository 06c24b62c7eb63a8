# The service on a processor. Build it from the repository, and give it a checkpoint and a token:
#   docker build --tag anomalib-adaptclip .
#   docker run --rm -p 127.0.0.1:8000:8000 -e ANOMALIB_ADAPTCLIP_TOKEN -v "$PWD/models:/models:ro" anomalib-adaptclip
# The weights of CLIP are downloaded at the start, into /home/service; a volume there keeps them. Without a network name a file
# in /models behind the image: serve /models/part.ckpt --host 0.0.0.0 --pretrained /models/weights.safetensors
FROM python:3.12-slim

# torch brings kernels for CUDA unless pip is told an index with the build for processors: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=""
ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_DISABLE_TELEMETRY=1

WORKDIR /opt/anomalib-adaptclip
COPY pyproject.toml README.md LICENSE ./
COPY configs ./configs
COPY src ./src
RUN python -m pip install ".[serve]"

RUN useradd --create-home --uid 10001 service
USER service
WORKDIR /home/service

EXPOSE 8000
HEALTHCHECK --start-period=120s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=5)"]
# The service binds to loopback by default, which nothing outside of the container reaches: here it is told the container's own
# interface. It then wants ANOMALIB_ADAPTCLIP_TOKEN. Which machines reach the container is for `docker run -p` to say.
ENTRYPOINT ["anomalib-adaptclip"]
CMD ["serve", "/models/part.ckpt", "--host", "0.0.0.0", "--port", "8000"]
