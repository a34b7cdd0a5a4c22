# Training and evaluation in a container, installed by the Makefile's own steps under constraints.txt.
#   docker build --target cuda -t polychromic:cuda .
#   docker build --target cpu -t polychromic:cpu --build-arg PIP_EXTRA_INDEX_URL=... .     (PyTorch's index of CPU wheels)
#   docker run --gpus all -v $PWD:/workspace --env-file keys.env polychromic:cuda train mine/diverse.yaml
# Torch's wheels bring the CUDA libraries; the host needs NVIDIA's driver and container toolkit only. The image with a
# compiler is taken, as triton compiles kernels when it runs.
ARG PYTHON_VERSION=3.12
FROM python:${PYTHON_VERSION} AS code
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 TOKENIZERS_PARALLELISM=false \
    HF_HOME=/workspace/.cache/huggingface TRITON_CACHE_DIR=/workspace/.cache/triton
WORKDIR /opt/polychromic
COPY pyproject.toml constraints.txt Makefile README.md ./
COPY polychromic ./polychromic
COPY config ./config

FROM code AS worker
ARG PIP_EXTRA_INDEX_URL=
ENV PIP_EXTRA_INDEX_URL=${PIP_EXTRA_INDEX_URL}
RUN make worker VENV=/opt/venv
ENV PATH=/opt/venv/bin:$PATH
RUN useradd --create-home worker && mkdir -p /workspace && chown worker /workspace
USER worker
WORKDIR /workspace
ENTRYPOINT ["polychromic"]
CMD ["doctor"]

# one recipe: which wheels of torch it takes is decided by the index that is asked
FROM worker AS cuda

FROM worker AS cpu
