# The page and its service on one port. Nothing is downloaded once the image is built.
#   docker build -t latent-lab .                                      CUDA wheels
#   docker build -t latent-lab --build-arg TORCH_INDEX_URL=URL .      CPU-only wheels from PyTorch's index
FROM python:3.11-slim-bookworm AS build
ARG TORCH_INDEX_URL=""
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /build
COPY requirements.txt constraints.txt ./
RUN pip install --no-cache-dir ${TORCH_INDEX_URL:+--extra-index-url "$TORCH_INDEX_URL"} -c constraints.txt -r requirements.txt

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin lab
COPY --from=build /opt/venv /opt/venv
WORKDIR /srv/latent-lab
# The modes are said, since a checkout made under umask 077 has none for others than its owner.
COPY --chmod=755 LICENSE README.md ./
COPY --chmod=755 weights ./weights
COPY --chmod=755 ldm_core ./ldm_core
COPY --chmod=755 app ./app
COPY --chmod=755 demo ./demo
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp/matplotlib \
    LATENT_LAB_CACHE=/var/cache/latent-lab \
    LATENT_LAB_HISTORY_BYTES=500000000 \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Volumes on these folders keep OpenVINO's graphs and, with LATENT_LAB_DATA_DIR, the history, which is otherwise under
# /tmp; new ones take their owner and mode. The root file system may be read-only, so bytecode is written now.
RUN install -d -o 10001 -g 10001 -m 0700 /var/cache/latent-lab /var/lib/latent-lab && python -m compileall -q ldm_core app demo
USER 10001
EXPOSE 7860
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["python", "demo/sd_demo/app.py", "--host", "0.0.0.0", "--port", "7860"]
