"""The package's version, read from its metadata."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("tieringmodel")
except PackageNotFoundError:
    __version__ = "0+unknown"
