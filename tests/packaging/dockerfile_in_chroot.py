# SPDX-License-Identifier: Apache-2.0
"""Carries out the Dockerfile without an engine: each stage in a fresh Debian root, then its server.

Root only, on a Debian 12 machine; the roots use that machine's own package sources.
    python3 dockerfile_in_chroot.py [--keep] [--work FOLDER]
Exit status 0: the image builds and holds no compiler and the library of every instruction set, its
server runs as another user than root, its health check passes, and SIGTERM ends it with status 0.
"""

import argparse
import ctypes
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import dockerfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def machine_mirror() -> str:
    """The first Debian archive of this machine's package sources."""
    files = [f for f in pathlib.Path("/etc/apt").rglob("*") if f.suffix in (".sources", ".list")]
    for file in sorted(files):
        for line in file.read_text().splitlines():
            match = re.match(r"(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+/debian)/?(?:\s|$)", line)
            if match:
                return match[1]
    sys.exit("No Debian archive in /etc/apt")


def bare_debian(folder: pathlib.Path) -> None:
    """What FROM debian:12 gives: a minimal Debian 12, here with the machine's package sources."""
    subprocess.run(["debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm",
                    str(folder), machine_mirror()], check=True, stdout=subprocess.DEVNULL)
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    for apt in ("sources.list", "sources.list.d", "apt.conf.d", "auth.conf.d"):
        source = pathlib.Path("/etc/apt") / apt
        if source.is_dir():
            only = "debian*" if apt == "sources.list.d" else "*"
            for file in filter(pathlib.Path.is_file, source.glob(only)):
                shutil.copy(file, folder / "etc/apt" / apt)
        elif source.exists():
            shutil.copy(source, folder / "etc/apt" / apt)


class Container:
    """The state that the instructions of one stage build up."""

    def __init__(self, root: pathlib.Path):
        self.root, self.env, self.user, self.workdir = root, {"PATH": PATH}, "root", "/"

    def command(self, argv: list[str]) -> list[str]:
        settings = [f"{name}={value}" for name, value in self.env.items()]
        return ["chroot", f"--userspec={self.user}", str(self.root),
                "env", "-i", f"--chdir={self.workdir}", *settings, *argv]

    def place(self, path: str) -> pathlib.Path:
        return self.root / os.path.normpath(os.path.join(self.workdir, path)).lstrip("/")

    def copy(self, instruction: dockerfile.Instruction, stages: dict[str, "Container"]) -> None:
        *sources, target = instruction.value.split()
        to = self.place(target)
        if target.endswith("/") or len(sources) > 1:
            to.mkdir(parents=True, exist_ok=True)
        for source in sources:
            if "from" in instruction.options:
                copy_into(stages[instruction.options["from"]].root / source.lstrip("/"), to)
            elif source == ".":
                for entry in dockerfile.context_entries(ROOT):
                    copy_into(ROOT / entry, to / entry)
            else:
                copy_into(ROOT / source, to)

    def carry_out(self, instruction: dockerfile.Instruction,
                  stages: dict[str, "Container"]) -> None:
        name, value = instruction.name, instruction.value
        print(f"  {name} {value}", flush=True)
        if name == "RUN":
            subprocess.run(self.command(["/bin/sh", "-c", value]), check=True)
        elif name == "COPY":
            self.copy(instruction, stages)
        elif name == "ENV":
            key, _, setting = value.partition("=")
            self.env[key] = setting.strip('"')
        elif name == "WORKDIR":
            self.workdir = value
            self.place(value).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            self.user = value


def copy_into(source: pathlib.Path, to: pathlib.Path) -> None:
    if source.is_dir():
        shutil.copytree(source, to, dirs_exist_ok=True, symlinks=True,
                        ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy2(source, to)


def enter_own_network() -> None:
    """Leaves this process nothing but a loopback of its own, so that no port is taken."""
    clone_newnet = 0x40000000
    if ctypes.CDLL(None, use_errno=True).unshare(clone_newnet) != 0:
        raise OSError(ctypes.get_errno(), "unshare: network")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def run_image(container: Container, stage: dockerfile.Stage) -> None:
    """Starts the image's server; raises when a promise of the image does not hold."""
    enter_own_network()
    if shutil.which("g++", path=str(container.root / "usr/bin")):
        raise AssertionError("the image holds a compiler")
    for arch in ("x86-64-v3", "x86-64-v4"):
        if not list(container.root.glob(f"usr/local/lib/glibc-hwcaps/{arch}/libmillrace_core.so.*")):
            raise AssertionError(f"the image holds no library for {arch}")
    server = subprocess.Popen(container.command(stage.last("ENTRYPOINT").argv()))
    try:
        health = stage.last("HEALTHCHECK").argv()
        deadline = time.monotonic() + 30
        while subprocess.run(container.command(health)).returncode != 0:
            if server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server is not healthy (exit status {server.poll()})")
            time.sleep(0.5)
        status = pathlib.Path(f"/proc/{server.pid}/status").read_text()
        uid = int(re.search(r"^Uid:\s+(\d+)", status, re.MULTILINE)[1])
        if uid == 0:
            raise AssertionError("the server runs as root")
        print(f"  healthy, as user {uid}", flush=True)
        server.send_signal(signal.SIGTERM)
        if server.wait(timeout=40) != 0:
            raise AssertionError(f"SIGTERM: exit status {server.returncode}")
    finally:
        if server.poll() is None:
            server.kill()


def inside(work: pathlib.Path) -> None:
    """Runs in a mount namespace of its own: no mount outlives it."""
    containers = {}
    base = work / "base"
    if not base.exists():
        bare_debian(base)
    stages = dockerfile.parse((ROOT / "Dockerfile").read_text())
    for stage in stages:
        print(f"FROM {stage.image}", flush=True)
        if not stage.image.startswith("debian:12"):
            raise AssertionError(f"only Debian 12 can be had here, not {stage.image}")
        root = work / f"stage-{stage.name}"
        shutil.rmtree(root, ignore_errors=True)
        subprocess.run(["cp", "-a", str(base), str(root)], check=True)
        for mount in ("dev", "proc"):
            subprocess.run(["mount", "--rbind", f"/{mount}", str(root / mount)], check=True)
        containers[stage.name] = Container(root)
        for instruction in stage.instructions:
            containers[stage.name].carry_out(instruction, containers)
    run_image(containers[stages[-1].name], stages[-1])


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__,
                                        formatter_class=argparse.RawTextHelpFormatter)
    arguments.add_argument("--work", type=pathlib.Path,
                           help="folder of the roots; a base left there is used again")
    arguments.add_argument("--keep", action="store_true", help="leave the roots where they are")
    arguments.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if os.geteuid() != 0:
        sys.exit("dockerfile_in_chroot.py: needs root (chroot, debootstrap)")
    if options.inside:
        inside(options.work)
        return 0
    work = options.work or pathlib.Path(tempfile.mkdtemp(prefix="millrace-image-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        return subprocess.run(["unshare", "--mount", sys.executable, "-B", __file__,
                               "--inside", "--work", str(work)]).returncode
    finally:
        if not options.keep:
            shutil.rmtree(work)


if __name__ == "__main__":
    sys.exit(main())
