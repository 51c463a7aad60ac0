"""Every locked package has a licence that a company may use, or a reason beside its name."""

from tools import dependencies


def test_every_licence_is_allowed():
    found = dependencies.licences()
    assert len(found) > 100
    assert dependencies.refused(found) == []
    # An exception that is no longer needed, or no longer true, goes.
    named = {name: found[name] for name in dependencies.EXCEPTIONS}
    assert all(dependencies.COPYLEFT.search(licence) for licence in named.values()), named


def test_what_may_not_be_used_is_named():
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
