"""Which Celery app this project uses, and its -A name.

It looks in this order: the name given (-A), TASKTOOLS_APP, an app that a module of the project has made by the end of
django.setup() and that Celery takes for current, the usual modules (`<settings root>.celery`, `<settings root>.celery_app`,
an installed app's `celery`), any other app that was made by then, and the ready-made app. It never
uses Celery's own fallback app, which Celery makes when it finds none.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import ModuleType

from celery import Celery
from celery.app.utils import find_app
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import module_has_submodule

from tasktools import celery_compat, conf, render
from tasktools.arguments.names import shown
from tasktools.discovery.import_names import best_of, by_merit, holders, is_own, name_of
from tasktools.exceptions import AppError, ProjectError, SeveralAppsError, TasktoolsError, project_code
from tasktools.unimportable import brief

_NAME = re.compile(r"\w+(\.\w+)*(:\w+(\.\w+)*)?")

READY_MADE = "tasktools.celery"


@dataclass(frozen=True, kw_only=True)
class Found:
    """The Celery app of the project."""

    app: Celery
    #: Whether it is the app that tasktools makes.
    ready_made: bool = False

    @functools.cached_property
    def name(self) -> str:
        """The name that `celery -A` takes, as `module:attribute`; "" for an app that no module holds."""
        return f"{READY_MADE}:app" if self.ready_made else name_of(self.app)


def find(name: str | None = None) -> Found:
    """Return the app of this project; `name` is the value of -A.

    Raises AppError when `name` or TASKTOOLS_APP leads to no app; SeveralAppsError when there are several and none is the best;
    ProjectError when the module of the app raises; Unsettled while that module is still being imported.
    """
    named = conf.app() if name is None else name
    if named is not None:
        return _load(named, "TASKTOOLS_APP" if name is None else "-A")
    strong, weak = live()
    return _only(strong) or _only(_in_usual_modules()) or _only(weak) or ready_made()


class Unsettled(AppError):
    """The module that may hold the app is not fully imported: it has called django.setup() itself. Try again later."""

    def __init__(self, module: str) -> None:
        sentence = f'The module "{module}", which may hold the Celery app, is still being imported.'
        super().__init__(sentence, hint="leave django.setup() out of it: manage.py and the web server call it")


def ready_made() -> Found:
    """Return the app of tasktools.celery, which the first call makes."""
    return Found(app=importlib.import_module(READY_MADE).app, ready_made=True)


def live() -> tuple[list[Found], list[Found]]:
    """Return the strong and the weak apps that this process has made, without Celery's fallback and the ready-made app.

    An app is strong if a module of the project holds it and Celery treats it as current. An app of a library, an app for
    another service (set_as_current=False) and an app that no module holds are weak: they count if nothing else is found.
    """
    made = getattr(sys.modules.get(READY_MADE), "app", None)
    found = [
        Found(app=app) for app in list(celery_compat.ACTIVE_APPS.here()()) if app is not made and not is_fallback(app)
    ]
    found.sort(key=lambda each: each.name)
    strong = [
        each
        for each in found
        if celery_compat.IS_CURRENT.of(each.app) and any(is_own(module) for module, _ in holders(each.app))
    ]
    weak = [each for each in found if each not in strong]
    return strong, [each for each in weak if each.name] or weak


def others(app: Celery) -> list[Found]:
    """Return the other apps that this process has made and that a module of the project holds."""
    strong, weak = live()
    return [
        each
        for each in (*strong, *weak)
        if each.app is not app and any(is_own(module) for module, _ in holders(each.app))
    ]


def make_default(app: Celery, *, force: bool = False) -> None:
    """Make `@shared_task` and `celery.current_app` use `app` in every thread, unless the project has chosen another app."""
    if force:
        app.set_current()
    if force or not has_default():
        app.set_default()


def has_default() -> bool:
    """Whether the project, or an earlier start-up, has set an app as Celery's default."""
    default = celery_compat.DEFAULT_APP.here()
    return default is not None and not is_fallback(default)


def is_fallback(app: Celery) -> bool:
    """Whether `app` is the one that Celery makes for itself if it finds none (celery._state.get_current_app)."""
    return app.main == "default" and not (celery_compat.IS_CURRENT.of(app) or celery_compat.APP_FIXUPS.of(app))


def _load(name: str, origin: str) -> Found:
    """Import the app that -A or TASKTOOLS_APP names, by Celery's own rules (celery.app.utils.find_app)."""
    hint = _form(origin)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise AppError(f'{origin} names "{shown(str(name))}", which is no module name.', hint=hint)
    with project_code(lambda error: _unfound(name, origin, error)):
        app = find_app(name)
    proxied = celery_compat.PROXIED.get(app)
    app = proxied() if proxied else app
    if not isinstance(app, Celery):
        raise AppError(f'{origin} names "{shown(name)}", which is a {type(app).__name__}, not a Celery app.', hint=hint)
    return Found(app=app, ready_made=app is getattr(sys.modules.get(READY_MADE), "app", None))


def _form(origin: str) -> str:
    return f"give {origin} as module:attribute, as in proj.celery:app"


def _unfound(name: str, origin: str, error: BaseException) -> TasktoolsError:
    module = name.partition(":")[0]
    why: BaseException | None = error
    if isinstance(error, ModuleNotFoundError):
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            return AppError(
                f'{origin} names "{shown(name)}", and there is no module "{error.name}".', hint=_form(origin)
            )
        why = error.__context__ if ":" in name and error.name == name else None  # find_app's second try
    if isinstance(why, AttributeError) and not _raised_by_project(why):
        return AppError(f'{origin} names "{shown(name)}", which holds no Celery app.', hint=_form(origin))
    return broken(module, why if isinstance(why, AttributeError) else error)


def _raised_by_project(error: BaseException) -> bool:
    """Whether `error` comes from the project's own code, and not from the look-up of a name in it."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    origin = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    return origin.partition(".")[0] not in ("celery", "kombu", "importlib", "tasktools")


def _only(found: list[Found]) -> Found | None:
    """Return the only app, or the one that is better than all others. Raises SeveralAppsError if there is no such app."""
    if len(found) < 2:
        return found[0] if found else None
    usual = list(dict.fromkeys(usual_modules()))
    best = best_of(found, usual)
    if best is None:
        found = sorted(found, key=lambda each: by_merit(each.app, usual))
        names = ", ".join(each.name or repr(each.app) for each in found)
        choice = f'choose one with -A, or in the settings: TASKTOOLS_APP = "{found[0].name}"'
        hint = choice if found[0].name else "keep the one that is meant in a module, and name that in TASKTOOLS_APP"
        raise SeveralAppsError(f"This project has {len(found)} Celery apps: {names}.", hint=hint)
    return best


def _in_usual_modules() -> list[Found]:
    """Return the apps of the first usual module that holds any; an installed package's module is none of them."""
    for name in dict.fromkeys(usual_modules()):
        if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
            raise Unsettled(name)
        held = [value for value in vars(_import(name)).values() if isinstance(value, Celery) and not is_fallback(value)]
        if held:
            return [Found(app=app) for app in dict.fromkeys(held)]
    return []


def usual_modules() -> Iterator[str]:
    """Yield the modules in which the app usually is; a name may come twice. Raises ProjectError."""
    for root in roots():
        yield from [f"{root}.{name}".lstrip(".") for name in ("celery", "celery_app") if _exists(root, name)]
    for config in apps.get_app_configs():
        if config.name != "tasktools" and is_own(config) and module_has_submodule(config.module, "celery"):
            yield f"{config.name}.celery"


def roots() -> Iterable[str]:
    """Yield the packages that may hold the app: those that contain the settings, then the URLs; "" is the top level."""
    for module in (getattr(settings, "SETTINGS_MODULE", None), getattr(settings, "ROOT_URLCONF", None)):
        package = str(module or "").rpartition(".")[0]
        while package:
            yield package
            package = package.rpartition(".")[0]
    yield ""


def _exists(root: str, name: str) -> bool:
    if not root:
        return name != "celery" and importlib.util.find_spec(name) is not None
    with project_code(lambda error: broken(root, error)):
        try:
            return module_has_submodule(importlib.import_module(root), name)
        except ImportError:
            return False


def _import(name: str) -> ModuleType:
    with project_code(lambda error: broken(name, error)):
        return importlib.import_module(name)


def broken(module: str, error: BaseException) -> ProjectError:
    return ProjectError(
        f'The module "{shown(module)}" cannot be imported: {render.ended(described(error))}',
        hint=f'manage.py shell -c "import {module}" shows where',
    )


def described(error: BaseException) -> str:
    """Return an exception as one line: its type, its text, and for a SyntaxError its file and line."""
    if isinstance(error, SyntaxError):
        return f"{brief(error)} ({error.filename}, line {error.lineno})"
    return brief(error)
