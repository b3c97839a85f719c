"""The input of a run: opened if it is sealed, and read by the model of the task type. Its secrets are hidden."""

from __future__ import annotations

import json
from collections.abc import Callable

from pydantic import BaseModel

from jobcore.sealing.fields import hidden, hiding
from jobcore.worker.run_store import RunStore


def _nothing(text: str) -> str:
    return text


class RunInput:
    """The input of one run."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self.hide: Callable[[str], str] = _nothing
        """Hides the secrets of the input in a text, once they are known."""

    def read(self, model: type[BaseModel]) -> BaseModel:
        """The input as the model reads it. Raises CannotOpen, and what the model raises.

        From here on no log line of the job has a secret of it, nor has `hide`.
        """
        claim = self._store.claim
        if claim.sealed is None:
            return model.model_validate_json(claim.input)
        text = self._store.bounds.secret_keys.open(claim.sealed, claim.task_type, claim.owner)
        self.hide = self._store.buffer.hide = hiding(secret for _, secret in hidden(model, json.loads(text)).secrets)
        return model.model_validate_json(text)
