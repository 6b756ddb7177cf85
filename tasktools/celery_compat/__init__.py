"""Every name that tasktools uses and that Celery and kombu do not guarantee.

Each is a `Private`: where it is, which feature breaks without it, and which public API of Celery could replace it. The
rest of tasktools uses these names only through this module. tests/unit/test_celery_compat.py checks that each of them
exists in the installed versions. Importing this module imports neither Celery nor kombu.
"""

from tasktools.celery_compat.app import *  # noqa: F403 - each name is exported
from tasktools.celery_compat.commands import *  # noqa: F403
from tasktools.celery_compat.messages import *  # noqa: F403
from tasktools.celery_compat.worker import *  # noqa: F403
