# SPDX-License-Identifier: MIT
"""A headless Chromium under the tests' control, over the DevTools pipe: standard library only, no network.

    with Browser() as browser:
        page = browser.page(width=1400, height=900, dark=False, phone=False, scripts=True)
        page.open(path)                       a file of this machine
        page.evaluate("document.title")       -> a JSON value; raises PageError when the script throws
        page.wait("x > 3", "x")               until an expression is true
        page.click(x, y)  page.tap(x, y)  page.move(x, y)  page.key("Enter")  page.type("text")
        page.screenshot(path)
        page.errors                           what was thrown or logged as an error in the page so far
"""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

import harness

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--disable-default-apps", "--remote-debugging-pipe",
         "--host-resolver-rules=MAP * ~NOTFOUND", "about:blank"]
KEYS = {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowUp": 38, "ArrowDown": 40, "ArrowLeft": 37, "ArrowRight": 39, "Home": 36,
        "/": 191, " ": 32}


class PageError(AssertionError):
    """A script of the test, or of the page, threw."""


class Browser:
    def __init__(self):
        harness.need("browser")
        self.folder = tempfile.mkdtemp(prefix="browser-")
        self.process = None
        self.number = 0
        self.buffer = b""
        self.pages = {}

    def __enter__(self):
        # The browser reads commands from descriptor 3 and writes answers to descriptor 4.
        their_in, self.write_end = os.pipe()
        self.read_end, their_out = os.pipe()
        high_in, high_out = (fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (their_in, their_out))

        def descriptors():
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            [shutil.which("chromium"), f"--user-data-dir={self.folder}"] + FLAGS, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=descriptors,
            start_new_session=True)
        for fd in (their_in, their_out, high_in, high_out):
            os.close(fd)
        return self

    def __exit__(self, *_):
        try:
            self.send("Browser.close")
            self.process.wait(10)
        except (subprocess.TimeoutExpired, AssertionError, OSError):
            self.process.kill()
            self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)
        shutil.rmtree(self.folder, ignore_errors=True)

    def receive(self, deadline):
        while b"\0" not in self.buffer:
            if not select.select([self.read_end], [], [], max(deadline - time.monotonic(), 0))[0]:
                raise AssertionError("the browser does not answer")
            data = os.read(self.read_end, 1 << 16)
            assert data, "the browser has gone"
            self.buffer += data
        packet, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(packet)

    def send(self, method, session=None, timeout=30, **params):
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + timeout
        while True:
            answer = self.receive(deadline)
            if answer.get("id") == number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            page = self.pages.get(answer.get("sessionId"))
            if page:
                page.notice(answer)

    def page(self, width=1400, height=900, dark=False, phone=False, scripts=True):
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = self.pages[session] = Page(self, session)
        page.send("Page.enable")
        page.send("Runtime.enable")
        page.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)
        page.send("Emulation.setTouchEmulationEnabled", enabled=phone)
        page.send("Emulation.setEmulatedMedia",
                  features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        page.send("Emulation.setScriptExecutionDisabled", value=not scripts)
        return page


class Page:
    def __init__(self, browser, session):
        self.browser = browser
        self.session = session
        self.errors = []

    def send(self, method, **params):
        return self.browser.send(method, self.session, **params)

    def notice(self, event):
        method, params = event.get("method"), event.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] == "error":
            self.errors.append(str(params["args"]))
        elif method == "Page.javascriptDialogOpening":
            self.errors.append("a dialog opened: " + params["message"])

    def open(self, path):
        self.send("Page.navigate", url="file://" + str(path))
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'", f"{path} to load")

    def evaluate(self, script):
        result = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise PageError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait(self, script, what, seconds=15):
        harness.wait_until(lambda: self.evaluate(script), seconds, what)

    def mouse(self, kind, x, y, **more):
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def move(self, x, y):
        self.mouse("mouseMoved", x, y)

    def click(self, x, y):
        self.move(x, y)
        self.mouse("mousePressed", x, y, button="left", clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def tap(self, x, y):
        self.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def key(self, key):
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        common = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
        self.send("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.send("Input.dispatchKeyEvent", type="keyUp", **common)

    def type(self, text):
        self.send("Input.insertText", text=text)

    def screenshot(self, path):
        with open(path, "wb") as out:
            out.write(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
