"""`mdbench` in no time: one process imports everything, and a fork of it runs each command.

Starting Python and its libraries takes longer than most commands of the documentation. `mdbench` on
the PATH of a test is the client below: it hands its arguments, folder, environment and standard
streams to the server, where a child runs `mdbench_cli.main.run` and sends back the exit status.
"""

from __future__ import annotations

import contextlib
import json
import os
import pkgutil
import signal
import socket
import sys
from importlib import import_module
from pathlib import Path

#: Run with `python -I -S`: starts in some hundredths of a second.
CLIENT = """#!{python} -IS
import json, os, socket, sys
line = socket.socket(socket.AF_UNIX)
line.connect({address!r})
order = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(line, [len(order).to_bytes(8, "big")], [0, 1, 2])
line.sendall(order)
answer = line.recv(1)
sys.exit(answer[0] if answer else 70)
"""


def write_client(path: Path, address: Path) -> None:
    """Writes the command that asks the server."""
    path.write_text(CLIENT.format(python=sys.executable, address=str(address)))
    path.chmod(0o755)


def serve(address: Path) -> None:
    """Answers clients until it is ended."""
    _import_all()
    line = socket.socket(socket.AF_UNIX)
    line.bind(str(address))
    line.listen()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the children
    print("ready", flush=True)
    while True:
        client, _ = line.accept()
        if os.fork() == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(client)
        client.close()


def _import_all() -> None:
    import matplotlib as mpl

    mpl.use("agg")
    for package in ("mdbench_cli", "mdbench.stages", "mdbench.analysis", "mdbench.formats"):
        for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            with contextlib.suppress(ImportError):  # the command that needs it will say so
                import_module(module.name)
    import_module("matplotlib.pyplot")


def _answer(client: socket.socket) -> None:
    """Runs the command of a client and ends this process."""
    status = 70
    try:
        size, streams, _, _ = socket.recv_fds(client, 8, 3)
        order = client.makefile("rb").read(int.from_bytes(size, "big"))
        arguments, folder, environment = json.loads(order)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["mdbench", *arguments]
        sys.path[0] = str(Path(sys.executable).parent)  # as of the installed command
        sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(":"))
        from mdbench_cli.main import run

        status = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        client.sendall(bytes([status]))
        os._exit(status)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
