from __future__ import annotations

import importlib
import sys
import textwrap
import weakref
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from celery import Celery, _state
from django.apps import AppConfig, apps
from django.conf import settings as django_settings

from tasktools.discovery import celery_app
from tasktools.discovery.celery_app import Found, described, find, is_fallback, live, make_default, name_of, ready_made
from tasktools.discovery.import_names import reads_settings
from tasktools.exceptions import AppError, ProjectError, SeveralAppsError, TasktoolsError

#: What a module of a project holds that makes an app. The process's own current app stays what it is.
APP = "from celery import Celery\napp = Celery('{name}', set_as_current=False)\n"


class Project:
    """Modules on disk that can be imported during a test."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, text: str = "") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        for folder in file.parents:
            if folder == self.root:
                break
            (folder / "__init__.py").touch()
        file.write_text(textwrap.dedent(text))

    def load(self, *names: str) -> None:
        for name in names:
            importlib.import_module(name)

    def modules(self) -> list[str]:
        return [name for name, module in sys.modules.items() if str(self.root) in str(getattr(module, "__file__", ""))]


@pytest.fixture(autouse=True)
def no_other_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no app of another test count, and undo what makes an app the current one."""
    monkeypatch.setattr(_state, "_apps", weakref.WeakSet())
    monkeypatch.setattr(_state, "default_app", _state.default_app)
    monkeypatch.setattr(_state._tls, "current_app", _state._tls.current_app)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Iterator[Project]:
    monkeypatch.syspath_prepend(tmp_path)
    settings.ROOT_URLCONF = ""
    made = Project(tmp_path)
    yield made
    for name in made.modules():
        del sys.modules[name]


def refusal(kind: type[TasktoolsError], name: str | None = None) -> TasktoolsError:
    with pytest.raises(kind) as caught:
        find(name)
    assert caught.value.exit_code == 2
    return caught.value


def test_find__named_as_module_and_attribute(project: Project) -> None:
    project.write("disco_a/celery.py", APP.format(name="a"))
    found = find("disco_a.celery:app")
    assert (found.app.main, found.ready_made, found.name) == ("a", False, "disco_a.celery:app")


@pytest.mark.parametrize("name", ["disco_b", "disco_b.celery"])
def test_find__named_as_celery_s_own_command_line_takes_it(project: Project, name: str) -> None:
    project.write("disco_b/celery.py", APP.format(name="b"))
    assert find(name).app.main == "b"


def test_find__a_proxy_is_taken_for_what_it_stands_for(project: Project) -> None:
    project.write("disco_c.py", APP.format(name="c") + "from celery.local import Proxy\nproxy = Proxy(lambda: app)\n")
    found = find("disco_c:proxy")
    assert type(found.app) is Celery
    assert found.name == "disco_c:app"


def test_find__the_ready_made_one_by_its_name() -> None:
    assert find("tasktools") == find("tasktools.celery:app") == Found(app=ready_made().app, ready_made=True)


def test_find__the_setting(project: Project, settings: Any) -> None:
    project.write("disco_d.py", APP.format(name="d"))
    settings.TASKTOOLS_APP = "disco_d:app"
    assert find().app.main == "d"


def test_find__what_is_typed_goes_before_the_setting(project: Project, settings: Any) -> None:
    project.write("disco_e.py", APP.format(name="e"))
    settings.TASKTOOLS_APP = "no_such_module:app"
    assert find("disco_e:app").app.main == "e"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("disco_none", '-A names "disco_none", and there is no module "disco_none".'),
        ("disco_none.celery:app", '-A names "disco_none.celery:app", and there is no module "disco_none".'),
        ("tests.disco_none", '-A names "tests.disco_none", and there is no module "tests.disco_none".'),
        ("textwrap", '-A names "textwrap", which holds no Celery app.'),
        ("textwrap:nope", '-A names "textwrap:nope", which holds no Celery app.'),
        ("textwrap:dedent", '-A names "textwrap:dedent", which is a function, not a Celery app.'),
        ("a b", '-A names "a b", which is no module name.'),
        (":app", '-A names ":app", which is no module name.'),
        ("..", '-A names "..", which is no module name.'),
        ("textwrap:", '-A names "textwrap:", which is no module name.'),
        ("textwrap:a:b", '-A names "textwrap:a:b", which is no module name.'),
        ("a\0", '-A names "a\\x00", which is no module name.'),
        ("./a.py", '-A names "./a.py", which is no module name.'),
    ],
)
def test_find__a_name_that_leads_to_no_app(name: str, sentence: str) -> None:
    error = refusal(AppError, name)
    assert error.sentence == sentence
    assert error.hint == "give -A as module:attribute, as in proj.celery:app"


def test_find__a_setting_that_leads_to_no_app(settings: Any) -> None:
    settings.TASKTOOLS_APP = "disco_none:app"
    error = refusal(AppError)
    assert error.sentence == 'TASKTOOLS_APP names "disco_none:app", and there is no module "disco_none".'
    assert error.hint == "give TASKTOOLS_APP as module:attribute, as in proj.celery:app"


@pytest.mark.parametrize("attribute", ["", ":app"])
@pytest.mark.parametrize(
    ("text", "told_as"),
    [
        ("import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise RuntimeError('no good')", "RuntimeError: no good"),
        ("import textwrap\ntextwrap.nope", "AttributeError: module 'textwrap' has no attribute 'nope'"),
    ],
)
def test_find__a_named_module_that_raises(project: Project, attribute: str, text: str, told_as: str) -> None:
    project.write("disco_f.py", text)
    error = refusal(ProjectError, f"disco_f{attribute}")
    assert error.sentence == f'The module "disco_f" cannot be imported: {told_as}.'
    assert error.hint == 'manage.py shell -c "import disco_f" shows where'


def test_find__a_named_module_with_a_slip_in_its_syntax(project: Project) -> None:
    project.write("disco_g.py", "a = 1\ndef app(:\n")
    error = refusal(ProjectError, "disco_g:app")
    place = f"({project.root / 'disco_g.py'}, line 2)"
    assert error.sentence == f'The module "disco_g" cannot be imported: SyntaxError: invalid syntax {place}.'


def test_find__an_app_that_the_project_has_made() -> None:
    app = Celery("made", set_as_current=False)
    assert find() == Found(app=app)


def test_find__several_apps_are_listed(project: Project) -> None:
    project.write("disco_h.py", APP.format(name="h") + "other = Celery('other', set_as_current=False)\n")
    __import__("disco_h")
    error = refusal(AppError)
    assert error.sentence == "This project has 2 Celery apps: disco_h:app, disco_h:other."
    assert error.hint == 'choose one with -A, or in the settings: TASKTOOLS_APP = "disco_h:app"'


def test_find__an_app_in_a_module_goes_before_throw_away_ones(project: Project) -> None:
    project.write("disco_i.py", APP.format(name="i"))
    __import__("disco_i")
    other = Celery("thrown away", set_as_current=False)
    assert find().name == "disco_i:app"
    assert other.main == "thrown away"


def test_find__several_apps_that_no_module_holds_are_no_choice_to_be_hinted_at() -> None:
    made = [Celery("one", set_as_current=False), Celery("two", set_as_current=False)]
    error = refusal(AppError)
    assert error.sentence.startswith("This project has 2 Celery apps: <Celery ")
    assert '""' not in error.hint
    assert len(made) == 2


@pytest.mark.parametrize(
    ("settings_module", "path"),
    [
        ("disco_j.settings", "disco_j/celery.py"),
        ("disco_j.settings", "disco_j/celery_app.py"),
        ("disco_j.settings.dev", "disco_j/celery.py"),
        ("disco_j.settings.dev", "disco_j/settings/celery.py"),
        ("disco_j.settings", "celery_app.py"),
        ("disco_j", "celery_app.py"),
    ],
)
def test_find__in_the_usual_modules(project: Project, settings: Any, settings_module: str, path: str) -> None:
    project.write("disco_j/settings/dev.py")
    project.write(path, APP.format(name="j"))
    settings.SETTINGS_MODULE = settings_module
    assert find().app.main == "j"


def test_find__in_the_usual_modules_around_the_urls(project: Project, settings: Any) -> None:
    project.write("disco_k/celery.py", APP.format(name="k"))
    settings.ROOT_URLCONF = "disco_k.urls"
    assert find().app.main == "k"


def test_find__in_the_celery_module_of_an_installed_app(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("disco_l/celery.py", APP.format(name="l"))
    monkeypatch.setitem(apps.app_configs, "disco_l", AppConfig.create("disco_l"))
    assert find().app.main == "l"


def test_find__the_first_usual_module_with_an_app_is_enough(project: Project, settings: Any) -> None:
    project.write("disco_m/celery.py", "nothing = None\n")
    project.write("disco_m/celery_app.py", APP.format(name="m"))
    project.write("celery_app.py", "raise ValueError('not asked for')")
    settings.SETTINGS_MODULE = "disco_m.settings"
    assert find().app.main == "m"


def test_find__several_apps_in_a_usual_module(project: Project, settings: Any) -> None:
    project.write(
        "disco_n/celery.py", APP.format(name="n") + "other = Celery('other', set_as_current=False)\nsame = app\n"
    )
    settings.SETTINGS_MODULE = "disco_n.settings"
    assert refusal(AppError).sentence == ("This project has 2 Celery apps: disco_n.celery:app, disco_n.celery:other.")


#: An app that the project configures from Django's settings, and one that a module makes for itself.
SETTLED = """from celery import Celery
{key} = Celery('{name}')
{key}.config_from_object('django.conf:settings', namespace='CELERY')
"""
BY_ITSELF = "from celery import Celery\n{key} = Celery('{name}', broker='memory://')\n"


def test_find__of_several_live_ones_the_one_that_reads_the_settings(project: Project, settings: Any) -> None:
    settings.SETTINGS_MODULE = "disco_t.settings"
    project.write("disco_t/celery.py", SETTLED.format(key="app", name="settled"))
    project.write("disco_t/a/tasks.py", BY_ITSELF.format(key="app", name="own"))
    project.load("disco_t.celery", "disco_t.a.tasks")
    assert find().name == "disco_t.celery:app"


def test_find__of_several_live_ones_the_one_at_the_usual_place(project: Project, settings: Any) -> None:
    settings.SETTINGS_MODULE = "disco_u.settings"
    project.write("disco_u/celery.py", BY_ITSELF.format(key="app", name="usual"))
    project.write("disco_u/a/tasks.py", BY_ITSELF.format(key="app", name="own"))
    project.load("disco_u.celery", "disco_u.a.tasks")
    assert find().name == "disco_u.celery:app"


def test_find__the_settings_root_goes_before_an_installed_app(
    project: Project, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SETTINGS_MODULE = "disco_v.settings"
    for package in ("disco_v", "disco_v_app"):
        project.write(f"{package}/celery.py", SETTLED.format(key="app", name=package))
    monkeypatch.setitem(apps.app_configs, "disco_v_app", AppConfig.create("disco_v_app"))
    project.load("disco_v_app.celery", "disco_v.celery")
    assert find().name == "disco_v.celery:app"


def test_find__several_of_which_none_is_the_best_the_hint_proposes_the_likeliest(
    project: Project, settings: Any
) -> None:
    settings.SETTINGS_MODULE = "disco_w.settings"
    project.write("disco_w/a.py", BY_ITSELF.format(key="app", name="a"))
    project.write("disco_w/b.py", SETTLED.format(key="app", name="b"))
    project.write("disco_w/celery.py", BY_ITSELF.format(key="app", name="usual"))
    project.load("disco_w.a", "disco_w.b", "disco_w.celery")
    error = refusal(SeveralAppsError)
    assert error.sentence == "This project has 3 Celery apps: disco_w.b:app, disco_w.celery:app, disco_w.a:app."
    assert error.hint.endswith('TASKTOOLS_APP = "disco_w.b:app"')


def test_find__in_a_usual_module_the_one_that_reads_the_settings(project: Project, settings: Any) -> None:
    text = SETTLED.format(key="chosen", name="chosen") + BY_ITSELF.format(key="another", name="another")
    project.write("disco_x/celery.py", text)
    settings.SETTINGS_MODULE = "disco_x.settings"
    assert find().name == "disco_x.celery:chosen"


@pytest.mark.parametrize("source", ["'django.conf:settings'", "'django.conf.settings'", "'disco_y'", "settings"])
def test_reads_settings__however_the_project_says_it(project: Project, settings: Any, source: str) -> None:
    settings.SETTINGS_MODULE = "disco_y"
    app = Celery("y", set_as_current=False)
    app.config_from_object({"settings": django_settings}.get(source, source.strip("'")))
    assert reads_settings(app)


@pytest.mark.parametrize("source", [None, "proj.celeryconfig", {"broker_url": "memory://"}])
def test_reads_settings__not_from_elsewhere(source: Any) -> None:
    app = Celery("z", set_as_current=False)
    if source is not None:
        app.config_from_object(source)
    assert not reads_settings(app)


def test_name_of__the_module_that_makes_it_not_one_that_imports_it(project: Project) -> None:
    project.write("disco_core/celery/__init__.py", APP.format(name="core"))
    project.write("disco_core/signals.py", "from disco_core.celery import app\n")
    project.write("disco_infra/queueing/__init__.py", APP.format(name="infra"))
    project.write("disco_infra/signals.py", "from disco_infra.queueing import app\n")
    project.load("disco_core.signals", "disco_infra.signals")
    assert name_of(sys.modules["disco_core.signals"].app) == "disco_core.celery:app"
    assert name_of(sys.modules["disco_infra.signals"].app) == "disco_infra.queueing:app"


def test_find__a_usual_module_that_raises(project: Project, settings: Any) -> None:
    project.write("disco_o/celery.py", "1 / 0")
    settings.SETTINGS_MODULE = "disco_o.settings"
    error = refusal(ProjectError)
    assert error.sentence == 'The module "disco_o.celery" cannot be imported: ZeroDivisionError: division by zero.'


def test_find__else_the_ready_made_one(project: Project, settings: Any) -> None:
    project.write("disco_p/settings.py")
    settings.SETTINGS_MODULE = "disco_p.settings"
    assert find() == Found(app=sys.modules["tasktools.celery"].app, ready_made=True)


def test_live__neither_the_fallback_nor_the_ready_made_one() -> None:
    fallback = Celery("default", fixups=[], set_as_current=False)
    _state._register_app(ready_made().app)
    assert is_fallback(fallback)
    assert live() == ([], [])


def test_is_fallback__the_one_that_celery_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_state, "default_app", None)
    monkeypatch.setattr(_state._tls, "current_app", None)
    monkeypatch.delenv("CELERY_LOADER", raising=False)
    assert is_fallback(_state._get_current_app())


@pytest.mark.parametrize("name", [None, "default", "shop"])
def test_is_fallback__none_that_a_project_makes(name: str | None) -> None:
    assert not is_fallback(Celery(name))


def test_make_default__in_place_of_the_fallback_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fallback = Celery("default", fixups=[], set_as_current=False)
    first, second = Celery("first", set_as_current=False), Celery("second", set_as_current=False)
    monkeypatch.setattr(_state, "default_app", fallback)
    make_default(first)
    assert _state.default_app is first
    make_default(second)
    assert _state.default_app is first


def test_make_default__by_force_in_this_thread_too() -> None:
    app = Celery("forced", set_as_current=False)
    make_default(app, force=True)
    assert _state.default_app is app
    assert _state.get_current_app() is app


def module(monkeypatch: pytest.MonkeyPatch, name: str, *, package: bool = False, **held: Any) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(held)
    if package:
        made.__path__ = []
    monkeypatch.setitem(sys.modules, name, made)
    return made


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [
        (("disco_q", "app", True), ("disco_q.celery", "app", False), "disco_q.celery:app"),
        (("disco_q.a", "x", False), ("disco_q.long", "app", False), "disco_q.long:app"),
        (("disco_q.a", "celery", False), ("disco_q.b", "app", False), "disco_q.b:app"),
        (("disco_q.a", "celery_app", False), ("disco_q.b", "celery", False), "disco_q.b:celery"),
        (("disco_q.long", "app", False), ("disco_q.b", "app", False), "disco_q.b:app"),
        (("disco_q.b", "app", False), ("disco_q.a", "app", False), "disco_q.a:app"),
    ],
)
def test_name_of__the_best_of_several(
    monkeypatch: pytest.MonkeyPatch, first: tuple[str, str, bool], second: tuple[str, str, bool], best: str
) -> None:
    app = Celery("q", set_as_current=False)
    for name, key, package in (first, second):
        module(monkeypatch, name, package=package, **{key: app})
    assert name_of(app) == best


def test_name_of__none_for_an_app_that_no_module_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    app = Celery("r", set_as_current=False)
    assert name_of(app) == ""
    monkeypatch.setattr(sys.modules["__main__"], "disco_app", app, raising=False)
    assert name_of(app) == ""


def test_found__its_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found(app=Celery("s", set_as_current=False))
    module(monkeypatch, "disco_s", app=found.app)
    assert found.name == "disco_s:app"
    monkeypatch.delitem(sys.modules, "disco_s")
    assert found.name == "disco_s:app"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no good"), "ValueError: no good"),
        (ValueError("two\n  lines."), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (SyntaxError("invalid syntax", ("a.py", 3, 1, "x")), "SyntaxError: invalid syntax (a.py, line 3)"),
        pytest.param(ValueError("x" * 1000), "ValueError: " + "x" * 288, id="long"),
    ],
)
def test_told__one_line(error: Exception, text: str) -> None:
    assert described(error) == text


def test_ready_made__is_named_after_the_project_and_read_from_the_settings() -> None:
    app = celery_app.ready_made().app
    assert app.main == "tests"
    assert app.conf.task_routes == {"tests.site.tasks.bound": "slow"}


def test_told__a_password_that_the_cut_would_halve_is_hidden_first() -> None:
    text = described(ValueError(f"{'x' * 250} redis://:{'pass' * 20}@host"))
    assert "pass" not in text
    assert len(text) <= 300


def test_described__error_that_cannot_be_written() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert described(Odd()) == "Odd: <Odd>"


def test_find__a_package_that_raises(project: Project, settings: Any) -> None:
    project.write("disco_ad/__init__.py", "1 / 0")
    settings.SETTINGS_MODULE = "disco_ad.settings"
    error = refusal(ProjectError)
    assert error.sentence == 'The module "disco_ad" cannot be imported: ZeroDivisionError: division by zero.'
    assert error.hint == 'manage.py shell -c "import disco_ad" shows where'


def test_find__settings_of_a_package_that_is_not_there(settings: Any) -> None:
    """A shell that has configured its settings by hand may name any module."""
    settings.SETTINGS_MODULE = "disco_none.settings"
    assert find().ready_made


def test_find__in_a_module_that_is_still_being_imported(project: Project, settings: Any) -> None:
    project.write("disco_ae/celery.py", "from tasktools.discovery.celery_app import find\nfind()\n")
    settings.SETTINGS_MODULE = "disco_ae.settings"
    with pytest.raises(celery_app.Unsettled) as caught:
        project.load("disco_ae.celery")
    assert caught.value.sentence == (
        'The module "disco_ae.celery", which may hold the Celery app, is still being imported.'
    )
    assert caught.value.hint == "leave django.setup() out of it: manage.py and the web server call it"


def test_find__several_without_a_module_of_which_the_first_has_a_name_only(project: Project) -> None:
    """The hint proposes a name that can be typed, and none where the first has none."""
    project.write("disco_af.py", BY_ITSELF.format(key="app", name="af"))
    project.load("disco_af")
    named, unnamed = Found(app=sys.modules["disco_af"].app), Found(app=Celery("af", set_as_current=False))
    with pytest.raises(SeveralAppsError) as caught:
        celery_app._only([unnamed, named])
    assert caught.value.hint == 'choose one with -A, or in the settings: TASKTOOLS_APP = "disco_af:app"'


def test_find__an_app_for_another_service_does_not_count_beside_the_current_one(project: Project) -> None:
    """A module of the project holds both; the one was made with set_as_current=False."""
    project.write("disco_ag.py", APP.format(name="other service"))
    project.write("disco_ah.py", BY_ITSELF.format(key="app", name="ah"))
    project.load("disco_ag", "disco_ah")
    strong, weak = live()
    assert [each.name for each in strong] == ["disco_ah:app"]
    assert [each.name for each in weak] == ["disco_ag:app"]
    assert find().name == "disco_ah:app"


def test_live__a_current_app_of_a_library_is_weak(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write("disco_ai.py", BY_ITSELF.format(key="app", name="ai"))
    project.load("disco_ai")
    monkeypatch.setattr(celery_app, "is_own", lambda module: False)
    strong, weak = live()
    assert (strong, [each.name for each in weak]) == ([], ["disco_ai:app"])
    assert celery_app.others(Celery("z", set_as_current=False)) == []


def test_others__are_the_apps_of_the_project_but_this_one(project: Project) -> None:
    project.write("disco_aj.py", BY_ITSELF.format(key="one", name="one") + BY_ITSELF.format(key="two", name="two"))
    project.load("disco_aj")
    assert [each.name for each in celery_app.others(sys.modules["disco_aj"].one)] == ["disco_aj:two"]


def test_find__several_apps_that_no_module_holds__the_hint(project: Project) -> None:
    made = [Found(app=Celery(name, set_as_current=False)) for name in ("one", "two")]
    with pytest.raises(SeveralAppsError) as caught:
        celery_app._only(made)
    assert caught.value.hint == "keep the one that is meant in a module, and name that in TASKTOOLS_APP"
