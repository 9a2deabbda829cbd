"""The two build settings that pyproject.toml has no key for."""

from setuptools import setup

setup(
    cffi_modules=["c_ext/engine_build.py:builder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
