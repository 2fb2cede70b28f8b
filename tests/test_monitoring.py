"""Watching a sweep that runs: its status, a real Prometheus, and the live phase diagram in a real browser."""

import asyncio
import http.client
import json
import os
import shutil
import signal
import subprocess
import urllib.parse
import urllib.request

import aiohttp
import pandas as pd
import psutil
import pytest
from support import PATIENCE, ROOT, command, free_port, run, until

pytestmark = pytest.mark.slow

DASHBOARD = ROOT / "docs" / "monitoring" / "grafana_dashboard.json"
POINTS = 8
GRID = ["--preset", "smoke", "--densities", "0.05", "0.1", "0.2", "0.4"]
OFFLINE = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--remote-allow-origins=*"),
]


def answer_of(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


def foreign_answers(port):
    """What the live diagram answers to pages of another site, and for other files."""
    codes = []
    for path, host in (("/diagram.json", "evil.example_inputs"), ("/../../etc/passwd", "127.0.0.1")):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"Host": f"{host}:{port}"})
        codes.append(connection.getresponse().status)
    return codes


class Browser:
    """A page in a browser of its own, which can be asked for the value of an expression."""

    def __init__(self, program, url, folder):
        self.port = free_port()
        window = [f"--remote-debugging-port={self.port}", f"--user-data-dir={folder}", "--window-size=1700,600", url]
        self.process = subprocess.Popen(
            [program, *OFFLINE, *window], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._page, self.process)

    def _page(self):
        try:
            pages = answer_of(f"http://127.0.0.1:{self.port}/json")
        except OSError:
            return None
        return next((page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page"), None)

    def value(self, expression):
        async def ask():
            parameters = {"expression": expression, "returnByValue": True}
            async with aiohttp.ClientSession() as session, session.ws_connect(self._page()) as socket:
                await socket.send_json({"id": 1, "method": "Runtime.evaluate", "params": parameters})
                return await socket.receive_json()

        return asyncio.run(ask())["result"]["result"].get("value")

    def close(self):
        for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
            process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A grid with everything that can watch it; what each of them saw."""
    folder = tmp_path_factory.mktemp("watched")
    out, port, prometheus_port, page_port = folder / "results", free_port(), free_port(), free_port()
    seen = {"out": out, "status": [], "page": [], "listening": set()}
    started = []
    environment = os.environ | {"RAY_metrics_report_interval_ms": "1000"}
    grid = subprocess.Popen(
        command("grid", *GRID, "--out", out, "--metrics-port", port, "--dashboard"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    browser = None
    try:
        if prometheus := shutil.which("prometheus"):
            settings = (ROOT / "docs" / "monitoring" / "prometheus.yml").read_text()
            (folder / "prometheus.yml").write_text(settings.replace(":8080", f":{port}").replace("10s", "1s"))
            arguments = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb"]
            arguments.append(f"--web.listen-address=127.0.0.1:{prometheus_port}")
            started.append(subprocess.Popen([prometheus, *arguments], stderr=subprocess.DEVNULL))
        until(lambda: (out / "sweep.json").exists(), grid)
        serve = command("report", out, "--serve", "--port", page_port)
        started.append(subprocess.Popen(serve, stdout=subprocess.PIPE, text=True))
        until(lambda: started[-1].stdout.readline(), grid)
        if chromium := shutil.which("chromium"):
            browser = Browser(chromium, f"http://127.0.0.1:{page_port}/", folder / "browser")
        parts = out / "runs"

        def look():
            if grid.poll() is None:
                for process in psutil.Process(grid.pid).children(recursive=True):
                    try:
                        seen["listening"] |= {
                            each.laddr.ip for each in process.net_connections("inet") if each.status == "LISTEN"
                        }
                    except psutil.Error:
                        continue
            seen["status"].append(run("status", out).stdout)
            if browser:
                missing = "document.querySelectorAll('.scatterlayer .textpoint').length"
                seen["page"].append((browser.value(missing), browser.value("document.body.innerText")))

        seen["foreign"] = foreign_answers(page_port)
        for count in (2, 5):
            until(lambda count=count: len(list(parts.glob("*.parquet"))) >= count, grid)
            look()
        seen["printed"] = grid.communicate(timeout=PATIENCE)[0]
        assert grid.returncode == 0, seen["printed"]
        if browser:
            until(lambda: "Ended on" in browser.value("document.body.innerText"), browser.process)
        look()
        if prometheus:
            url = f"http://127.0.0.1:{prometheus_port}/api/v1"

            def ask(expression):
                query = urllib.parse.urlencode({"query": f"max_over_time(({expression})[5m:1s])"})
                return answer_of(f"{url}/query?{query}")["data"]["result"]

            panels = json.loads(DASHBOARD.read_text())["panels"]
            expressions = {target["expr"] for panel in panels for target in panel["targets"]}
            seen["panels"] = {expression: ask(expression) for expression in expressions}
        yield seen
    finally:
        for process in started:
            process.send_signal(signal.SIGINT)
            process.wait()
        if browser:
            browser.close()
        if grid.poll() is None:
            grid.kill()


def test_status_follows_the_sweep(watched):
    first, second, last = watched["status"]
    assert "of 8 points done" in first
    assert "Running on" in first
    assert "running, 0 failed" in second
    assert "points stored in an hour" in second
    assert last.splitlines()[1] == "8 of 8 points done, 0 running, 0 failed, 0 waiting"
    assert "Ended on" in last


def test_every_panel_of_the_dashboard_shows_what_prometheus_read(watched):
    if "panels" not in watched:
        pytest.skip("there is no prometheus")
    panels = watched["panels"]
    for expression, series in panels.items():
        assert series, expression
    states = panels['sum by (state) (ray_three_regime_points{state!="diverged"})']
    assert {each["metric"]["state"] for each in states} == {"done", "failed", "running", "waiting"}
    (lmc,) = [expression for expression in panels if "ray_three_regime_lmc" in expression]
    phase = pd.read_parquet(watched["out"] / "phase.parquet").set_index(["temperature", "load"])["lmc"]
    for series in panels[lmc]:
        metric = series["metric"]
        assert (metric["temperature_axis"], metric["load_axis"], metric["dense_seed"]) == ("epochs", "density", "1")
        stored = phase[float(metric["temperature"]), float(metric["load"])]
        assert float(series["value"][1]) == pytest.approx(stored, abs=1e-12)


def test_the_live_diagram_fills_in(watched):
    if not watched["page"]:
        pytest.skip("there is no chromium")
    texts = [text for _, text in watched["page"]]
    assert "missing" in texts[0]
    assert "Running on" in texts[0]
    assert "missing" not in texts[-1]
    assert "8 of 8 points done" in texts[-1]
    assert watched["page"][-1][0] == 5 * POINTS  # a mark on each cell of each panel


def test_the_live_diagram_is_for_this_machine_alone(watched):
    assert watched["foreign"] == [403, 404]


def test_a_sweep_listens_on_loopback_alone(watched):
    assert watched["listening"] <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}
    assert watched["listening"]
    assert "Dashboard: http://127.0.0.1:" in watched["printed"]


def test_curves_of_one_density_are_together_in_tensorboard(watched, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    done = run("report", watched["out"], "--tensorboard", tmp_path / "events")
    assert done.returncode == 0, done.stderr
    runs = sorted(str(file.parent.relative_to(tmp_path / "events")) for file in tmp_path.rglob("*tfevents*"))
    assert len(runs) == 2 * POINTS + 1
    assert runs[:2] == ["dense/dense_seed=1", "density=0.05/epochs=2/dense_seed=1/retrain_seed=1"]
    events = EventAccumulator(str(tmp_path / "events" / runs[1]))
    events.Reload()
    curve = events.Scalars("training_loss")
    row = pd.read_parquet(watched["out"] / "runs").query("load == 0.05 and temperature == 2 and retrain_seed == 1")
    assert [each.step for each in curve] == list(range(1, len(row["losses"].iloc[0]) + 1))
    assert [each.value for each in curve] == pytest.approx(list(row["losses"].iloc[0]))
    again = run("report", watched["out"], "--tensorboard", tmp_path / "events")
    assert again.returncode == 0
    assert len(list(tmp_path.rglob("*tfevents*"))) == len(runs)
