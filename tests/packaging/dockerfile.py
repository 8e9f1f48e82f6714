# SPDX-License-Identifier: Apache-2.0
"""Reads a Dockerfile of the plain kind: the instructions of each stage, in order."""

import json
import pathlib
import re
from typing import NamedTuple

INSTRUCTIONS = {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK",
                "ENTRYPOINT", "CMD"}


class Instruction(NamedTuple):
    name: str
    options: dict[str, str]  # --from=build -> {"from": "build"}
    value: str               # the rest of the line

    def argv(self) -> list[str]:
        """The command of an exec form: ["program", "argument"]."""
        command = self.value.removeprefix("CMD ") if self.name == "HEALTHCHECK" else self.value
        return json.loads(command)


class Stage(NamedTuple):
    image: str
    name: str
    instructions: list[Instruction]

    def last(self, name: str) -> Instruction | None:
        return next((i for i in reversed(self.instructions) if i.name == name), None)


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile; ValueError for an instruction that is not of INSTRUCTIONS."""
    lines = re.sub(r"\\\n\s*", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines()
    stages = []
    for line in filter(None, map(str.strip, lines)):
        name, _, rest = line.partition(" ")
        if name not in INSTRUCTIONS:
            raise ValueError(f"Dockerfile: instruction {name} is not supported here: {line}")
        options = {}
        while match := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
            options[match[1]] = match[2]
            rest = rest[match.end():]
        if name == "FROM":
            image, _, alias = rest.partition(" AS ")
            stages.append(Stage(image, alias or str(len(stages)), []))
        else:
            stages[-1].instructions.append(Instruction(name, options, rest.strip()))
    return stages


def context_entries(root: pathlib.Path) -> list[str]:
    """What .dockerignore lets into the build; it refuses everything (`*`), then names exceptions."""
    lines = (root / ".dockerignore").read_text().splitlines()
    if lines[0] != "*":
        raise ValueError(".dockerignore: the first line must refuse everything")
    return [line[1:] for line in lines if line.startswith("!") and (root / line[1:]).exists()]
