"""Headless Chromium by its own protocol over two pipes: pages opened, looked at, clicked and printed. No network."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (360, 800, 1400)
_PATIENCE = 120.0  # seconds for one answer
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
          "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
          "--font-render-hinting=none", "--hide-scrollbars", "--disable-extensions")  # fmt: skip


class Browser:
    """A Chromium of one's own."""

    def __init__(self) -> None:
        assert PROGRAM is not None
        self.profile = tempfile.mkdtemp(prefix="optihedge-browser-")
        (ours_read, theirs_write), (theirs_read, ours_write) = os.pipe(), os.pipe()
        high = [fcntl.fcntl(end, fcntl.F_DUPFD, 20) for end in (theirs_read, theirs_write)]

        def place() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        command = [PROGRAM, *_FLAGS, f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(command, preexec_fn=place, close_fds=False, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL, start_new_session=True)  # fmt: skip
        for end in (theirs_read, theirs_write, *high):
            os.close(end)
        self.read, self.write, self.left, self.number = ours_read, ours_write, b"", 0
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """One call of the protocol, and its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        text = json.dumps(message | ({"sessionId": session} if session else {}))
        os.write(self.write, text.encode() + b"\0")
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            found = self._next(until)
            if found.get("id") == self.number:
                assert "error" not in found, (method, found["error"])
                return dict(found["result"])
            self.events.append(found)
        raise AssertionError(f"{method}: no answer")

    def hear(self, seconds: float = 0.05) -> None:
        """Events that are on their way."""
        until = time.monotonic() + seconds
        while b"\0" in self.left or select.select([self.read], [], [], max(until - time.monotonic(), 0.0))[0]:
            self.events.append(self._next(until + 5))

    def _next(self, until: float) -> dict[str, Any]:
        while b"\0" not in self.left:
            ready, _, _ = select.select([self.read], [], [], max(until - time.monotonic(), 0.0))
            more = os.read(self.read, 1 << 20) if ready else b""
            assert more, "the browser is silent"
            self.left += more
        text, self.left = self.left.split(b"\0", 1)
        return dict(json.loads(text))

    @contextlib.contextmanager
    def page(self, address: str, width: int = 1400, height: int = 1000, *, dark: bool = False, paper: bool = False,
             wait: str = "true") -> Iterator[Page]:  # fmt: skip
        """A page at a width in pixels, light or dark, on a screen or as paper; `wait` until this is true there."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        made = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            made.call(f"{domain}.enable")
        made.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        made.look(dark=dark, paper=paper)
        made.call("Page.navigate", url=address)
        made.until("document.readyState === 'complete'")
        made.until(wait)
        try:
            yield made
        finally:
            self.call("Target.closeTarget", targetId=target)
            self.events = [event for event in self.events if event.get("sessionId") != session]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.write)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        os.close(self.read)
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """A page that is open."""

    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Wait until an expression is true."""
        until = time.monotonic() + _PATIENCE
        while not self.ask(f"Boolean({script})"):
            assert time.monotonic() < until, f"never: {script}"
            time.sleep(0.05)

    def look(self, *, dark: bool = False, paper: bool = False) -> None:
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="print" if paper else "screen", features=scheme)

    def resize(self, width: int, height: int = 1000) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def picture(self, path: Path, *, whole: bool = True) -> None:
        found = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def printed(self) -> bytes:
        """The page as PDF, as its own @page says."""
        self.look(paper=True)
        found = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        return base64.b64decode(found["data"])

    def heard(self) -> list[dict[str, Any]]:
        self.browser.hear()
        return [event for event in self.browser.events if event.get("sessionId") == self.session]

    def complaints(self) -> list[str]:
        """Errors and warnings of the console, and exceptions."""
        found = []
        for event in self.heard():
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(told["exceptionDetails"])[:400])
            elif event["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                found.append(json.dumps(told["args"])[:400])
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                found.append(told["entry"]["text"])
        return found

    def requests(self) -> list[str]:
        """Addresses that the page asked for, the page itself and what it holds in its own text apart."""
        asked = [e["params"] for e in self.heard() if e["method"] == "Network.requestWillBeSent"]
        addresses = [one["request"]["url"] for one in asked if one.get("type") != "Document"]
        return [address for address in addresses if not address.startswith(("data:", "blob:"))]

    def clipped(self) -> list[str]:
        """Texts that cannot be read whole: beyond the page where nothing scrolls, cut by their box, beyond a picture,
        or drawn over one another."""
        return list(self.ask(_CLIPPED))

    def faults(self) -> list[str]:
        """What axe-core finds against WCAG 2 A and AA and its best practices."""
        assert find_spec("axe_core_python") is not None
        script = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
        self.ask(f"{script};true")
        found = self.ask(
            "axe.run(document,{resultTypes:['violations']}).then(r=>r.violations.map(v=>v.id+': '+v.help+"
            "' ('+v.nodes.length+') '+v.nodes[0].html.slice(0,160)+' '+v.nodes[0].failureSummary))"
        )
        return list(found)


_CLIPPED = """(() => {
  const found = [], wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide + 1)
    found.push('page is ' + document.documentElement.scrollWidth + ' wide on ' + wide);
  const shown = e => e.checkVisibility() && e.getClientRects().length;
  const scrolls = e => { for (let p = e.parentElement; p; p = p.parentElement) {
    const o = getComputedStyle(p).overflowX; if (o === 'auto' || o === 'scroll') return true } return false };
  for (const e of document.querySelectorAll('td,th,b,p,li,h1,h2,h3,span,button,label,pre,strong,dd,dt')) {
    if (!shown(e) || !e.textContent.trim()) continue;
    const s = getComputedStyle(e), box = e.getBoundingClientRect();
    if (e.scrollWidth > e.clientWidth + 1 && s.overflowX !== 'visible' && s.overflowX !== 'auto'
        && s.overflowX !== 'scroll' && e.clientWidth) found.push('cut: ' + e.textContent.trim().slice(0, 60));
    if ((box.right > wide + 1 || box.left < -1) && !scrolls(e) && box.right > 0)
      found.push('beyond: ' + e.textContent.trim().slice(0, 60));
  }
  for (const e of document.querySelectorAll('td.n,th.n,.tile b')) {
    if (!shown(e) || !e.textContent.trim()) continue;
    const r = document.createRange(); r.selectNodeContents(e);
    if (e.matches('td.n') && r.getClientRects().length > 1 && new Set([...r.getClientRects()].map(x => x.top)).size > 1)
      found.push('broken: ' + e.textContent.trim());
  }
  for (const svg of document.querySelectorAll('svg[role=img]')) {
    const box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')].filter(shown);
    const boxes = texts.map(t => [t, t.getBoundingClientRect()]);
    for (const [t, b] of boxes) {
      if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 2 || b.bottom > box.bottom + 2)
        found.push('beyond picture: ' + t.textContent);
      if (b.height < 7) found.push('too small: ' + t.textContent);
    }
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const a = boxes[i][1], b = boxes[j][1];
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1
          && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.3 * Math.min(a.height, b.height))
        found.push('over one another: ' + boxes[i][0].textContent + ' and ' + boxes[j][0].textContent);
    }
  }
  return [...new Set(found)].slice(0, 20);
})()"""


@contextlib.contextmanager
def browsing() -> Iterator[Browser]:
    """A browser for a test; the test is skipped where there is none, or it cannot be started."""
    if PROGRAM is None:
        pytest.skip("there is no Chromium on this machine: pages are not looked at")
    browser = Browser()
    try:
        browser.call("Browser.getVersion")
        yield browser
    finally:
        browser.close()
