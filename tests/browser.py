"""A page in a real browser, over the protocol that chromedriver speaks."""

import base64
import json
import re
import shutil
import subprocess
import urllib.request
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")


class Browser:
    """One window; use it as a context manager."""

    def __init__(self, profile: Path) -> None:
        self.process = subprocess.Popen(
            [str(DRIVER), "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert self.process.stdout is not None
        said = (re.search(r"successfully on port (\d+)", line) for line in self.process.stdout)
        started = next(filter(None, said))
        self.root = f"http://127.0.0.1:{started[1]}/session"
        options = {
            "binary": CHROMIUM,
            "args": [
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-sync"),
                *("--disable-component-update", f"--user-data-dir={profile}"),
            ],
        }
        wanted = {
            "alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": options,
                "goog:loggingPrefs": {"browser": "ALL"},
            }
        }
        self.root += "/" + self.ask("", {"capabilities": wanted})["sessionId"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self.ask("", method="DELETE")
        finally:
            self.process.terminate()
            self.process.communicate()

    def ask(self, path, body=None, method=None):
        """One command of the protocol, and what it returns."""
        data = None if method == "DELETE" else json.dumps(body or {}).encode()
        request = urllib.request.Request(
            self.root + path, data, {"Content-Type": "application/json"}, method=method
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=120) as reply:
            return json.load(reply)["value"]

    def open(self, path: Path, width=1280, height=900, scheme="light", media=""):
        """Load a file at a width, in light or dark."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", media=media, features=features)
        self.ask("/url", {"url": path.absolute().as_uri()})

    def devtools(self, command, **args):
        """One command of the developer tools."""
        return self.ask("/goog/cdp/execute", {"cmd": command, "params": args})

    def run(self, script, *args):
        """The value of a script's return."""
        return self.ask("/execute/sync", {"script": script, "args": [*args]})

    def press(self, *keys):
        """Keys, one after the other."""
        strokes = [{"type": kind, "value": k} for k in keys for kind in ("keyDown", "keyUp")]
        self.ask("/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def log(self):
        """What the console has said since it was asked last."""
        return [entry["message"] for entry in self.ask("/se/log", {"type": "browser"})]

    def picture(self) -> bytes:
        """All of the page."""
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    def pdf(self) -> bytes:
        """The page on paper."""
        sheet = self.devtools("Page.printToPDF", printBackground=True, preferCSSPageSize=True)
        return base64.b64decode(sheet["data"])
