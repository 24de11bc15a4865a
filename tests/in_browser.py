"""What tests in a browser have in common: two screens, and a page with what was wrong with loading it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def opened(browser: Any, file: Path, **options: Any) -> tuple[Any, list[str]]:
    """Return the page and what was wrong with loading it: messages, errors, requests to elsewhere."""
    page = browser.new_context(**options).new_page()
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("requestfailed", lambda request: wrong.append(f"failed: {request.url}"))

    def asked(request: Any) -> None:
        if request.url != file.as_uri() and not request.url.startswith("data:"):
            wrong.append(f"asked for {request.url}")

    page.on("request", asked)
    page.goto(file.as_uri(), wait_until="load")
    return page, wrong
