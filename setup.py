"""The wheel. With PILOTLIGHT_COMPILE=1 what compiled.txt lists is compiled in it, for one Python on one platform.

    make wheel                                # such a wheel, in dist/
    PILOTLIGHT_COMPILE=1 pip install .        # the same at once; needs a C compiler
    pip install .                             # sources alone: decides the same, in twice the time

All else that is to be known of the project is in pyproject.toml.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

_COMPILED = os.environ.get("PILOTLIGHT_COMPILE") == "1"
_ROOT = Path(__file__).parent


class _CompiledDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        """So the wheel is named after this Python and this platform."""
        return True


class _BuildModules(build_py):
    def run(self) -> None:
        """Copy the packages, and compile in the copy; an editable install stays with its sources."""
        if self.editable_mode:
            super().run()
            return
        library = Path(self.build_lib)
        shutil.rmtree(library, ignore_errors=True)  # what has been renamed since the last time would be packed as well
        super().run()
        if not _COMPILED:
            return
        shutil.copy(_ROOT / "compiled.txt", library)
        subprocess.run([sys.executable, _ROOT / "compile_packages.py"], cwd=library, check=True)
        (library / "compiled.txt").unlink()


setup(
    distclass=_CompiledDistribution if _COMPILED else Distribution,
    cmdclass={"build_py": _BuildModules},
    setup_requires=["mypy[mypyc]>=2.4", "numpy>=2.4"] if _COMPILED else [],  # arrays are in types that are compiled
)
