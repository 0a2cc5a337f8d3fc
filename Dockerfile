# One image for every component: the command says which (python -m queue_proxy, activator, autoscaler.controller, …).
# It runs as any user, on a read-only root file system, and has neither pip nor a compiler.
ARG BASE=python:3.13-slim
# The same Python with a C compiler: only what it makes gets into the image.
ARG COMPILER=python:3.13

# What is decided for thousands of services every two seconds is compiled (compiled.txt says what): it is the same code and
# decides the same, in less than half the time. Sources stay beside it, for tracebacks.
FROM ${COMPILER} AS compile
COPY requirements-compile.lock wheels* /build/
RUN python3 -m venv /opt/compiler && cd /build && if ls *.whl >/dev/null 2>&1; then offline="--no-index --find-links ."; fi \
 && /opt/compiler/bin/pip install --no-cache-dir --disable-pip-version-check \
      --require-hashes ${offline:-} --requirement requirements-compile.lock
COPY compiled.txt compile_packages.py /app/
COPY queue_proxy /app/queue_proxy
COPY activator /app/activator
COPY autoscaler /app/autoscaler
# The simulator stays as it is: its types cannot be checked without numpy, which the image has not.
RUN cd /app && sed -i '/^simulations/d' compiled.txt && /opt/compiler/bin/python compile_packages.py \
 && find . -name '*.so' | tar cf /compiled.tar -T -

FROM ${BASE} AS build
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/pilotlight
# Where the build context has wheels/, no index is asked; a build may have no way to one. The hashes hold either way.
# Of Kubernetes' client only connections and credentials are used. Its kinds, 115 MB of them, are loaded when they are
# asked for, which nobody here does.
COPY requirements-image.lock wheels* /build/
RUN cd /build && if ls *.whl >/dev/null 2>&1; then offline="--no-index --find-links ."; fi \
 && /opt/tools/bin/pip --python /opt/pilotlight/bin/python install --no-cache-dir --no-compile --disable-pip-version-check \
      --require-hashes ${offline:-} --requirement requirements-image.lock \
 && find /opt/pilotlight/lib -depth -type d \( -name tests -o -name test \) -path '*/site-packages/*' -exec rm -rf {} + \
 && find /opt/pilotlight/lib -path '*/kubernetes/*client/*' \( -path '*/models/*.py' -o -path '*/api/*.py' \) \
      ! -name __init__.py -delete
# Compiled now, as nothing can be written later; a sidecar that compiles at its start would make each wake longer.
# Unchecked: the sources cannot change either, and a layer may change their times.
RUN /opt/pilotlight/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/pilotlight/lib
COPY pyproject.toml /app/
COPY queue_proxy /app/queue_proxy
COPY activator /app/activator
COPY admission /app/admission
COPY autoscaler /app/autoscaler
COPY simulations /app/simulations
COPY pilotlight /app/pilotlight
COPY --from=compile /compiled.tar /build/
# The distribution's name and version, for `pilotlight --version`; installing it would need a build backend.
RUN cd /app && tar xf /build/compiled.tar && python3 -c "import pathlib, tomllib; \
project = tomllib.loads(pathlib.Path('pyproject.toml').read_text())['project']; \
metadata = pathlib.Path('pilotlight-' + project['version'] + '.dist-info', 'METADATA'); \
metadata.parent.mkdir(); \
metadata.write_text('Metadata-Version: 2.1\nName: pilotlight\nVersion: ' + project['version'] + '\n')" \
 && rm pyproject.toml \
 && printf '#!/bin/sh\nexec python -c "from pilotlight.entry import main; main()" "$@"\n' >/app/pilotlight.sh \
 && chmod -R a+rX,go-w /app && chmod a+x /app/pilotlight.sh \
 && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /app

FROM ${BASE}
LABEL org.opencontainers.image.title="pilotlight" \
      org.opencontainers.image.description="Scale-to-zero, inference-aware autoscaling for KServe models on GPUs" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/local/lib/python3*/ensurepip \
           /usr/lib/python3*/ensurepip /usr/share/python-wheels
# The official base ships its standard library without compiled files: each sidecar would compile it anew at its start, as
# nothing can be written. What a base has compiled stays as it is.
RUN python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      -x '/(test|tests|idlelib|tkinter|turtledemo|lib2to3|pydoc_data|ensurepip|site-packages|dist-packages)/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/pilotlight /opt/pilotlight
COPY --from=build /app /app
RUN ln -s /app/pilotlight.sh /opt/pilotlight/bin/pilotlight
ENV PATH=/opt/pilotlight/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
CMD ["pilotlight", "--help"]
