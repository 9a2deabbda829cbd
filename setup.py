"""The two build settings that pyproject.toml has no key for."""

from setuptools import setup

setup(
    cffi_modules=["c_ext/engine_build.py:ffibuilder"],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
