"""Every command here starts in an empty folder, with an empty environment and nothing remembered."""

import os
from pathlib import Path

import pytest

from pferdewert_ops import redaction

LIVE = ("PWOPS_", "MONGODB_", "ANTHROPIC_", "RESEND_", "STRIPE_", "CREDENTIALS_DIRECTORY", "NO_COLOR", "FORCE_COLOR")


@pytest.fixture(autouse=True)
def empty_world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in list(os.environ):
        if variable.startswith(LIVE):
            monkeypatch.delenv(variable)
    monkeypatch.setattr("pferdewert_ops.config.loading.USUAL_FILES", (Path("pwops.toml"),))
    monkeypatch.setattr(redaction._Register, "values", ())
    monkeypatch.chdir(tmp_path)
