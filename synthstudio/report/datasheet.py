"""A datasheet after Gebru et al. 2018 (Datasheets for Datasets), answered from the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synthstudio.dataset.reader import Dataset
from synthstudio.report.facts import Facts
from synthstudio.report.html import details, escape, section

OPEN = "To be answered by whoever publishes the set."
Answers = tuple[tuple[str, str], ...]


def datasheet(dataset: Dataset, facts: Facts, audit: Mapping[str, Any] | None) -> str:
    """Return the section; questions that only a publisher can answer say so."""
    lead = (
        "<p>After T. Gebru et al., <i>Datasheets for Datasets</i> (2018). Answers come from the "
        "data where they can; the others are left to whoever publishes the set.</p>"
    )
    parts = [
        details(title, _answers(answers), is_open=title == "Composition")
        for title, answers in (
            ("Motivation", _motivation(dataset)),
            ("Composition", _composition(dataset, facts)),
            ("Collection process", _collection(dataset, facts)),
            ("Preprocessing, cleaning and labelling", _labelling(facts, audit)),
            ("Uses", _uses()),
            ("Distribution", _distribution(dataset)),
            ("Maintenance", _maintenance(dataset)),
        )
    ]
    return section("datasheet", "Datasheet", lead, *parts)


def _answers(answers: Answers) -> str:
    rows = "".join(
        f"<dt>{escape(question)}</dt><dd"
        f"{' class=soft' if answer == OPEN else ''}>{escape(answer)}</dd>"
        for question, answer in answers
    )
    return f"<dl>{rows}</dl>"


def _motivation(dataset: Dataset) -> Answers:
    told = str(dataset.identity.recipe.get("description") or OPEN)
    return (
        ("For what purpose was the data set created?", told),
        ("Who created it, and on whose behalf?", OPEN),
        ("Who funded it?", OPEN),
    )


def _composition(dataset: Dataset, facts: Facts) -> Answers:
    stats = facts.stats
    people = stats["people_per_frame"]
    most = max(map(int, people), default=0)
    splits = ", ".join(f"{k or 'none'} {v:,} frames" for k, v in stats["splits"].items())
    parts = ", ".join(f"{k.replace('_', ' ')} {v:,}" for k, v in stats["variants"].items())
    layers = dataset.identity.recipe.get("layers") or []
    told = "; ".join(f"{name} {n:,}" for name, n in facts.skin.items())
    return (
        ("What do the instances represent?", _pictures(facts, most)),
        (
            "How many instances are there?",
            f"{stats['frames']:,} frames with {stats['people']:,} people of "
            f"{stats['identities']:,} identities and {stats['joints_total']:,} joints.",
        ),
        (
            "Is it a sample of a larger set?",
            "It is a sample of what the recipe can draw; the same recipe and seed give the same "
            "frames, and a longer run begins with these."
            if facts.replayable
            else OPEN,
        ),
        ("What data does each instance consist of?", _columns(facts, layers)),
        (
            "Is there a label or target?",
            f"Yes: {len(facts.coverage.skeleton.joints)} joints a person with shares, state and "
            f"cause "
            f"of being hidden; {stats['ambiguous']:,} joints are marked as ambiguous.",
        ),
        (
            "Is information missing?",
            f"{len(dataset.failed)} frames failed; {stats['causes']['unknown']:,} joints are "
            "hidden "
            f"by something unknown, {stats['causes']['unlabelled']:,} are unlabelled.",
        ),
        (
            "Are relationships between instances explicit?",
            f"Frames of one group share a scene and differ in what `differs` names ({parts}); "
            f"{stats['clips']['count']:,} clips; people carry an identity.",
        ),
        (
            "Are there recommended splits?",
            f"As stored: {splits}. `synthstudio split` makes others "
            "by group, clip, identity or asset without leaks.",
        ),
        (
            "Are there errors, noise or redundancies?",
            (
                "Labels are exact up to sampling of 96 points a joint; see Audit. "
                if not facts.outside
                else "Joints of pictures from outside are as they were annotated. "
            )
            + "Run `synthstudio validate` on the copy at hand.",
        ),
        ("Is it self-contained?", "Yes; no link leads out of it."),
        (
            "Does it contain confidential or offensive matter?",
            "Rendered content has none: bodies are adults unless the recipe asks otherwise, always "
            "dressed. Photos and cut-outs from outside are listed under Licences."
            if not facts.outside
            else OPEN,
        ),
        (
            "Does it identify subpopulations?",
            "By construction, not by inference: gender, age and build are parameters. Skin tone by "
            f"typology angle: {told}."
            if facts.rendered
            else "No; nothing of the kind is labelled.",
        ),
        (
            "Can individuals be identified?",
            "People in photos are real, and some may be known to whoever sees them."
            if facts.outside
            else "Rendered people do not exist.",
        ),
    )


def _pictures(facts: Facts, most: int) -> str:
    imported = facts.outside - facts.photos
    kinds = (
        (facts.rendered, f"rendered pictures of up to {most} made-up, dressed people"),
        (facts.photos, "photos in which people are hidden behind things and rendered people"),
        (imported, f"pictures from outside with up to {most} annotated people"),
    )
    told = "; ".join(f"{n:,} {what}" for n, what in kinds if n) or "nothing"
    real = (
        "Real people are shown."
        if facts.photos
        else "Real people may be shown: nothing here says where the pictures are from."
        if facts.outside
        else "No real person is shown unless the recipe put cut-outs or photos of some into the "
        "pictures."
    )
    return f"{told[:1].upper()}{told[1:]}. {real}"


def _columns(facts: Facts, layers: list[str]) -> str:
    also = f"; layers: {', '.join(layers)}." if layers else "."
    if not facts.rendered:
        return (
            "A picture, 2D joints, whether each is seen and what hides it as far as anybody "
            "knows, boxes and masks" + also
        )
    return (
        "A JPEG picture, 2D and 3D joints, what share of each joint is seen and what hides it, "
        "boxes and masks of what is seen and of the whole person, camera, body parameters and "
        "the full spec to make it again" + also
    )


def _collection(dataset: Dataset, facts: Facts) -> Answers:
    identity = dataset.identity
    derived = (
        f" This set was derived from others by {identity.derived['by']}."
        if (identity.derived)
        else ""
    )
    ours = f"synthstudio {identity.versions.get('synthstudio', '')}"
    drawn = f"Drawn from a recipe by seed {identity.seed} and rendered by {ours}."
    if facts.outside:
        drawn = f"Annotated pictures from outside, taken in by {ours}."
        if facts.photos:
            drawn += f" What hides people was drawn from a recipe by seed {identity.seed}."
    return (
        ("How was the data acquired?", drawn + derived),
        (
            "What mechanisms were used?",
            f"{identity.machine.get('renderer', 'raster')} renderer on "
            f"{identity.machine.get('device', 'cpu')}; every random choice is stored."
            if facts.replayable
            else OPEN,
        ),
        (
            "Who was involved, and how were they paid?",
            OPEN if facts.outside else "Nobody was recorded or hired.",
        ),
        ("Over what time was it collected?", "Time leaves no trace in the files."),
        (
            "Was there ethical review or consent?",
            OPEN
            if facts.outside
            else "None is needed for rendered people; for photos see Licences.",
        ),
        (
            "Can it be made again?",
            f"{facts.replayable:,} of {facts.stats['frames']:,} frames can, byte for byte on the "
            "same machine kind.",
        ),
    )


def _labelling(facts: Facts, audit: Mapping[str, Any] | None) -> Answers:
    rate = (
        "no audit was given"
        if audit is None
        else (
            f"an audit by rays disagrees on {float(audit.get('disagreement_rate', 0)):.4%} of "
            f"{int(audit.get('joints', 0)):,} joints"
        )
    )
    how = (
        f"Joints by hand or by a program elsewhere, before they were taken in; {rate}."
        if facts.outside
        else "By geometry: each of 96 surface points round a joint is tested against every "
        f"triangle; {rate}."
    )
    if facts.photos:
        how = (
            "Joints as annotated elsewhere; what a paste hides of the surroundings of each joint "
            f"is counted in its mask; {rate}."
        )
    return (
        ("How was it labelled?", how),
        (
            "Was it cleaned or filtered?",
            OPEN if facts.outside else "Nothing was removed by hand or by looks.",
        ),
        (
            "Is the raw data kept?",
            OPEN if facts.outside else "The stored spec of each frame is the raw data.",
        ),
        ("Is the software available?", "Yes, synthstudio, Apache-2.0."),
    )


def _uses() -> Answers:
    return (
        (
            "What could it be used for?",
            "Training and testing of 2D and 3D pose estimation under occlusion, amodal masks and "
            "boxes, and of models that say what is hidden and by what.",
        ),
        (
            "What should it not be used for?",
            "Judging how well a system works for real people without real test data; recognising "
            "or profiling persons.",
        ),
        ("Does its composition limit uses?", "See Known limits."),
        ("Has it been used already?", OPEN),
    )


def _distribution(dataset: Dataset) -> Answers:
    licences = sorted({a.licence or "not stated" for a in dataset.identity.assets})
    told = ", ".join(licences) if licences else "no assets"
    return (
        ("How will it be distributed, and when?", OPEN),
        ("Under what licence?", OPEN),
        ("Do others hold rights in parts of it?", f"Licences of assets: {told}."),
        ("Do export controls apply?", OPEN),
    )


def _maintenance(dataset: Dataset) -> Answers:
    return (
        ("Who maintains it, and how can they be reached?", OPEN),
        ("Will it be updated?", OPEN),
        (
            "Can others extend it?",
            "Yes: `generate --resume --frames` makes more of it, `merge --sets` joins others.",
        ),
        (
            "Are older versions kept?",
            f"This one is of format {dataset.identity.format_version}; "
            "index.json holds the hash of every shard.",
        ),
    )
