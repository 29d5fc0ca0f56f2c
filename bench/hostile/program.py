"""The attacked exporter: the whole program as a child process under a memory limit."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import bcrypt

from bench.hostile.api_server import HONEST_CDN, PATH
from bench.hostile.memory_limit import MemoryLimit
from bench.machine import peak_memory, resident_memory

USER: Final = "prometheus"
PASSWORD: Final = "nobodys-password"  # noqa: S105 - it opens nothing but this benchmark
BCRYPT_COST: Final = 10
OTHER_ACCOUNTS: Final = 4
"""Accounts whose API requests the attacks respond to."""

_START_SECONDS: Final = 60.0
_END_SECONDS: Final = 10.0
_SHOWN: Final = 2000
_SAMPLE_SECONDS: Final = 0.02
_MIB: Final = 1024 * 1024
_ACCOUNT: Final = """\
  - name: {name}
    cdn: {cdn}
    api_key: BENCHKEY0123456789
    api_secret: nobodys-secret
    disk_usage: {{interval: {interval}}}
    files:
      interval: {interval}
      paths: [{{path: {path}, folder_depth: 1, max_folders: 1000000}}]
"""
_IDLE_ACCOUNT: Final = """\
  - cdn: {cdn}
    api_key: BENCHKEY0123456789
    api_secret: nobodys-secret
    disk_usage: {{interval: 1d}}
"""
_REQUEST: Final = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"


@dataclass(frozen=True, slots=True)
class Setup:
    """How the exporter runs: TLS, client certificates, a password, reloads by POST, its series.

    ``users`` are further users, each with the one password. ``web_config`` is YAML text to be added
    to the web config file. ``accounts`` is whether the accounts of the attacks are polled.
    ``idle_accounts`` is the number of further accounts, polled once a day.
    """

    tls: bool = False
    client_certificates: bool = False
    password: bool = False
    users: tuple[str, ...] = ()
    lifecycle: bool = False
    folders: int = 1000
    web_config: str = ""
    accounts: bool = False
    idle_accounts: int = 0


@dataclass(frozen=True, slots=True)
class Victim:
    """Where the exporter listens, what opens it, and its process; attacks get this."""

    port: int
    process: int
    folder: Path
    setup: Setup

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what an honest client connects with; None for plain HTTP."""
        if not self.setup.tls:
            return None
        context = ssl.create_default_context(cafile=str(self.folder / "server.pem"))
        if self.setup.client_certificates:
            context.load_cert_chain(self.folder / "server.pem", self.folder / "server.key")
        return context


@dataclass(slots=True)
class Memory:
    """The resident memory of a process and what the kernel holds for it, in bytes.

    ``exceeded`` means that the process was ended, because nothing else holds the limit.
    """

    process: int
    limit: MemoryLimit
    peak: int = 0
    kernel_peak: int = 0
    exceeded: bool = False
    _ended: threading.Event = field(default_factory=threading.Event)

    def resident(self) -> int:
        """Return the resident memory now; 0 if the process has ended."""
        try:
            return resident_memory(self.process)
        except (OSError, IndexError):
            return 0

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Record the peaks until the end of the ``with``."""
        with suppress(OSError):
            Path(f"/proc/{self.process}/clear_refs").write_text("5")  # resets VmHWM: proc(5)
        self._ended.clear()
        thread = threading.Thread(target=self._sample, name="memory")
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(_SAMPLE_SECONDS):
            self.peak = max(self.peak, self.resident(), self._high_water())
            with suppress(OSError):
                self.kernel_peak = max(self.kernel_peak, self.limit.kernel_bytes())
            if self.limit.group is None and self.peak > self.limit.limit and not self.exceeded:
                self.exceeded = True
                with suppress(ProcessLookupError):
                    os.kill(self.process, signal.SIGKILL)

    def _high_water(self) -> int:
        try:
            return peak_memory(self.process)
        except OSError:
            return 0


@dataclass(frozen=True, slots=True)
class AttackedProgram:
    """The running exporter: what attacks see of it, its log file, and how it ends."""

    victim: Victim
    child: subprocess.Popen[bytes]
    log: Path

    def is_alive(self) -> bool:
        """Return whether the process runs still."""
        return self.child.poll() is None

    def log_bytes(self) -> int:
        """Return the size of the log so far."""
        return self.log.stat().st_size


@contextmanager
def running_program(
    setup: Setup, api_url: str, limit: MemoryLimit, folder: Path
) -> Iterator[AttackedProgram]:
    """Run the exporter in a folder of its own, until the end of the ``with``."""
    config = _write_config(folder, api_url, setup)
    flags = [f"--config.file={config}", "--web.listen-address=127.0.0.1:0"]
    if setup.tls or setup.password or setup.web_config:
        _write_web_config(folder, setup)
        flags.append(f"--web.config.file={folder / 'web.yml'}")
    if setup.lifecycle:
        flags.append("--web.enable-lifecycle")
    command = limit.wrap([sys.executable, "-m", "exporter", *flags])
    environ = {key: value for key, value in os.environ.items() if "proxy" not in key.lower()}
    log = folder / "log"
    with log.open("wb") as stream:
        child = subprocess.Popen(command, stderr=stream, env=environ)  # noqa: S603 - our own program
    with child:
        try:
            port = _listening_port(child, log)
            yield AttackedProgram(Victim(port, child.pid, folder, setup), child, log)
        finally:
            child.terminate()
            try:
                child.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()


def web_config_text(setup: Setup) -> str:
    """Return the web config file of a setup."""
    parts = [setup.web_config]
    if setup.tls:
        parts.append("tls_server_config: {cert_file: server.pem, key_file: server.key")
        if setup.client_certificates:
            parts.append(
                ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: server.pem"
            )
        parts.append("}\n")
    if setup.password:
        hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(BCRYPT_COST)).decode()
        parts.append("basic_auth_users:\n")
        parts += [f"  {user}: {hashed}\n" for user in (USER, *setup.users)]
    return "".join(parts)


def _write_config(folder: Path, api_url: str, setup: Setup) -> Path:
    names = {"good": HONEST_CDN}
    if setup.accounts:
        others = range(HONEST_CDN + 1, HONEST_CDN + 1 + OTHER_ACCOUNTS)
        names |= {f"other {cdn}": cdn for cdn in others}
    accounts = [
        _ACCOUNT.format(name=name, cdn=cdn, path=PATH, interval="5s" if setup.accounts else "1d")
        for name, cdn in names.items()
    ]
    accounts += [_IDLE_ACCOUNT.format(cdn=1000 + number) for number in range(setup.idle_accounts)]
    config = folder / "config.yaml"
    config.write_text(f"api: {{url: '{api_url}'}}\naccounts:\n" + "".join(accounts))
    return config


def _write_web_config(folder: Path, setup: Setup) -> None:
    if setup.tls:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise SystemExit("openssl is not installed (apt-get install openssl)")
        files = ["-keyout", "server.key", "-out", "server.pem"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
        subprocess.run(  # noqa: S603 - a tool that this machine has installed
            [openssl, *_REQUEST.split(), *files, *names],
            cwd=folder,
            check=True,
            capture_output=True,
        )
    (folder / "web.yml").write_text(web_config_text(setup))


def _listening_port(child: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        found = re.search(r" address=\S*:(\d+)", log.read_text())
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise SystemExit(f"the exporter did not start:\n{log.read_text()[-_SHOWN:]}")
