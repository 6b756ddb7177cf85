from __future__ import annotations

import functools
import inspect
import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tasktools.arguments.binding import Bound, Verbatim, bind
from tasktools.arguments.signatures import plain, signature_of
from tasktools.arguments.target import describe
from tasktools.exceptions import ArgumentError

if TYPE_CHECKING:
    from decimal import Decimal


def total(x: int, y: int = 2, *, factor: float = 1.0) -> float:
    return (x + y) * factor


def gather(*values: int, **named: int) -> None: ...


def place_only(x: int, /, y: int = 0) -> None: ...


def place_only_and_any(x: int, y: int = 0, /, **options: str) -> None: ...


def untyped(a, b=None) -> None: ...


def half_known(price: Decimal, count: int) -> None: ...


def texts(name: str = "", size: Literal["S", "L", 3] = "S") -> None: ...


def call(function: Callable[..., Any], *words: str, **json: str) -> Bound:
    return bind(plain(signature_of(function)), words, task="shop.task", **json)


def refusal(function: Callable[..., Any], *words: str, **json: str) -> ArgumentError:
    with pytest.raises(ArgumentError) as caught:
        call(function, *words, **json)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        (["1"], (1,), {}),
        (["1", "5"], (1, 5), {}),
        (["-1", "5"], (-1, 5), {}),
        (["x=1"], (), {"x": 1}),
        (["y=5", "1"], (1,), {"y": 5}),
        (["1", "factor=2"], (1,), {"factor": 2.0}),
    ],
)
def test_bind__words_by_place_and_by_name(words: list[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert call(total, *words) == Bound(args=args, kwargs=kwargs)


def test_bind__rest_and_further_keywords_are_typed_as_the_signature_says() -> None:
    assert call(gather, "1", "2", "a=3") == Bound(args=(1, 2), kwargs={"a": 3})


def test_bind__a_keyword_called_as_the_rest_goes_to_the_further_keywords() -> None:
    assert call(gather, "1", "values=3") == Bound(args=(1,), kwargs={"values": 3})


def test_bind__without_annotation_json_if_it_parses_else_text() -> None:
    assert call(untyped, "007", '{"a": 1}').args == ("007", {"a": 1})
    assert call(untyped, "7", "b=null") == Bound(args=(7,), kwargs={"b": None})


def test_bind__a_text_parameter_keeps_its_zeros() -> None:
    assert call(texts, "007").args == ("007",)


@pytest.mark.parametrize("word", ["=x", "1a=x", "a b=c", "a-b=c"])
def test_bind__what_looks_like_no_name_is_no_keyword(word: str) -> None:
    assert call(untyped, word) == Bound(args=(word,), kwargs={})


def note(event, title: str = "", count: int = 1, more: str | None = None) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["evnt=1"], "did you mean event=...? "),
        (["1", "coun=5"], "did you mean count=...? "),
        (["1", "titel=5"], "did you mean title=...? "),
        (["key=5"], ""),  # nothing says that the parameter takes text
        (["1", "a", "key=5"], ""),
    ],
)
def test_bind__a_keyword_that_the_task_does_not_take(words: list[str], hint: str) -> None:
    """It was sent as text, exit code 0: `evnt=1` for a parameter `event`."""
    error = refusal(note, *words)
    assert error.sentence == f'"{words[-1]}" names no parameter of shop.task.'
    form = "(event, title: str = '', count: int = 1, more: str | None = None)"
    assert error.hint == f"{hint}{form} is what it takes; as text, write it after two dashes: -- {words[-1]}"


def test_bind__a_keyword_that_is_meant_as_text() -> None:
    assert call(note, "1", "key=5").args == (1, "key=5")
    assert call(note, "1", "a", "2", "key=5").args == (1, "a", 2, "key=5")
    assert call(note, Verbatim("evnt=1")).args == ("evnt=1",)
    assert call(note, "1", "title=a", "more=b", "count=2").kwargs == {"title": "a", "more": "b", "count": 2}
    assert call(note, Verbatim("event=1")).kwargs == {"event": 1}


def test_bind__the_first_equals_sign_ends_the_key() -> None:
    assert call(untyped, "a=1=2") == Bound(args=(), kwargs={"a": "1=2"})


def test_bind__a_parameter_that_is_by_place_alone_is_no_keyword() -> None:
    assert refusal(place_only, "x=1").sentence == '"x" of shop.task is given by its place, without its name.'


def test_bind__json_first_then_the_words() -> None:
    assert call(total, "5", args_json="[1]", kwargs_json='{"factor": 3}') == Bound(args=(1, 5), kwargs={"factor": 3})


def test_bind__json_is_taken_as_it_is() -> None:
    assert call(untyped, args_json='["7", [1]]').args == ("7", [1])


def test_bind__unknown_signature_takes_anything() -> None:
    assert bind(None, ["1", "a", "k=2"]) == Bound(args=(1, "a"), kwargs={"k": 2})


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "shop.task: missing a required argument: 'x'."),
        (["1", "2", "3"], '"3" is one word too many: it is number 3.'),
        (["1", "2", "z=3"], 'shop.task takes no keyword "z".'),
        (["a"], '"a" is not an integer, which "x" of shop.task takes.'),
        (["1", "factor=fast"], '"fast" is not a number, which "factor" of shop.task takes.'),
        (["x=1", "x=2"], '"x" is given twice.'),
        (["1", "x=2"], '"x" is given twice, once by its place and once by its name.'),
        (["x=1", "2"], '"x" is given twice, once by its place and once by its name.'),
        (["y=1"], "shop.task: missing a required argument: 'x'."),
        (["\0"], '"\\x00" is not an integer, which "x" of shop.task takes.'),
        pytest.param(["9" * 5000], f'"{"9" * 80}…" is not an integer, which "x" of shop.task takes.', id="long"),
    ],
)
def test_bind__a_call_that_the_task_does_not_take(words: list[str], sentence: str) -> None:
    error = refusal(total, *words)
    assert error.sentence == sentence
    assert error.hint == "shop.task is called with (x: int, y: int = 2, *, factor: float = 1.0)"


@pytest.mark.parametrize(
    ("json", "sentence"),
    [
        ({"args_json": "[1, 2, 3]"}, "shop.task: too many positional arguments."),
        ({"args_json": "[]"}, "shop.task: missing a required argument: 'x'."),
        ({"kwargs_json": '{"x": 1, "z": 3}'}, 'shop.task takes no keyword "z".'),
        (
            {"args_json": "[1]", "kwargs_json": '{"x": 1}'},
            '"x" is given twice, once by its place and once by its name.',
        ),
    ],
)
def test_bind__json_that_the_task_does_not_take(json: dict[str, str], sentence: str) -> None:
    error = refusal(total, **json)
    assert error.sentence == sentence
    assert error.hint == "shop.task is called with (x: int, y: int = 2, *, factor: float = 1.0)"


def test_bind__given_as_word_and_in_kwargs() -> None:
    assert refusal(total, "x=1", kwargs_json='{"x": 1}').sentence == '"x" is given twice.'


@pytest.mark.parametrize("text", ["", "[1", "{'a': 1}", "nope"])
@pytest.mark.parametrize(
    ("option", "form"), [("args", "an array, as in '[2, 2]'"), ("kwargs", "an object, as in '{\"x\": 2}'")]
)
def test_bind__what_is_not_json(option: str, form: str, text: str) -> None:
    error = refusal(total, **{f"{option}_json": text})
    assert error.sentence.startswith(f"--{option} is not JSON: ")
    assert error.hint == f"--{option} takes {form}"


@pytest.mark.parametrize(
    ("option", "text", "sentence"),
    [
        ("args_json", "{}", '--args is "{}", which is not an array.'),
        ("args_json", "null", '--args is "null", which is not an array.'),
        ("kwargs_json", "[]", '--kwargs is "[]", which is not an object.'),
        ("kwargs_json", '"x"', '--kwargs is ""x"", which is not an object.'),
    ],
)
def test_bind__json_of_another_kind(option: str, text: str, sentence: str) -> None:
    assert refusal(total, **{option: text}).sentence == sentence


def test_bind__nothing_typed_is_evaluated(tmp_path) -> None:
    path = tmp_path / "made"
    word = f"open({str(path)!r}, 'w')"
    assert call(untyped, word).args == (word,)
    assert not path.exists()


def test_signature_of__an_annotation_that_cannot_be_resolved_types_nothing_and_spoils_no_other() -> None:
    parameters = signature_of(half_known).parameters
    assert parameters["price"].annotation is inspect.Parameter.empty
    assert parameters["count"].annotation is int


def test_signature_of__looks_through_wrappers() -> None:
    @functools.wraps(total)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return total(*args, **kwargs)

    assert describe(signature_of(wrapper)) == "(x: int, y: int = 2, *, factor: float = 1.0)"


def test_signature_of__a_bound_method_has_no_self() -> None:
    class Task:
        def run(self, x: int) -> None: ...

    assert describe(signature_of(Task().run)) == "(x: int)"


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (total, "(x: int, y: int = 2, *, factor: float = 1.0)"),
        (gather, "(*values: int, **named: int)"),
        (untyped, "(a, b=None)"),
        (place_only, "(x: int, /, y: int = 0)"),
        (half_known, "(price, count: int)"),
        (texts, "(name: str = '', size: Literal['S', 'L', 3] = 'S')"),
    ],
)
def test_describe__as_one_reads_it(function: Callable[..., Any], text: str) -> None:
    assert describe(signature_of(function)) == text


def kinds(data: bytes, order: Literal["sort=asc", "sort=desc"] = "sort=asc", *rest: int) -> None: ...


def tokens(value, *, key: str = "") -> None: ...  # type: ignore[no-untyped-def]


def rest(*args) -> None: ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (kinds, ["aGVsbG8=", "sort=asc"]),  # values of their annotations
        (kinds, ["a=b"]),
        (tokens, ["dG9rZW4="]),
        (tokens, ["dG9rZW4=="]),
        (tokens, ["a==b"]),
        (rest, ["a=1"]),  # nothing can be meant by a name
    ],
)
def test_bind__what_can_be_no_slip(function: Any, words: list[str]) -> None:
    bound = call(function, *words)
    assert [each.decode() if isinstance(each, bytes) else each for each in bound.args] == words
    assert bound.kwargs == {}


def test_bind__a_word_that_is_meant_as_text_is_plain_text() -> None:
    """A message of pickle would name a class that a stock worker does not have."""
    [value] = call(tokens, Verbatim("a=b")).args
    assert type(value) is str


@pytest.mark.parametrize("given", [{}, {"kwargs_json": '{"y": "5"}'}])
def test_bind__a_keyword_that_is_called_as_a_parameter_that_has_only_a_place(given: dict[str, str]) -> None:
    words = ["1"] if given else ["1", "y=5"]
    assert call(place_only_and_any, *words, **given) == Bound((1,), {"y": "5"})


@pytest.mark.parametrize("json", [{"args_json": "[1e999]"}, {"kwargs_json": '{"x": [-1e999]}'}])
def test_bind__a_number_in_json_that_would_become_infinity(json: dict[str, str]) -> None:
    error = refusal(untyped, **json)
    assert re.fullmatch(r'The number "-?1e999" is too large for a float\.', error.sentence)
    assert error.hint == "write it as text, in quotes, or write Infinity if you mean that"


def test_bind__infinity_in_json_is_taken_as_celery_takes_it() -> None:
    assert call(untyped, args_json="[Infinity]") == Bound((math.inf,), {})
