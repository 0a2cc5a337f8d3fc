"""A real inference server that is not ours, as an image: MLServer from its package, with a scikit-learn model in it.

Nothing in it knows of Pilotlight: what the tests show with it holds for an image that somebody else has made. It also
brings gRPC's own Python library, of which the tests make a gRPC server that is not ours either.
"""

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from tests.cluster.cache import cache_root, locked
from tests.cluster.images import archive, buildah
from tests.cluster.product_image import base_image, wheels

IMAGE = "localhost/mlserver-iris:1"
LOCK = Path(__file__).parents[2] / "requirements-mlserver.lock"
# What the model in the image says of three rows of the data set it was trained with: one of each kind.
ROWS = ((5.1, 3.5, 1.4, 0.2), (5.0, 2.0, 3.5, 1.0), (6.9, 3.2, 5.7, 2.3))
KINDS = (0, 1, 2)

_TRAIN = """
import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
rows, kinds = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=1000).fit(rows, kinds)
joblib.dump(model, "/mnt/models/model.joblib")
"""
_SETTINGS = {
    "name": "iris",
    "implementation": "mlserver_sklearn.SKLearnModel",
    "parameters": {"uri": "/mnt/models/model.joblib"},
}
_DOCKERFILE = """
ARG BASE
FROM ${BASE} AS build
RUN python3 -m venv /opt/tools && python3 -m venv --without-pip /opt/mlserver
COPY wheels requirements.lock /build/
RUN cd /build && /opt/tools/bin/pip --python /opt/mlserver/bin/python install --no-cache-dir --no-compile \\
      --disable-pip-version-check --require-hashes --no-index --find-links . --requirement requirements.lock \\
 && find /opt/mlserver/lib -depth -type d -name tests -path '*/site-packages/*' -exec rm -rf {} +
COPY train.py model-settings.json /mnt/models/
RUN /opt/mlserver/bin/python /mnt/models/train.py && rm /mnt/models/train.py && chmod -R a+rX /mnt/models
RUN /opt/mlserver/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/mlserver/lib

FROM ${BASE}
COPY --from=build /opt/mlserver /opt/mlserver
COPY --from=build /mnt/models /mnt/models
ENV PATH=/opt/mlserver/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/tmp
USER 65532:65532
WORKDIR /tmp
CMD ["mlserver", "start", "/mnt/models"]
"""


def inference_server_image() -> Path:
    """A docker-archive of IMAGE; builds it (three minutes, most of them for the wheels) where it is not there."""
    base = base_image()
    recipe = (base.encode(), _DOCKERFILE.encode(), _TRAIN.encode(), json.dumps(_SETTINGS).encode(), LOCK.read_bytes())
    path = cache_root() / "images" / f"mlserver-{hashlib.sha256(b''.join(recipe)).hexdigest()[:16]}.tar"
    with locked("inference-server-image"):
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            _build(base, path)
    return path


def _build(base: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mlserver-image-") as directory:
        context = Path(directory)
        shutil.copytree(wheels(LOCK), context / "wheels")
        (context / "requirements.lock").write_bytes(LOCK.read_bytes())
        (context / "train.py").write_text(_TRAIN)
        (context / "model-settings.json").write_text(json.dumps(_SETTINGS))
        (context / "Dockerfile").write_text(_DOCKERFILE)
        buildah("build", "--quiet", "--layers", f"--build-arg=BASE={base}", f"--tag={IMAGE}", str(context))
    unfinished = path.with_suffix(".unfinished")
    unfinished.unlink(missing_ok=True)
    archive(IMAGE, unfinished)
    unfinished.rename(path)
