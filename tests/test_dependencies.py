"""Every locked package has a licence that a company may use, or a reason beside its name."""

from tools import dependencies


def test_every_licence_is_allowed() -> None:
    found = dependencies.licences()
    assert len(found) > 100
    assert dependencies.refused(found) == []
    # An exception that is no longer needed, or no longer true, goes.
    named = {name: found[name] for name in dependencies.EXCEPTIONS}
    assert all(dependencies.COPYLEFT.search(licence) for licence in named.values()), named


def test_what_may_not_be_used_is_named() -> None:
    packages = {
        "a": "GPL-3.0-or-later",
        "b": "",
        "c": "MIT OR GPL-2.0",
        "d": "Proprietary",
        "e": "BSD-3-Clause AND 0BSD",
        "f": "GNU Affero General Public License v3",
        "tqdm": "MPL-2.0 AND MIT",
    }
    assert [line.split(":")[0] for line in dependencies.refused(packages)] == list("abcdf")


def test_the_bill_of_materials_holds_what_the_package_needs() -> None:
    names = ("numpy", "Py_Yaml", "pytest")
    bom = {
        "metadata": {"component": {"bom-ref": "root", "name": "mine"}},
        "components": [{"bom-ref": f"{name}==1", "name": name} for name in names],
        "dependencies": [{"ref": "Py_Yaml==1", "dependsOn": ["pytest==1"]}],
    }
    needs = {"mine": {"py-yaml"}, "py-yaml": {"numpy"}, "numpy": set[str]()}
    made = dependencies.reachable(bom, needs)
    assert [c["bom-ref"] for c in made["components"]] == ["numpy==1", "Py_Yaml==1"]
    rows = {row["ref"]: row["dependsOn"] for row in made["dependencies"]}
    assert rows == {"root": ["Py_Yaml==1"], "Py_Yaml==1": ["numpy==1"], "numpy==1": []}


def test_what_is_needed_follows_extras_that_were_asked_for() -> None:
    plain, everything = (
        dependencies.needed("synthstudio"),
        dependencies.needed("synthstudio", "all"),
    )
    assert {"numpy", "torch", "sympy"} <= set(plain)
    assert not {"streamlit", "psycopg", "pytest", "hypothesis"} & set(plain)
    assert {"streamlit", "psycopg", "transformers"} <= set(everything)
    assert not {"pytest", "hypothesis", "mypy", "mkdocs-material"} & set(everything)
