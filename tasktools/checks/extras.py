"""What `pip install` takes to bring the library of a transport."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, requires

#: The extra that brings a library, and the name of its distribution, where they are not the name of the library.
_EXTRAS = {
    "boto3": "sqs",
    "pymongo": "mongodb",
    "kazoo": "zookeeper",
    "Pyro4": "pyro",
    "confluent_kafka": "confluentkafka",
}
_DISTRIBUTIONS = {"consul": "python-consul2", "etcd": "python-etcd", "confluent_kafka": "confluent-kafka"}


def source_of(library: str) -> str:
    """Return an extra of Celery or else of kombu that brings the library on this machine, or its distribution."""
    extra = _EXTRAS.get(library, library)
    package = next((each for each in ("celery", "kombu") if _brings(each, extra)), None)
    return f'"{package}[{extra}]"' if package else _DISTRIBUTIONS.get(library, library)


def _brings(package: str, extra: str) -> bool:
    """Whether a package has the extra, with a requirement under no other condition, such as an old Python."""
    try:
        listed = requires(package) or []
    except PackageNotFoundError:  # installed without metadata
        return False
    return any(re.search(rf""";\s*extra\s*==\s*['"]{re.escape(extra)}['"]\s*$""", each) for each in listed)
