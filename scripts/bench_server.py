#!/usr/bin/env python3
"""Measures the Go microservice under load and prints a table for the README.

usage: bench_server.py [--seconds S] [--connections 1,16,256]
       bench_server.py --soak MINUTES

The server runs on the demo's store with the answers in memory, once with the store's residual model
and once with a multi-head model that is trained on a copy. Each request carries the vector of a
question of examples/faq/faq_test.json, which no model was trained on. hey sends the load for REST and
ghz for gRPC. They run on the same machine as the server and share its processors.

Every measurement is taken with the projection and then without it (`"project": false`, the same
handler and search). Processor time is the server's user and system time per request. The difference
of the two measurements includes other work of the machine, which may take more time than a
projection, so the table also shows the duration of the projection stage from /metrics.

The status of every response is checked. Before the load starts, both protocols must return the same
hits.

--soak sends REST requests on 16 connections for the given time and reloads the model every second.
It fails if memory grows by more than 5 % after the first fifth of the time, or if goroutines leak.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / "target/tools"
STORE = ROOT / "target/demo/lda.db"
SERVER = ROOT / "target/server/server"
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    """A server process."""

    def __init__(self, store, model="active", *settings):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.process = subprocess.Popen(
            [SERVER, f"--listen={self.address}", f"--store={store}", f"--model={model}", "--log.requests=false",
             "--log.level=error", "--shutdown.delay=0s", "--reload.watch=0s", *settings])
        for _ in range(500):
            try:
                self.get("/readyz")
                return
            except OSError:
                if self.process.poll() is not None:
                    break
                time.sleep(0.02)
        sys.exit("bench_server.py: the server did not start")

    def get(self, path):
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=30) as answer:
            return answer.read().decode()

    def post(self, path, body):
        request = urllib.request.Request(
            f"http://{self.address}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def processor_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def megabytes(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def metric(self, name):
        return float(re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics"), re.MULTILINE)[1])

    def projecting(self):
        """The seconds spent on projections so far, and their number."""
        names = (f'projection_stage_seconds_{what}{{stage="project"}}' for what in ("sum", "count"))
        return [self.metric(name) for name in names]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(60) != 0:
            sys.exit("bench_server.py: the server did not shut down cleanly")


def hey(server, body, connections, seconds):
    output = subprocess.run(
        [TOOLS / "hey", "-z", f"{seconds}s", "-c", str(connections), "-m", "POST", "-T", "application/json",
         "-D", body, f"http://{server.address}/v1/search"], check=True, capture_output=True, text=True).stdout
    statuses = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", output))
    if list(statuses) != ["200"] or "Error distribution" in output:
        sys.exit(f"bench_server.py: requests failed\n{output}")
    # hey reports no p99 after too few requests.
    latency = {p: 1000 * float(s) for p, s in re.findall(r"(\d+)%+ in ([\d.]+) secs", output)}
    return {"requests": int(statuses["200"]), "rps": float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]),
            "p50": latency["50"], "p99": latency["99"]}


def ghz(server, body, connections, seconds):
    output = subprocess.run(
        [TOOLS / "ghz", "--insecure", "--call", "projection.v1.ProjectionService/Search", "-D", body,
         "-c", str(connections), "--connections", str(connections), "-z", f"{seconds}s",
         "--duration-stop", "wait", "-O", "json", server.address], check=True, capture_output=True, text=True).stdout
    found = json.loads(output)
    if list(found["statusCodeDistribution"]) != ["OK"]:
        sys.exit(f"bench_server.py: requests failed: {found['statusCodeDistribution']}")
    latency = {entry["percentage"]: entry["latency"] / 1e6 for entry in found["latencyDistribution"]}
    return {"requests": found["count"], "rps": found["rps"], "p50": latency[50], "p99": latency[99]}


def measure(server, tool, body, connections, seconds):
    before, (projecting, projections) = server.processor_seconds(), server.projecting()
    result = tool(server, body, connections, seconds)
    result["cpu"] = 1e6 * (server.processor_seconds() - before) / result["requests"]
    later, more = server.projecting()
    result["stage"] = 1e6 * (later - projecting) / max(more - projections, 1)
    return result


def bodies(folder):
    """Writes the same request to files, with projection and without."""
    question = json.loads((ROOT / "examples/faq/faq_test.json").read_text())["clusters"][0]["questions"][0]
    embedding = Server(STORE, "active", f"--embedding-model-dir={ROOT / 'models/all-MiniLM-L6-v2'}")
    vector = embedding.post("/v1/embed", {"text": question})["vector"]
    embedding.stop()
    made = {}
    for name, project in (("projected", True), ("plain", False)):
        made[name] = Path(folder) / f"{name}.json"
        made[name].write_text(json.dumps({"vector": vector, "k": 10, "project": project}))
    return made


def stores(folder):
    """Copies the demo's store, trains a model of each kind and returns the store with the models' ids."""
    shutil.copytree(STORE.parent, folder, dirs_exist_ok=True)
    store = Path(folder) / STORE.name
    models = {}
    for kind, method in (("residual", "auto"), ("multi-head", "multi-head")):
        trained = subprocess.run([ROOT / "target/release/projection", "train", store, "--method", method, "--force", "--json"],
                                 check=True, capture_output=True, text=True).stdout
        models[kind] = json.loads(trained)["id"]
    return store, models


def load(connection_counts, seconds):
    print("| model | protocol | connections | requests/s | p50 ms | p99 ms | CPU µs a request | more than without projection | projection stage | requests/s without projection |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        store, models = stores(folder)
        files = bodies(folder)
        notes = [load_model(store, kind, model, files, connection_counts, seconds) for kind, model in models.items()]
    print("\n" + "\n".join(notes))


def load_model(store, kind, model, files, connection_counts, seconds):
    server = Server(store, model)
    for file in files.values():
        request = json.loads(file.read_text())
        rest = server.post("/v1/search", request)["hits"]
        connect = server.post("/projection.v1.ProjectionService/Search", request)["hits"]
        if len(rest) != 10 or rest != connect:
            sys.exit("bench_server.py: REST and Connect return different hits")
    for name, tool in (("REST", hey), ("gRPC", ghz)):
        tool(server, files["projected"], 16, 1)
        for connections in connection_counts:
            # In turns, so that other work of the machine affects both alike.
            runs = {"projected": [], "plain": []}
            for _ in range(3):
                for side in runs:
                    runs[side].append(measure(server, tool, files[side], connections, seconds / 3))
            middle = {side: {key: sorted(run[key] for run in all_runs)[1] for key in all_runs[0]}
                      for side, all_runs in runs.items()}
            with_it, without = middle["projected"], middle["plain"]
            print(f"| {kind} | {name} | {connections} | {with_it['rps']:,.0f} | {with_it['p50']:.2f} | {with_it['p99']:.2f} | "
                  f"{with_it['cpu']:.0f} | {with_it['cpu'] - without['cpu']:.0f} µs, "
                  f"{100 * (1 - without['cpu'] / with_it['cpu']):.0f} % | "
                  f"{with_it['stage']:.0f} µs, {100 * with_it['stage'] / with_it['cpu']:.0f} % | {without['rps']:,.0f} |", flush=True)
    note = f"{kind}: {server.megabytes():.0f} MB resident afterwards."
    server.stop()
    return note


def soak(minutes):
    server = Server(STORE)
    with tempfile.TemporaryDirectory() as folder:
        body = bodies(folder)["projected"]
        hey(server, body, 16, 5)
        end = time.monotonic() + 60 * minutes
        loading = subprocess.Popen(
            [TOOLS / "hey", "-z", f"{int(60 * minutes)}s", "-c", "16", "-m", "POST", "-T", "application/json", "-D", body,
             f"http://{server.address}/v1/search"], stdout=subprocess.PIPE, text=True)
        samples = []
        while time.monotonic() < end - 1:
            server.post("/v1/projections/reload", {})
            samples.append((server.megabytes(), server.metric("go_goroutines"), server.metric("projection_models_in_memory")))
            time.sleep(1)
        output = loading.communicate()[0]
    statuses = dict(re.findall(r"\[(\d+)\]\s+(\d+) responses", output))
    if list(statuses) != ["200"] or "Error distribution" in output:
        sys.exit(f"bench_server.py: requests failed\n{output}")
    time.sleep(1)
    idle = server.metric("go_goroutines")
    half = samples[len(samples) // 5:]
    half = half[:len(half) // 2], half[len(half) // 2:]
    # Garbage collection makes memory rise and fall, so compare the medians of both halves.
    early, late = (sorted(sample[0] for sample in part)[len(part) // 2] for part in half)
    growth = 100 * (late / early - 1)
    print(f"{minutes:g} minutes at 16 connections: {int(statuses['200']):,} requests, {len(samples)} reloads, none failed. "
          f"Resident memory {early:.1f} MB, then {late:.1f} MB ({growth:+.1f} %), at most {max(s[0] for s in samples):.1f} MB; "
          f"goroutines under load {samples[len(samples) // 5][1]:.0f}, then {samples[-1][1]:.0f}, afterwards {idle:.0f}; "
          f"models in memory at most {max(s[2] for s in samples):.0f}.")
    server.stop()
    if growth > 5 or idle > 20:
        sys.exit("bench_server.py: memory grew or goroutines stayed")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=9, help="duration of each measurement, which has three parts")
    parser.add_argument("--connections", default="1,16,256")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    arguments = parser.parse_args()
    if arguments.soak:
        soak(arguments.soak)
    else:
        load([int(count) for count in arguments.connections.split(",")], arguments.seconds)


if __name__ == "__main__":
    main()
