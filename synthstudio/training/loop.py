"""The training loop: read it from top to bottom.

Everything random comes from (seed, step) or (seed, epoch), so a run that was cut off and goes on
from its saved state ends with the same weights as one that was not.
"""

from __future__ import annotations

import copy
import functools
import math
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.dataset.durable import TEMPORARY, replace_file
from synthstudio.models.contract import PoseMaps, PoseNet
from synthstudio.models.losses import Weights, agreement_loss, pose_losses
from synthstudio.training import (
    batches,
    checkpoint,
    data,
    memory,
    networks,
    parallel,
    rates,
    starting,
)
from synthstudio.training import config as configs
from synthstudio.training.batches import Batch
from synthstudio.training.config import Config
from synthstudio.training.log import CUTTING as CUTTING
from synthstudio.training.log import Log
from synthstudio.training.validation import validate

_WEAK = {"dropout": 0.0, "paste": 0.0, "half_body": 0.0, "shift": 0.0}


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a run came to."""

    folder: Path
    steps: int
    epochs: int
    best: float | None  # best validation PCK@0.1 of hidden and visible joints; None: none was
    finished: bool  # False: stopped by Ctrl-C or a limit of time; --resume goes on
    waited: float  # share of the time in which the network waited for batches
    rate: float  # people a second


@dataclass(kw_only=True)
class _Run:
    """What changes while a run goes on."""

    net: nn.Module
    ema: nn.Module | None
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    place: checkpoint.Place
    stop: list[str] = field(default_factory=list)


def train(  # noqa: C901 - one run, from top to bottom
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    cache: Path | None = None,
    steps: int | None = None,
    say: Callable[[str], None] = print,
    progress: Callable[[int, int, str], None] = lambda done, total, text: None,
    only: Callable[[data.People], data.People] = lambda people: people,
) -> Trained:
    """Train a network into the folder `out`; Ctrl-C stops after the step and saves.

    `resume`: go on from the saved state there. `steps`: no more than these in this call (a dry
    run, or a piece of a long one). `progress` is told (done, total, text), CUTTING before the
    first step and the loss's terms after; `only` leaves fewer people. ModelError for whatever
    does not fit.
    """
    started = time.monotonic()
    device = parallel.device(config.device)
    world = parallel.world(device)
    parallel.check_share(config.batch, world)
    _fix(config)
    if not world.first:
        say, progress = (lambda text: None), (lambda done, total, text: None)
    with parallel.first_goes_first(world):
        prepare_folder(out, config, resume=resume or not world.first)
        people = only(
            data.gather(
                config,
                cache=cache or out / "cache",
                say=say,
                progress=lambda done, total: progress(done, total, CUTTING),
            )
        )
    full = memory.enough(device, got=f"{config.batch // world.size} people", then=memory.HALVE)
    with closing(people), full:
        data.check_labels(people, say=say)
        skeleton, frame = people.skeleton, people.frame

        net = _network(config, people, say=say).to(device)
        networks.weigh(net, people.balance)
        ema = copy.deepcopy(net).eval() if config.ema else None
        run = _Run(
            net=net,
            ema=ema,
            optimiser=rates.optimiser(net, config),
            scaler=torch.amp.GradScaler(device.type, enabled=config.precision == "float16"),
            place=checkpoint.Place(data=people.key),
        )
        state_file = out / "state.safetensors"
        if resume and state_file.is_file():
            run.place = checkpoint.load_state(
                state_file, net=net, ema=ema, optimiser=run.optimiser, scaler=run.scaler
            )
            data.check_same(run.place.data, people.key, out)
        model = parallel.wrap(net, idle=bool(config.network.pretrained))

        a_pass = max(len(people.learn) // (config.batch * config.accumulate), 1)
        total = config.steps or a_pass * config.epochs
        end = min(total, run.place.step + steps if steps is not None else total)
        first_of_call, waited, begun = run.place.step, 0.0, run.place.seconds
        _out_of_patience(run, config)
        stopped = parallel.agreed(run.stop)
        weights = Weights(**config.losses.model_dump())
        sigmas = torch.from_numpy(skeleton.sigmas).float().to(device)
        balance = torch.from_numpy(people.balance).float().to(device)
        log = Log(out, keep_before=run.place.step) if world.first else None

        def in_pass(epoch: int) -> tuple[data.Chosen, NDArray[np.int64]]:
            """Return who is learnt from in a pass, and in which order."""
            chosen = people.at(epoch)
            reach = _reach(config, (epoch + 1) * a_pass, total)
            return chosen, chosen.order(config.seed, epoch, reach=reach)

        passes = functools.lru_cache(1)(in_pass)

        def make(number: int) -> Batch:
            """Return batch `number`, counted in steps times accumulation."""
            step, part = divmod(number, config.accumulate)
            chosen, order = passes(step // a_pass)
            rows = _rows(config, order, step % a_pass, part, world)
            augment = config.augment
            if step >= total * (1 - config.weak_tail):
                augment = augment.model_copy(update=_WEAK)
            return batches.make(
                chosen.crops,
                rows,
                frame,
                augment,
                seed=config.seed,
                step=number * world.size + world.rank,
                paired=bool(config.losses.agreement),
            )

        numbers = range(run.place.step * config.accumulate, end * config.accumulate)
        coming = batches.ahead(make, numbers)
        with _ctrl_c(run.stop), ExitStack() as at_end:
            at_end.callback(coming.close)
            if log is not None:
                at_end.callback(log.close)
            while run.place.step < end and not stopped:
                step = run.place.step
                rates.set_rates(run.optimiser, config, step, total)
                rates.awake(net, config, step // a_pass)

                terms: dict[str, float] = {}
                for _ in range(config.accumulate):
                    asked = time.monotonic()
                    batch = next(coming)
                    waited += time.monotonic() - asked
                    loss, told = _loss(
                        model, run.ema, batch, config, weights, sigmas, balance, device
                    )
                    torch.autograd.backward(run.scaler.scale(loss / config.accumulate))
                    for name, value in told.items():
                        terms[name] = terms.get(name, 0.0) + value / config.accumulate
                terms = parallel.mean(terms)
                _guard(terms, step, out)
                run.scaler.unscale_(run.optimiser)
                norm = float(nn.utils.clip_grad_norm_(net.parameters(), config.clip))
                if not run.scaler.is_enabled():  # it leaves such a step out
                    _guard({"gradient": norm}, step, out)
                run.scaler.step(run.optimiser)
                run.scaler.update()
                run.optimiser.zero_grad(set_to_none=True)
                if ema is not None:
                    _average(ema, net, config.ema, step)

                run.place.step = step + 1
                run.place.seconds = begun + time.monotonic() - started
                if log is not None:
                    log.step(step, terms, rate=run.optimiser.param_groups[-1]["lr"], norm=norm)
                    if step in (0, total // 2):
                        log.pictures(step, batch, ema or net, skeleton)
                progress(step + 1, total, " ".join(f"{k} {v:.3f}" for k, v in terms.items()))

                epoch_ends = run.place.step % a_pass == 0 or run.place.step == total
                if epoch_ends:
                    run.place.epoch += 1
                    _judge(run, config, people, out, log, device, world.first)
                if config.minutes and run.place.seconds - begun > config.minutes * 60:
                    run.stop.append(f"{config.minutes:g} minutes are over")
                stopped = parallel.agreed(run.stop)
                due = run.place.step % config.save_every == 0 or epoch_ends
                if world.first and (due or stopped or run.place.step == end):
                    _guard_weights(run, out)
                    checkpoint.save_state(
                        state_file,
                        net=net,
                        ema=ema,
                        optimiser=run.optimiser,
                        scaler=run.scaler,
                        place=run.place,
                        config=config,
                        skeleton=skeleton,
                    )
        done = run.place.step - first_of_call
        took = max(run.place.seconds - begun, 1e-9)
        if stopped:
            say(f"stopped after step {run.place.step} of {total}: {stopped}")
        return Trained(
            folder=out,
            steps=run.place.step,
            epochs=run.place.epoch,
            best=run.place.best if people.judge is not None and run.place.best_epoch >= 0 else None,
            finished=run.place.step >= total or "improve" in stopped,
            waited=waited / took,
            rate=done * config.batch * config.accumulate / took,
        )


def _fix(config: Config) -> None:
    """Seed what draws weights; in deterministic mode forbid kernels whose sums vary."""
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(config.deterministic, warn_only=config.device != "cpu")


def prepare_folder(out: Path, config: Config, *, resume: bool) -> None:
    """Make the run's folder; ModelError when it holds another run, or one and no --resume."""
    kept = out / "config.yaml"
    if kept.is_file():
        if not resume:
            raise ModelError(
                "there is a run already",
                where=str(out),
                expected="a new folder",
                then="Choose another --out, or go on with --resume.",
            )
        before = configs.load(kept)
        if before != config:
            changed = [k for k, v in configs.dump(config).items() if v != configs.dump(before)[k]]
            raise ModelError(
                "the run was begun with another config",
                where=str(kept),
                got=f"changed: {', '.join(changed)}",
                then="Choose another --out, or use the config.yaml there.",
            )
        return
    if out.exists() and any(
        p.name != "cache" and not p.name.startswith(TEMPORARY) for p in out.iterdir()
    ):
        raise ModelError(
            "the folder is not empty",
            where=str(out),
            expected="a new or empty folder",
            then="Choose another --out.",
        )
    out.mkdir(parents=True, exist_ok=True)
    replace_file(kept, configs.dump_yaml(config).encode())


def _network(config: Config, people: data.People, *, say: Callable[[str], None]) -> PoseNet:
    bank = None
    if config.network.block == "orn":
        bank = networks.pose_bank(
            people.train,
            people.skeleton,
            rows=people.learn.rows,
            size=config.network.size,
            count=config.network.bank,
            seed=config.seed,
        )
    torch.manual_seed(config.seed)
    net = networks.build(config.network, people.skeleton, bank=bank)
    if config.start:
        poses = config.network.bank
        say(starting.start(net, Path(config.start), skeleton=people.skeleton, poses=poses))
    for parameter in net.parameters():  # what convolutions are fastest with
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net


def _rows(
    config: Config, order: NDArray[np.int64], step: int, part: int, world: parallel.World
) -> NDArray[np.int64]:
    """Return the crops of a batch of a pass; each process takes a share.

    A pass goes through its order from the start, again and again where that is shorter.
    """
    at = (step * config.accumulate + part) * config.batch
    rows = order[np.arange(at, at + config.batch) % len(order)]
    return rows[world.rank :: world.size]


def _reach(config: Config, step: int, total: int) -> float:
    """Return the highest occluded fraction that the curriculum lets into a pass that ends so."""
    if not config.curriculum:
        return 1.0
    return min(1.0, 0.1 + step / (config.curriculum * total))


def _loss(
    model: nn.Module,
    ema: nn.Module | None,
    batch: Batch,
    config: Config,
    weights: Weights,
    sigmas: Tensor,
    balance: Tensor,
    device: torch.device,
) -> tuple[Tensor, dict[str, float]]:
    labels = type(batch.labels)(**{k: v.to(device) for k, v in vars(batch.labels).items()})
    images = batch.images.to(device).contiguous(memory_format=torch.channels_last)
    kind = {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(config.precision)
    with torch.autocast(device.type, kind, enabled=kind is not None):
        said: PoseMaps = model(images)
    said = _as_float(said)
    terms = pose_losses(said, labels, weights=weights, sigmas=sigmas, balance=balance)
    if batch.clean is not None and batch.paired is not None and ema is not None:
        with torch.no_grad(), torch.autocast(device.type, kind, enabled=kind is not None):
            teacher = _as_float(ema(batch.clean.to(device))).logits[-1]
        hidden = labels.known & (labels.state == 1) & batch.paired.to(device)[:, None]
        terms["agreement"] = weights.agreement * agreement_loss(said.logits[-1], teacher, hidden)
    loss = torch.stack(list(terms.values())).sum()
    return loss, {name: value.item() for name, value in terms.items()}


def _as_float(said: PoseMaps) -> PoseMaps:
    """Return the maps in float32: sums over cells are taken in full precision."""

    def full(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.float()

    return PoseMaps(
        logits=tuple(stage.float() for stage in said.logits),
        presence=full(said.presence),
        shares=full(said.shares),
        quality=full(said.quality),
        occluder=full(said.occluder),
        xyz_m=full(said.xyz_m),
        attention=said.attention,
    )


def _guard(terms: dict[str, float], step: int, out: Path) -> None:
    if not all(math.isfinite(v) for v in terms.values()):
        shown = ", ".join(f"{k} {v:g}" for k, v in terms.items())
        raise ModelError(
            f"the {'gradient' if 'gradient' in terms else 'loss'} is no number",
            where=f"{out}, step {step}",
            got=shown,
            then="The last saved state is good; lower `rate`, or use float32.",
        )


def _guard_weights(run: _Run, out: Path) -> None:
    """Refuse to save weights that nothing can go on from: their squares already overflow."""
    for net in (run.net, run.ema):
        squares = [] if net is None else [p.detach().square().sum() for p in net.parameters()]
        if squares and not torch.stack(squares).isfinite().all():
            raise ModelError(
                "the weights are no numbers any more",
                where=f"{out}, step {run.place.step}",
                then="A state that was saved before is good; lower `rate`.",
            )


def _average(ema: nn.Module, net: nn.Module, keep: float, step: int) -> None:
    """Move the average towards the weights; faster at the start, when it knows little."""
    keep = min(keep, (1 + step) / (10 + step))
    with torch.no_grad():
        for mean, value in zip(ema.parameters(), net.parameters(), strict=True):
            mean.lerp_(value, 1 - keep)
        for kept, now in zip(ema.buffers(), net.buffers(), strict=True):
            kept.copy_(now)


def _judge(
    run: _Run,
    config: Config,
    people: data.People,
    out: Path,
    log: Log | None,
    device: torch.device,
    first: bool,
) -> None:
    """Validate; keep the best weights and the last; stop when nothing improved for long."""
    _guard_weights(run, out)
    net = run.ema or run.net
    found = validate(net, people.judge, people.frame, device=device)
    score = found["pck"] if people.judge is not None else float(run.place.epoch)
    better = score > run.place.best
    if better:
        run.place.best, run.place.best_epoch = score, run.place.epoch
    if first:
        for name in ("last", "best") if better else ("last",):
            checkpoint.save_weights(
                out / f"{name}.safetensors",
                net,
                config,
                skeleton=people.skeleton,
                note=f"step {run.place.step}",
            )
    if log is not None:
        log.validation(run.place.step, found)
    _out_of_patience(run, config)


def _out_of_patience(run: _Run, config: Config) -> None:
    """Stop a run whose validation did not improve for long; also one that is only looked at."""
    place = run.place
    if config.patience and place.epoch and place.epoch - place.best_epoch >= config.patience:
        run.stop.append(f"the validation did not improve for {config.patience} epochs")


@contextmanager
def _ctrl_c(stop: list[str]) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM into a stop after the step; a second one breaks off."""
    kept = {}

    def ask(number: int, _: object) -> None:
        if stop:
            raise KeyboardInterrupt
        stop.append("interrupted; go on with --resume")

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            kept[number] = signal.signal(number, ask)
        except ValueError:  # not the main thread: its owner has the say
            continue
    try:
        yield
    finally:
        for number, before in kept.items():
            signal.signal(number, before)
