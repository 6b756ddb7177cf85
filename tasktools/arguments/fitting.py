"""Whether a signature takes a call. Pure."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any


def fit(signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    """Return what `signature.bind` returns for a call, and raise TypeError as it does, but take what Python's own call takes.

    A keyword with the name of a positional-only parameter belongs to `**kwargs`. Python's `bind` refuses it if that parameter
    is left to its default.
    """
    parameters = signature.parameters
    extra = next((each.name for each in parameters.values() if each.kind is each.VAR_KEYWORD), None)
    alike = {key for key in kwargs if key in parameters and parameters[key].kind is inspect.Parameter.POSITIONAL_ONLY}
    if extra is None or not alike:
        return signature.bind(*args, **kwargs)
    bound = signature.bind(*args, **{key: value for key, value in kwargs.items() if key not in alike})
    bound.arguments[extra] = {**bound.arguments.get(extra, {}), **{key: kwargs[key] for key in alike}}
    return bound
