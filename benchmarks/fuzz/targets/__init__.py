"""What is fuzzed: a module for related kinds of input, and the table of all."""

from benchmarks.fuzz.cases import Target
from benchmarks.fuzz.targets import datasets, files, networks, reviews

TARGETS: dict[str, Target] = {
    target.name: target
    for module in (files, datasets, networks, reviews)
    for target in module.TARGETS
}
